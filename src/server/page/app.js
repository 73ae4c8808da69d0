// The small chat page until the web UI comes: streams /v1/chat/completions, folds the reasoning, stops on demand.
// No framework and no request to anywhere but this server.
'use strict';

const TEXT = {
  en: {
    new_chat: 'New chat', placeholder: 'Ask something. Enter sends, Shift+Enter starts a new line.', send: 'Send', stop: 'Stop',
    thinking: 'Thinking…', thought: 'Thought for {s} s', login: 'Log in', key_label: 'API key',
    login_why: 'Open the one-time link that `cove serve` printed, or paste an API key. The key stays in this tab.',
    stopped: 'stopped', length: 'cut off: the answer reached its token limit', other_language: '中文',
    usage: '{c} tokens in {s} s ({r} tokens/s), first token after {f} ms', lost: 'The connection was lost. What had arrived is kept.',
    rejected: 'This key was not accepted.', you: 'You', assistant: 'Assistant',
  },
  zh: {
    new_chat: '新对话', placeholder: '请输入问题。回车发送,Shift+回车换行。', send: '发送', stop: '停止',
    thinking: '思考中…', thought: '思考了 {s} 秒', login: '登录', key_label: 'API 密钥',
    login_why: '请打开 `cove serve` 打印的一次性链接,或粘贴 API 密钥。密钥只保存在本标签页。',
    stopped: '已停止', length: '回答达到长度上限,已截断', other_language: 'English',
    usage: '{c} 个词元,用时 {s} 秒({r} 词元/秒),首词元 {f} 毫秒', lost: '连接中断,已收到的内容保留。',
    rejected: '密钥无效。', you: '你', assistant: '助手',
  },
};

const $ = (id) => document.getElementById(id);
const state = { language: localStorage.getItem('cove_language') || (navigator.language.startsWith('zh') ? 'zh' : 'en'), messages: [], model: '', abort: null };

const t = (name, values = {}) => Object.entries(values).reduce((s, [k, v]) => s.replace(`{${k}}`, v), TEXT[state.language][name]);

function applyLanguage() {
  document.documentElement.lang = state.language === 'zh' ? 'zh-CN' : 'en';
  for (const e of document.querySelectorAll('[data-i18n]')) e.textContent = t(e.dataset.i18n);
  for (const e of document.querySelectorAll('[data-i18n-placeholder]')) {
    e.placeholder = t(e.dataset.i18nPlaceholder);
    e.setAttribute('aria-label', e.placeholder);
  }
  $('language').textContent = t('other_language');
}

function headers() {
  const key = sessionStorage.getItem('cove_key');
  return { 'Content-Type': 'application/json', ...(key ? { Authorization: `Bearer ${key}` } : {}) };
}

async function connect() {
  const answer = await fetch('/v1/models', { headers: headers() });
  const known = answer.ok;
  $('login').hidden = known;
  $('ask').hidden = !known;
  if (!known) return false;
  const models = await answer.json();
  state.model = models.data.length ? models.data[0].id : '';
  $('model').textContent = state.model;
  return true;
}

function addTurn(role, text) {
  const turn = document.createElement('div');
  turn.className = `turn ${role}`;
  turn.setAttribute('aria-label', t(role === 'user' ? 'you' : 'assistant'));
  const details = document.createElement('details');
  const summary = document.createElement('summary');
  const reasoning = document.createElement('div');
  const content = document.createElement('div');
  const note = document.createElement('div');
  note.className = 'quiet';
  details.append(summary, reasoning);
  details.hidden = true;
  content.textContent = text;
  turn.append(details, content, note);
  $('log').append(turn);
  turn.scrollIntoView({ block: 'end' });
  return { turn, details, summary, reasoning, content, note };
}

// Yields the data of each server-sent event; comments and other fields are passed over.
async function* events(body) {
  const decoder = new TextDecoder();
  let buffer = '';
  for (const reader = body.getReader();;) {
    const { done, value } = await reader.read();
    buffer += done ? decoder.decode() : decoder.decode(value, { stream: true });
    const lines = buffer.split('\n');
    buffer = done ? '' : lines.pop();
    for (const line of lines) if (line.startsWith('data: ')) yield line.slice(6).trimEnd();
    if (done) return;
  }
}

async function readStream(response, view, started) {
  const log = $('log');
  const result = { content: '', reasoning: '', finish: null, usage: null, first: null, thought: null };
  for await (const data of events(response.body)) {
    if (data === '[DONE]') return result;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Error(chunk.error.message);
    if (chunk.usage) result.usage = chunk.usage;
    const choice = chunk.choices[0];
    if (!choice) continue;
    const follow = log.scrollTop + log.clientHeight > log.scrollHeight - 40;
    const { reasoning_content: reasoning, content } = choice.delta;
    if (reasoning || content) result.first ??= performance.now() - started;
    if (reasoning) {
      view.details.hidden = false;
      view.summary.textContent = t('thinking');
      view.reasoning.textContent = (result.reasoning += reasoning);
    }
    if (content) {
      if (result.thought === null && result.reasoning) {
        result.thought = performance.now() - started;
        view.summary.textContent = t('thought', { s: (result.thought / 1000).toFixed(1) });
      }
      view.content.textContent = (result.content += content);
    }
    result.finish = choice.finish_reason ?? result.finish;
    if (follow) log.scrollTop = log.scrollHeight;
  }
  throw new Error(t('lost'));
}

function showSummary(view, result, started) {
  const seconds = (performance.now() - started) / 1000;
  const tokens = result.usage ? result.usage.completion_tokens : 0;
  if (result.finish === 'length') view.note.textContent = t('length');
  if (tokens) {
    $('status').textContent = t('usage', { c: tokens, s: seconds.toFixed(1), r: (tokens / seconds).toFixed(0), f: Math.round(result.first ?? 0) });
  }
}

function setBusy(busy) {
  $('send').hidden = busy;
  $('stop').hidden = !busy;
}

async function ask(prompt) {
  state.messages.push({ role: 'user', content: prompt });
  addTurn('user', prompt);
  const view = addTurn('assistant', '');
  const started = performance.now();
  state.abort = new AbortController();
  setBusy(true);
  try {
    const response = await fetch('/v1/chat/completions', {
      method: 'POST', headers: headers(), signal: state.abort.signal,
      body: JSON.stringify({ model: state.model, messages: state.messages, stream: true, stream_options: { include_usage: true } }),
    });
    if (!response.ok) throw new Error((await response.json()).error.message);
    const result = await readStream(response, view, started);
    state.messages.push({ role: 'assistant', content: result.content });
    showSummary(view, result, started);
  } catch (error) {
    const stopped = error.name === 'AbortError';
    view.note.textContent = stopped ? t('stopped') : error.message;
    view.note.classList.toggle('error', !stopped);
    state.messages.push({ role: 'assistant', content: view.content.textContent });
  } finally {
    setBusy(false);
    state.abort = null;
    $('prompt').focus();
  }
}

$('ask').addEventListener('submit', (event) => {
  event.preventDefault();
  const prompt = $('prompt').value.trim();
  if (!prompt || state.abort) return;
  $('prompt').value = '';
  ask(prompt);
});
$('prompt').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $('ask').requestSubmit();
  }
});
$('stop').addEventListener('click', () => state.abort?.abort());
$('clear').addEventListener('click', () => {
  state.abort?.abort();
  state.messages = [];
  $('log').replaceChildren();
  $('status').textContent = '';
});
$('language').addEventListener('click', () => {
  state.language = state.language === 'zh' ? 'en' : 'zh';
  localStorage.setItem('cove_language', state.language);
  applyLanguage();
});
$('login').addEventListener('submit', async (event) => {
  event.preventDefault();
  sessionStorage.setItem('cove_key', $('key').value.trim());
  if (await connect()) return;
  sessionStorage.removeItem('cove_key');
  $('login_error').textContent = t('rejected');
});

applyLanguage();
connect();

"use strict";
// The chat page: one conversation, streamed from /v1/chat/completions with the session's cookie.
const words = {
  en: { send: "Send", stop: "Stop", new: "New chat", docs: "API", logout: "Sign out", thinking: "Thinking…", thought: "Thoughts",
        ask: "Ask something (Enter sends, Shift+Enter breaks the line)", other: "中文", failed: "Failed: ", stopped: "(stopped)", cut: "(cut off: too long)" },
  zh: { send: "发送", stop: "停止", new: "新对话", docs: "接口", logout: "退出", thinking: "思考中…", thought: "思考过程",
        ask: "请输入问题(回车发送,Shift+回车换行)", other: "English", failed: "出错:", stopped: "(已停止)", cut: "(已截断:过长)" },
};
const $ = (id) => document.getElementById(id);
let language = localStorage.getItem("language") || (navigator.language.startsWith("zh") ? "zh" : "en");
let messages = [];
let running = null;

function showLanguage() {
  document.documentElement.lang = language;
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = words[language][node.dataset.text];
  $("prompt").placeholder = words[language].ask;
  $("language").textContent = words[language].other;
}

function add(kind, text) {
  const node = document.createElement("div");
  node.className = "message " + kind;
  node.textContent = text;
  $("log").append(node);
  node.scrollIntoView({ block: "end" });
  return node;
}

// The events of a stream, one `data:` line each; lines that begin with ':' only keep the connection alive.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    for (let end; (end = rest.indexOf("\n\n")) >= 0; rest = rest.slice(end + 2)) {
      const line = rest.slice(0, end);
      if (!line.startsWith("data: ")) continue;
      if (line === "data: [DONE]") return;
      yield JSON.parse(line.slice(6));
    }
  }
}

function answerView() {
  const node = add("assistant", "");
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  const thoughts = document.createElement("div");
  const content = document.createElement("div");
  const note = document.createElement("div");
  note.className = "hint";
  summary.textContent = words[language].thinking;
  details.append(summary, thoughts);
  details.hidden = true;
  details.open = true;
  node.append(details, content, note);
  return { node, details, summary, thoughts, content, note };
}

function showDelta(view, delta, answer) {
  if (delta.reasoning_content) {
    view.details.hidden = false;
    view.thoughts.textContent += delta.reasoning_content;
  }
  if (delta.content) {
    if (!answer.text && !view.details.hidden) {
      view.summary.textContent = words[language].thought;
      view.details.open = false;
    }
    answer.text += delta.content;
    view.content.textContent = answer.text;
  }
}

async function ask(text) {
  messages.push({ role: "user", content: text });
  add("user", text);
  const view = answerView();
  const answer = { text: "" };
  running = new AbortController();
  $("send").hidden = true;
  $("stop").hidden = false;
  try {
    const response = await fetch("/v1/chat/completions", {
      method: "POST", signal: running.signal, headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ messages, stream: true }),
    });
    if (response.status === 401) return location.assign("/login");
    if (!response.ok) throw new Error((await response.json()).error.message);
    for await (const event of events(response)) {
      if (event.error) throw new Error(event.error.message);
      for (const choice of event.choices) {
        showDelta(view, choice.delta, answer);
        if (choice.finish_reason === "length") view.note.textContent = words[language].cut;
      }
      view.node.scrollIntoView({ block: "end" });
    }
  } catch (error) {
    view.note.textContent = error.name === "AbortError" ? words[language].stopped : words[language].failed + error.message;
  } finally {
    view.summary.textContent = words[language].thought;
    running = null;
    $("send").hidden = false;
    $("stop").hidden = true;
  }
  messages.push({ role: "assistant", content: answer.text });
}

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("prompt").value.trim();
  if (!text || running) return;
  $("prompt").value = "";
  ask(text);
});
$("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("ask").requestSubmit();
  }
});
$("stop").addEventListener("click", () => running && running.abort());
$("new").addEventListener("click", () => {
  if (running) running.abort();
  messages = [];
  $("log").replaceChildren();
});
$("language").addEventListener("click", () => {
  language = language === "zh" ? "en" : "zh";
  localStorage.setItem("language", language);
  showLanguage();
});
fetch("/v1/models").then((r) => r.json()).then((list) => { if (list.data) $("model").textContent = list.data[0].id; }).catch(() => {});
showLanguage();

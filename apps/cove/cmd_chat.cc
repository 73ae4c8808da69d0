// cove chat: talk to a model in this process. Streams; reasoning is dimmed on a terminal and stands in <think> tags in
// a pipe.
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <random>
#include <string>

#include <fmt/format.h>
#include <unistd.h>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/log.h"
#include "chat_session.h"
#include "commands.h"
#include "model_key.h"

namespace cove::app {
namespace {

constexpr int64_t kContextDefault = 32'768;  // a conversation of one; longer costs memory and start-up time

std::atomic<bool> interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free);  // set by a signal handler

extern "C" void on_interrupt(int) { interrupted = true; }

struct ChatFlags {
  std::optional<std::string> model;
  std::string key_file;
  std::string prompt;
  std::string system;
  std::string device = "auto";
  std::optional<std::string> temperature;
  std::optional<std::string> top_p;
  std::optional<int64_t> seed;
  int64_t max_tokens = 0;
  int64_t threads = 0;
  int64_t context_max = 0;
  bool no_thinking = false;
  bool hide_reasoning = false;
  bool json = false;
};

void declare(Flags& flags, ChatFlags& wanted) {
  flags.add("prompt", wanted.prompt,
            "what to say; without it standard input is read, or a conversation begins on a terminal");
  flags.add("--model", wanted.model, "model directory or .gguf file; default: $COVE_MODEL, then the shipped cove-mini");
  add_key_flag(flags, wanted.key_file);
  flags.add("--system", wanted.system, "system message");
  flags.add("--temperature", wanted.temperature, "0 is greedy; default: the model's");
  flags.add("--top-p", wanted.top_p, "default: the model's");
  flags.add("--seed", wanted.seed, "the same seed gives the same answer; default: random");
  flags.add("--max-tokens", wanted.max_tokens, "tokens to generate at most; 0 = to the end of the context");
  flags.add("--context-max", wanted.context_max, "tokens of the whole conversation; 0 = the model's, at most 32768");
  flags.add("--device", wanted.device, "auto, cpu or cuda");
  flags.add("--threads", wanted.threads, "0 = one per physical core");
  flags.add_switch("--no-thinking", wanted.no_thinking,
                   "ask the template for an answer without reasoning, where it can");
  flags.add_switch("--hide-reasoning", wanted.hide_reasoning, "print the answer only");
  flags.add_switch("--json", wanted.json, "one JSON object with reasoning_content, content and usage, no streaming");
  flags.footer(
      "examples:\n  cove chat \"What is 17 * 23?\"\n  echo 'Translate: good morning' | cove chat --hide-reasoning\n"
      "  cove chat --model ~/models/DeepSeek-R1-Distill-Qwen-1.5B");
}

Result<std::optional<double>> to_number(const char* flag, const std::optional<std::string>& text, double low,
                                        double high) {
  if (!text) return std::optional<double>();
  char* end = nullptr;
  const double value = std::strtod(text->c_str(), &end);
  if (text->empty() || *end != '\0' || !(value >= low && value <= high)) {
    return invalid_argument(fmt::format("{} '{}' must be a number from {} to {}", flag, *text, low, high));
  }
  return std::optional<double>(value);
}

Result<ChatOptions> chat_options(const ChatFlags& flags) {
  ChatOptions options;
  options.system = flags.system;
  TRY_ASSIGN(options.temperature, to_number("--temperature", flags.temperature, 0, 100));
  TRY_ASSIGN(options.top_p, to_number("--top-p", flags.top_p, 1e-6, 1));
  if (flags.max_tokens < 0 || flags.max_tokens > (1 << 30)) return invalid_argument("--max-tokens is out of range");
  if (flags.threads < 0 || flags.threads > 4096) return invalid_argument("--threads is out of range");
  options.tokens_max = flags.max_tokens;
  std::random_device random;
  options.seed = flags.seed ? static_cast<uint64_t>(*flags.seed) : uint64_t{random()};
  if (flags.no_thinking) options.thinking = ChatOptions::Thinking::kOff;
  return options;
}

Result<OpenedModel> open_model(const ChatFlags& flags) {
  TRY_ASSIGN(const auto path, find_model(flags.model));
  TRY_ASSIGN(std::optional<SealKey> key, ModelKeys(key_places(flags.key_file)).key_of(path));
  OpenEngineOptions options{.model = path,
                            .name = "",
                            .key = std::move(key),
                            .device = {.device = flags.device, .threads = static_cast<int>(flags.threads)},
                            .engine = {}};
  options.engine.sequences_max = 1;
  options.engine.batch_tokens_max = 512;
  options.engine.context_max = flags.context_max;
  if (flags.context_max == 0) options.engine.kv_tokens_max = kContextDefault;
  TRY_ASSIGN(OpenedModel model, open_engine(options));
  if (model.chat_template == nullptr) {
    return make_error(ErrorCode::kUnsupported,
                      fmt::format("{} has no chat template, so it cannot chat", path.string()));
  }
  return model;
}

// Where pieces of an answer go: one part after the other, the reasoning marked off.
class Printer {
 public:
  enum class Style : uint8_t { kTerminal, kPlain };
  enum class Reasoning : uint8_t { kShown, kHidden };
  Printer(Style style, Reasoning reasoning) : style_(style), reasoning_(reasoning) {}

  void show(const text::ReasoningDelta& delta) {
    if (!delta.reasoning.empty() && reasoning_ == Reasoning::kShown) {
      if (!reasoning_open_) put(style_ == Style::kTerminal ? "\x1b[2m" : "<think>\n");
      reasoning_open_ = true;
      put(delta.reasoning);
    }
    if (!delta.content.empty()) {
      close_reasoning();
      put(delta.content);
    }
    std::fflush(stdout);
  }
  void end() {
    close_reasoning();
    put("\n");
    std::fflush(stdout);
  }

 private:
  void close_reasoning() {
    if (!reasoning_open_) return;
    if (!ends_with_newline_) put("\n");
    put(style_ == Style::kTerminal ? "\x1b[0m\n" : "</think>\n\n");
    reasoning_open_ = false;
  }
  void put(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    if (!text.empty()) ends_with_newline_ = text.back() == '\n';
  }

  Style style_;
  Reasoning reasoning_;
  bool reasoning_open_ = false;
  bool ends_with_newline_ = true;
};

bool is_styled_terminal() {
  const char* term = std::getenv("TERM");
  return isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr &&
         (term == nullptr || std::string_view(term) != "dumb");
}

const char* finish_name(engine::FinishReason reason) {
  switch (reason) {
    case engine::FinishReason::kStop: return "stop";
    case engine::FinishReason::kLength: return "length";
    case engine::FinishReason::kCancelled: return "cancelled";
    case engine::FinishReason::kError: break;
  }
  return "error";
}

void print_json(const ChatReply& reply) {
  const boost::json::object usage = {{"prompt_tokens", reply.usage.prompt_tokens},
                                     {"completion_tokens", reply.usage.completion_tokens},
                                     {"total_tokens", reply.usage.prompt_tokens + reply.usage.completion_tokens}};
  const boost::json::object object = {{"reasoning_content", reply.reasoning},
                                      {"content", reply.content},
                                      {"finish_reason", finish_name(reply.finish)},
                                      {"usage", usage}};
  std::printf("%s\n", boost::json::serialize(object).c_str());
}

// For people only: how long it took.
void print_speed(const ChatReply& reply) {
  if (isatty(STDERR_FILENO) != 1 || isatty(STDOUT_FILENO) != 1) return;
  const double decoding = reply.seconds - reply.seconds_to_first_token;
  const double rate = decoding > 0 ? (reply.usage.completion_tokens - 1) / decoding : 0.0;
  fmt::print(stderr, "\x1b[2m[{} prompt tokens, {} generated, first after {:.2f} s, then {:.1f} tokens/s]\x1b[0m\n",
             reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.seconds_to_first_token, rate);
}

Printer make_printer(const ChatFlags& flags) {
  return {is_styled_terminal() ? Printer::Style::kTerminal : Printer::Style::kPlain,
          flags.hide_reasoning ? Printer::Reasoning::kHidden : Printer::Reasoning::kShown};
}

int ask_once(ChatSession& session, const ChatFlags& flags, const std::string& prompt) {
  Printer printer = make_printer(flags);
  const auto on_delta = [&](const text::ReasoningDelta& delta) {
    if (!flags.json) printer.show(delta);
  };
  const auto reply = session.ask(prompt, on_delta, interrupted);
  if (!reply) return fail("chat", reply.error().message);
  if (flags.json) {
    print_json(*reply);
  } else {
    printer.end();
    print_speed(*reply);
  }
  return reply->finish == engine::FinishReason::kCancelled ? kCouldNot : kDone;
}

// Reads lines until the end of input; Ctrl-C ends an answer, at the prompt the conversation.
int converse(ChatSession& session, const ChatFlags& flags, const engine::ModelInfo& model) {
  fmt::print(stderr, "{} on {}. /clear forgets the conversation, /exit or Ctrl-D ends it.\n", model.name, model.device);
  std::string line;
  while (!interrupted) {
    fmt::print(stderr, "\n> ");
    if (!std::getline(std::cin, line) || line == "/exit") break;
    if (line.empty()) continue;
    if (line == "/clear") {
      session.forget();
      continue;
    }
    Printer printer = make_printer(flags);
    const auto reply = session.ask(line, [&](const text::ReasoningDelta& delta) { printer.show(delta); }, interrupted);
    printer.end();
    if (!reply) {
      fail("chat", reply.error().message);
      continue;
    }
    print_speed(*reply);
    if (reply->finish == engine::FinishReason::kCancelled) interrupted = false;
  }
  return kDone;
}

void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = on_interrupt;  // no SA_RESTART: a waiting getline returns
  sigaction(SIGINT, &action, nullptr);
}

int run(int argc, const char* const* argv) {
  ChatFlags wanted;
  Flags flags("chat", "Talk to a model in this process.");
  declare(flags, wanted);
  if (const auto code = flags.parse(argc, argv)) return *code;
  const auto options = chat_options(wanted);
  if (!options) {
    fail("chat", options.error().message);
    return kWrongUsage;
  }
  const bool interactive = wanted.prompt.empty() && isatty(STDIN_FILENO) == 1;
  if (interactive && wanted.json) {
    fail("chat", "--json needs a prompt, as an argument or on standard input");
    return kWrongUsage;
  }
  std::string prompt = wanted.prompt;
  if (prompt.empty() && !interactive) prompt.assign(std::istreambuf_iterator<char>(std::cin), {});
  while (!prompt.empty() && (prompt.back() == '\n' || prompt.back() == '\r')) prompt.pop_back();
  if (prompt.empty() && !interactive) {
    fail("chat", "nothing was said: standard input is empty");
    return kWrongUsage;
  }
  log::configure(log::Level::kWarn, log::Style::kText);
  const auto model = open_model(wanted);
  if (!model) return fail("chat", model.error().message);
  catch_interrupts();
  ChatSession session(*model, *options);
  return interactive ? converse(session, wanted, model->engine->model()) : ask_once(session, wanted, prompt);
}

}  // namespace

const Command kChat = {"chat", "talk to a model in this process", run};

}  // namespace cove::app

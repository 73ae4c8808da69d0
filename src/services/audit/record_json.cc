#include "services/audit/record_json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "base/json_text.h"
#include "base/utf8.h"
#include "services/audit/line.h"

namespace cove::audit {
namespace {

// Appends the members of one JSON object after its opening brace or after other members.
class Members {
 public:
  enum class At : uint8_t { kFirst, kLater };
  Members(std::string& out, At at) : out_(&out), first_(at == At::kFirst) {}

  std::string& key(std::string_view name) {
    if (!first_) out_->push_back(',');
    first_ = false;
    out_->push_back('"');
    *out_ += name;
    *out_ += "\":";
    return *out_;
  }
  void text(std::string_view name, std::string_view value) { string(key(name), value); }
  void integer(std::string_view name, int64_t value) { append_json_number(key(name), value); }
  void boolean(std::string_view name, bool value) { key(name) += value ? "true" : "false"; }
  // Shortest text that reads back as the same float; null for what JSON has no number for.
  template <typename T>
  void number(std::string_view name, T value) {
    std::string& out = key(name);
    if (std::isfinite(value)) {
      fmt::format_to(std::back_inserter(out), "{}", value);
    } else {
      out += "null";
    }
  }
  // null instead of what stands for "none".
  void integer_or_null(std::string_view name, int64_t value) {
    if (value < 0) {
      key(name) += "null";
    } else {
      integer(name, value);
    }
  }

  static void string(std::string& out, std::string_view value) {
    if (is_valid_utf8(value)) {
      append_json_string(out, value);
    } else {
      append_json_string(out, replace_invalid_utf8(value));
    }
  }

 private:
  std::string* out_;
  bool first_;
};

template <typename List, typename Append>
void append_list(std::string& out, const List& list, Append append) {
  out.push_back('[');
  bool first = true;
  for (const auto& item : list) {
    if (!first) out.push_back(',');
    first = false;
    append(item);
  }
  out.push_back(']');
}

void append_caller(std::string& out, const Caller& caller) {
  out.push_back('{');
  Members members(out, Members::At::kFirst);
  members.text("id", caller.id);
  members.text("user", caller.user);
  members.text("name", caller.name);
  members.text("role", caller.role);
  members.integer("key_id", caller.key_id);
  out.push_back('}');
}

void append_parameters(Members& members, const Parameters& parameters) {
  const engine::SamplingOptions& sampling = parameters.sampling;
  members.number("temperature", sampling.temperature);
  members.number("top_p", sampling.top_p);
  members.integer("top_k", sampling.top_k);
  members.number("min_p", sampling.min_p);
  members.number("presence_penalty", sampling.presence_penalty);
  members.number("frequency_penalty", sampling.frequency_penalty);
  members.number("repetition_penalty", sampling.repetition_penalty);
  std::string& out = members.key("logit_bias");
  append_list(out, sampling.logit_bias, [&](const auto& bias) {
    fmt::format_to(std::back_inserter(out), "[{},{}]", bias.first,
                   std::isfinite(bias.second) ? fmt::format("{}", bias.second) : "null");
  });
  members.integer_or_null("top_logprobs", sampling.top_logprobs);
  // As text: 64 bits are more than a JSON number can hold elsewhere.
  members.key("seeds");
  append_list(out, parameters.seeds, [&](uint64_t seed) { fmt::format_to(std::back_inserter(out), "\"{}\"", seed); });
  members.integer("n", parameters.choices);
  members.integer("max_tokens", parameters.tokens_max);
  members.integer("min_tokens", parameters.tokens_min);
  members.key("stop");
  append_list(out, parameters.stop, [&](const std::string& stop) { Members::string(out, stop); });
  members.key("stop_tokens");
  append_list(out, parameters.stop_tokens, [&](int32_t token) { append_json_number(out, int64_t{token}); });
  members.boolean("ignore_eos", parameters.ignore_eos);
  members.integer_or_null("thinking_budget", parameters.thinking_budget);
  members.key("tools");
  append_list(out, parameters.tools, [&](const std::string& tool) { Members::string(out, tool); });
  members.text("tool_choice", parameters.tool_choice);
  members.text("constraint", parameters.constraint);
}

// A text as the form keeps it; an absent one stays absent.
void append_text(Members& members, std::string_view name, std::string_view text, const TextKeeping& keeping) {
  if (text.empty() || keeping.form == PromptForm::kNone) return;
  if (keeping.form == PromptForm::kFull) return members.text(name, text);
  members.text(name, std::string(kHashedText) + to_hex(keeping.key->hash(text)));
}

void append_texts(Members& members, const Generation& generation, const TextKeeping& keeping) {
  members.text("texts", to_string(keeping.form));
  if (keeping.form == PromptForm::kNone) return;
  append_text(members, "prompt", generation.prompt, keeping);
  std::string& out = members.key("answers");
  append_list(out, generation.answers, [&](const AnswerText& answer) {
    out.push_back('{');
    Members texts(out, Members::At::kFirst);
    append_text(texts, "reasoning", answer.reasoning, keeping);
    append_text(texts, "content", answer.content, keeping);
    append_text(texts, "tool_calls", answer.tool_calls, keeping);
    out.push_back('}');
  });
  append_text(members, "request", generation.request, keeping);
}

void append_generation(std::string& out, const Generation& generation, const TextKeeping& keeping) {
  out.push_back('{');
  Members members(out, Members::At::kFirst);
  members.text("model", generation.model.name);
  members.text("digest", generation.model.digest);
  members.text("weights", generation.model.weights);
  members.text("device", generation.model.device);
  members.boolean("stream", generation.stream);
  append_parameters(members, generation.parameters);
  members.integer("prompt_tokens", generation.prompt_tokens);
  members.integer("cached_tokens", generation.cached_tokens);
  members.integer("completion_tokens", generation.completion_tokens);
  members.integer("reasoning_tokens", generation.reasoning_tokens);
  members.key("finish_reasons");
  append_list(out, generation.finish_reasons, [&](const std::string& reason) { Members::string(out, reason); });
  if (generation.first_token_ms < 0) {
    members.key("first_token_ms") += "null";
  } else {
    members.number("first_token_ms", generation.first_token_ms);
  }
  append_texts(members, generation, keeping);
  out.push_back('}');
}

// Reads members and remembers the first that is missing or of the wrong type.
class MemberReader {
 public:
  explicit MemberReader(const json::object& object) : object_(&object) {}

  const json::value* find(std::string_view name) const { return object_->if_contains(name); }
  std::string text(std::string_view name) {
    const json::value* value = find(name);
    if (value == nullptr) return {};
    if (const json::string* text = value->if_string()) return {text->data(), text->size()};
    return fail(name), std::string();
  }
  int64_t integer(std::string_view name, int64_t missing = 0) {
    const json::value* value = find(name);
    if (value == nullptr || value->is_null()) return missing;
    if (const int64_t* number = value->if_int64()) return *number;
    return fail(name), missing;
  }
  int32_t small(std::string_view name, int32_t missing = 0) {
    const int64_t value = integer(name, missing);
    if (value >= INT32_MIN && value <= INT32_MAX) return static_cast<int32_t>(value);
    return fail(name), missing;
  }
  double number(std::string_view name, double missing) {
    const json::value* value = find(name);
    if (value == nullptr || value->is_null()) return missing;
    if (const double* number = value->if_double()) return *number;
    if (const int64_t* number = value->if_int64()) return static_cast<double>(*number);
    return fail(name), missing;
  }
  bool boolean(std::string_view name) {
    const json::value* value = find(name);
    if (value == nullptr) return false;
    if (const bool* flag = value->if_bool()) return *flag;
    return fail(name), false;
  }
  const json::array& list(std::string_view name) {
    static const json::array kNone;
    const json::value* value = find(name);
    if (value == nullptr) return kNone;
    if (const json::array* list = value->if_array()) return *list;
    return fail(name), kNone;
  }
  std::vector<std::string> texts(std::string_view name) {
    std::vector<std::string> out;
    for (const json::value& item : list(name)) {
      if (const json::string* text = item.if_string()) {
        out.emplace_back(text->data(), text->size());
      } else {
        fail(name);
      }
    }
    return out;
  }
  void fail(std::string_view name) {
    if (wrong_.empty()) wrong_ = name;
  }
  Status status() const {
    if (wrong_.empty()) return {};
    return data_corrupt(fmt::format("'{}' has the wrong type", wrong_));
  }

 private:
  const json::object* object_;
  std::string wrong_;
};

template <typename T>
bool read_unsigned(const std::string& text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

void read_logit_bias(MemberReader& reader, engine::SamplingOptions& sampling) {
  for (const json::value& item : reader.list("logit_bias")) {
    const json::array* pair = item.if_array();
    if (pair == nullptr || pair->size() != 2 || !(*pair)[0].is_int64() || !(*pair)[1].is_number())
      return reader.fail("logit_bias");
    const int64_t token = (*pair)[0].get_int64();
    if (token < INT32_MIN || token > INT32_MAX) return reader.fail("logit_bias");
    sampling.logit_bias.emplace_back(static_cast<int32_t>(token), static_cast<float>((*pair)[1].to_number<double>()));
  }
}

void read_parameters(MemberReader& reader, Parameters& parameters) {
  engine::SamplingOptions& sampling = parameters.sampling;
  sampling.temperature = static_cast<float>(reader.number("temperature", sampling.temperature));
  sampling.top_p = static_cast<float>(reader.number("top_p", sampling.top_p));
  sampling.top_k = reader.small("top_k");
  sampling.min_p = static_cast<float>(reader.number("min_p", 0));
  sampling.presence_penalty = static_cast<float>(reader.number("presence_penalty", 0));
  sampling.frequency_penalty = static_cast<float>(reader.number("frequency_penalty", 0));
  sampling.repetition_penalty = static_cast<float>(reader.number("repetition_penalty", 1));
  read_logit_bias(reader, sampling);
  sampling.top_logprobs = reader.small("top_logprobs", -1);
  for (const std::string& text : reader.texts("seeds")) {
    uint64_t seed = 0;
    if (!read_unsigned(text, seed)) reader.fail("seeds");
    parameters.seeds.push_back(seed);
  }
  if (!parameters.seeds.empty()) sampling.seed = parameters.seeds.front();
  parameters.choices = reader.small("n", 1);
  parameters.tokens_max = reader.small("max_tokens");
  parameters.tokens_min = reader.small("min_tokens");
  parameters.stop = reader.texts("stop");
  for (const json::value& token : reader.list("stop_tokens")) {
    if (!token.is_int64()) return reader.fail("stop_tokens");
    parameters.stop_tokens.push_back(static_cast<int32_t>(token.get_int64()));
  }
  parameters.ignore_eos = reader.boolean("ignore_eos");
  parameters.thinking_budget = reader.small("thinking_budget", -1);
  parameters.tools = reader.texts("tools");
  parameters.tool_choice = reader.text("tool_choice");
  parameters.constraint = reader.text("constraint");
}

Status read_answers(MemberReader& reader, std::vector<AnswerText>& answers) {
  for (const json::value& item : reader.list("answers")) {
    const json::object* object = item.if_object();
    if (object == nullptr) return data_corrupt("'answers' has the wrong type");
    MemberReader texts(*object);
    answers.push_back({.reasoning = texts.text("reasoning"),
                       .content = texts.text("content"),
                       .tool_calls = texts.text("tool_calls")});
    TRY(texts.status());
  }
  return {};
}

Result<Generation> parse_generation(const json::object& object, PromptForm& form) {
  MemberReader reader(object);
  Generation generation;
  generation.model = {.name = reader.text("model"),
                      .digest = reader.text("digest"),
                      .device = reader.text("device"),
                      .weights = reader.text("weights")};
  generation.stream = reader.boolean("stream");
  read_parameters(reader, generation.parameters);
  generation.prompt_tokens = reader.integer("prompt_tokens");
  generation.cached_tokens = reader.integer("cached_tokens");
  generation.completion_tokens = reader.integer("completion_tokens");
  generation.reasoning_tokens = reader.integer("reasoning_tokens");
  generation.finish_reasons = reader.texts("finish_reasons");
  generation.first_token_ms = reader.number("first_token_ms", -1);
  generation.prompt = reader.text("prompt");
  generation.request = reader.text("request");
  TRY(read_answers(reader, generation.answers));
  TRY(reader.status());
  TRY_ASSIGN(form, parse_prompt_form(reader.text("texts")));
  return generation;
}

Result<Outcome> parse_outcome(std::string_view text) {
  for (const Outcome outcome : {Outcome::kComplete, Outcome::kAborted, Outcome::kFailed, Outcome::kRefused}) {
    if (text == to_string(outcome)) return outcome;
  }
  return data_corrupt(fmt::format("'{}' is no outcome", text));
}

Caller parse_caller(MemberReader& reader) {
  const json::value* value = reader.find("caller");
  if (value == nullptr) return {};
  if (!value->is_object()) return reader.fail("caller"), Caller{};
  MemberReader caller(value->get_object());
  Caller out{.id = caller.text("id"),
             .user = caller.text("user"),
             .name = caller.text("name"),
             .role = caller.text("role"),
             .key_id = caller.integer("key_id")};
  if (!caller.status()) reader.fail("caller");
  return out;
}

void read_plugin_notes(MemberReader& reader, plugins::PluginNotes& notes) {
  for (const json::value& item : reader.list("plugins")) {
    if (!item.is_object()) return reader.fail("plugins");
    MemberReader note(item.get_object());
    notes.push_back({.plugin = note.text("plugin"),
                     .action = note.text("action"),
                     .count = static_cast<uint64_t>(std::max<int64_t>(0, note.integer("count")))});
    if (!note.status()) return reader.fail("plugins");
  }
}

void read_details(MemberReader& reader, std::map<std::string, std::string>& details) {
  const json::value* value = reader.find("details");
  if (value == nullptr) return;
  if (!value->is_object()) return reader.fail("details");
  for (const json::key_value_pair& detail : value->get_object()) {
    if (!detail.value().is_string()) return reader.fail("details");
    const json::string& text = detail.value().get_string();
    details.emplace(detail.key(), std::string(text.data(), text.size()));
  }
}

}  // namespace

void append_record(std::string& out, const Record& record, const TextKeeping& keeping) {
  append_time(out, record.time_ns);
  Members members(out, Members::At::kLater);
  members.text("id", record.request_id);
  append_caller(members.key("caller"), record.caller);
  members.text("address", record.address);
  members.text("method", record.method);
  members.text("route", record.route);
  members.text("path", record.path);
  members.integer("status", record.status);
  members.text("outcome", to_string(record.outcome));
  members.text("error", record.error);
  members.number("total_ms", record.total_ms);
  if (record.generation) append_generation(members.key("generation"), *record.generation, keeping);
  if (!record.plugin_notes.empty()) {
    members.key("plugins");
    append_list(out, record.plugin_notes, [&](const plugins::PluginNote& note) {
      out.push_back('{');
      Members texts(out, Members::At::kFirst);
      texts.text("plugin", note.plugin);
      texts.text("action", note.action);
      texts.integer("count", static_cast<int64_t>(note.count));
      out.push_back('}');
    });
  }
  if (record.details.empty()) return;
  members.key("details") += '{';
  bool first = true;
  for (const auto& [name, value] : record.details) {
    if (!std::exchange(first, false)) out.push_back(',');
    Members::string(out, name);
    out.push_back(':');
    Members::string(out, value);
  }
  out.push_back('}');
}

Result<StoredRecord> parse_record(const json::object& object) {
  MemberReader reader(object);
  StoredRecord stored;
  Record& record = stored.record;
  if (!read_unsigned(reader.text("time_ns"), record.time_ns)) return data_corrupt("'time_ns' is no number");
  record.request_id = reader.text("id");
  record.caller = parse_caller(reader);
  record.address = reader.text("address");
  record.method = reader.text("method");
  record.route = reader.text("route");
  record.path = reader.text("path");
  record.status = reader.small("status");
  TRY_ASSIGN(record.outcome, parse_outcome(reader.text("outcome")));
  record.error = reader.text("error");
  record.total_ms = reader.number("total_ms", 0);
  read_plugin_notes(reader, record.plugin_notes);
  read_details(reader, record.details);
  TRY(reader.status());
  if (const json::value* generation = reader.find("generation")) {
    if (!generation->is_object()) return data_corrupt("'generation' has the wrong type");
    TRY_ASSIGN(record.generation, parse_generation(generation->get_object(), stored.texts));
  }
  return stored;
}

}  // namespace cove::audit

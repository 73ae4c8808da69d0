#include "services/plugins/plugin_set.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"
#include "base/utf8.h"

namespace cove::plugins {
namespace {

using Maker = Result<std::unique_ptr<PluginFactory>> (*)(const PluginOptions&);

Maker maker_of(PluginType type) {
  switch (type) {
    case PluginType::kWords: return make_words_plugin;
    case PluginType::kMask: return make_mask_plugin;
    case PluginType::kTemplate: return make_template_plugin;
    case PluginType::kLua: return make_lua_plugin;
    case PluginType::kSharedObject: return make_shared_object_plugin;
    case PluginType::kHttp: return make_http_plugin;
  }
  return make_words_plugin;
}

bool admits(const std::vector<std::string>& allowed, std::string_view what) {
  return allowed.empty() || std::ranges::find(allowed, what) != allowed.end();
}

}  // namespace

std::string_view to_string(Stage stage) {
  switch (stage) {
    case Stage::kPrompt: return "prompt";
    case Stage::kReasoning: return "reasoning";
    case Stage::kAnswer: return "answer";
  }
  return "?";
}

bool ConfiguredPlugin::acts_at(Stage stage) const {
  return options.stages.empty() || std::ranges::find(options.stages, stage) != options.stages.end();
}

Result<std::unique_ptr<PluginSet>> PluginSet::create(std::vector<PluginOptions> options) {
  auto set = std::make_unique<PluginSet>();
  for (PluginOptions& one : options) {
    const bool twice = std::ranges::any_of(set->plugins_, [&](const auto& p) { return p->options.name == one.name; });
    if (twice) return invalid_argument(fmt::format("two plugins are called '{}'; names are unique", one.name));
    auto factory = maker_of(one.type)(one);
    if (!factory) return with_context(factory.error(), fmt::format("plugin '{}'", one.name));
    if (one.type == PluginType::kTemplate) one.stages = {Stage::kPrompt};
    set->plugins_.push_back(std::make_unique<ConfiguredPlugin>(std::move(one), std::move(*factory)));
  }
  return set;
}

std::unique_ptr<PluginRun> PluginSet::open(RequestInfo request) const {
  std::unique_ptr<PluginRun> run;
  for (const auto& plugin : plugins_) {
    if (!admits(plugin->options.routes, request.route) || !admits(plugin->options.roles, request.role)) continue;
    if (run == nullptr) run = std::make_unique<PluginRun>(std::move(request));
    // The moved-from request is not needed for names any more: the run has it.
    request = run->request_;
    run->members_.push_back({plugin.get(), nullptr});
    run->opened_.push_back(false);
  }
  return run;
}

Pace PluginSet::pace() const {
  const bool waits = std::ranges::any_of(plugins_, [](const auto& p) { return p->factory->pace() == Pace::kMayWait; });
  return waits ? Pace::kMayWait : Pace::kQuick;
}

bool PluginRun::acts_at(Stage stage) const {
  return std::ranges::any_of(members_, [stage](const Member& m) { return m.plugin->acts_at(stage); });
}

Pace PluginRun::pace() const {
  const bool waits =
      std::ranges::any_of(members_, [](const Member& m) { return m.plugin->factory->pace() == Pace::kMayWait; });
  return waits ? Pace::kMayWait : Pace::kQuick;
}

// Null: it failed before and is skipped.
Result<PluginBase*> PluginRun::open(Member& member) {
  const auto index = static_cast<size_t>(&member - members_.data());
  if (opened_[index]) return member.work.get();
  opened_[index] = true;
  TRY_ASSIGN(member.work, member.plugin->factory->open(request_));
  return member.work.get();
}

void PluginRun::note(Member& member) {
  NoteTaker taker(member.plugin->options.name, notes_);
  if (member.work != nullptr) member.work->take_notes(taker);
}

// OK = go on without it.
Status PluginRun::failed(Member& member, const Error& error, Stage stage) {
  const PluginOptions& options = member.plugin->options;
  note(member);
  if (member.work != nullptr && !member.work->survives_errors()) member.work.reset();
  NoteTaker taker(options.name, notes_);
  taker.add("failed", 1);
  log::warn("plugin.failed", {{"request_id", request_.request_id},
                              {"plugin", options.name},
                              {"stage", to_string(stage)},
                              {"error", error.message},
                              {"effect", options.on_error == OnError::kSkip ? "skipped" : "refused"}});
  if (options.on_error == OnError::kSkip) {
    taker.add("skipped", 1);
    return {};
  }
  return Error{ErrorCode::kUnavailable, fmt::format("the plugin '{}' failed", options.name)};
}

Result<PromptVerdict> PluginRun::preprocess(Input& input) {
  for (Member& member : members_) {
    if (!member.plugin->acts_at(Stage::kPrompt)) continue;
    auto work = open(member);
    if (work && *work == nullptr) continue;
    const Input before = member.plugin->options.on_error == OnError::kSkip ? input : Input{};
    auto verdict = work ? (*work)->preprocess(input) : Result<Verdict>(work.error());
    if (!verdict) {
      TRY(failed(member, verdict.error(), Stage::kPrompt));
      input = before;
      continue;
    }
    for (InputText& text : input.texts) {
      if (!is_valid_utf8(text.text)) text.text = replace_invalid_utf8(text.text);
    }
    note(member);
    if (verdict->decision == Decision::kBlock) {
      return PromptVerdict{Decision::kBlock, member.plugin->options.name, std::move(verdict->message)};
    }
  }
  return PromptVerdict{};
}

Result<FilteredPiece> PluginRun::postprocess(const Piece& piece) {
  FilteredPiece result{.text = std::string(piece.text)};
  Piece next = piece;
  for (Member& member : members_) {
    if (!member.plugin->acts_at(piece.stage)) continue;
    auto work = open(member);
    if (work && *work == nullptr) continue;
    std::string out;
    next.text = result.text;
    auto verdict = work ? (*work)->postprocess(next, out) : Result<Verdict>(work.error());
    if (!verdict) {
      TRY(failed(member, verdict.error(), piece.stage));
      if (!out.empty()) result.text = std::move(out);
      continue;
    }
    note(member);
    result.text = std::move(out);
    if (verdict->decision != Decision::kBlock) continue;
    // The later plugins see this as the text's end.
    result.decision = Decision::kBlock;
    next.end = End::kLast;
  }
  return result;
}

}  // namespace cove::plugins

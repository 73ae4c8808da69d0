#pragma once
// All configured plugins, and their work on one request. The server asks for a PluginRun per request; none applies =
// null, and nothing is spent.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "services/plugins/options.h"
#include "services/plugins/plugin_base.h"

namespace cove::plugins {

struct ConfiguredPlugin {
  PluginOptions options;
  std::unique_ptr<PluginFactory> factory;
  bool acts_at(Stage stage) const;
};

// The outcome of the prompt stage.
struct PromptVerdict {
  Decision decision = Decision::kPass;
  std::string plugin{};   // that blocked
  std::string message{};  // why
};

struct FilteredPiece {
  std::string text;
  Decision decision = Decision::kPass;  // kBlock: the choice ends after `text`
};

// The plugins that apply to one request, in their order. One thread at a time. Errors come only of plugins with
// on_error: refuse; one that is skipped stays out for the rest of the request.
class PluginRun {
 public:
  explicit PluginRun(RequestInfo request) : request_(std::move(request)) {}

  Result<PromptVerdict> preprocess(Input& input);
  // `piece.text` through all plugins of its stage.
  Result<FilteredPiece> postprocess(const Piece& piece);
  bool acts_at(Stage stage) const;
  bool filters_output() const { return acts_at(Stage::kReasoning) || acts_at(Stage::kAnswer); }
  // Whether a call may wait: then it must not be made on the I/O thread.
  Pace pace() const;
  // A number for a new text of the output.
  uint64_t new_text() { return ++last_text_; }
  // All that was done so far.
  const PluginNotes& notes() const { return notes_; }

 private:
  friend class PluginSet;
  struct Member {
    const ConfiguredPlugin* plugin = nullptr;
    std::unique_ptr<PluginBase> work;  // null: failed and skipped
  };
  Result<PluginBase*> open(Member& member);
  Status failed(Member& member, const Error& error, Stage stage);
  void note(Member& member);

  RequestInfo request_;
  std::vector<Member> members_;
  std::vector<bool> opened_;
  PluginNotes notes_;
  uint64_t last_text_ = 0;
};

class PluginSet {
 public:
  // Reads lists, scripts and libraries. Errors name the plugin: kInvalidArgument, kFailedPrecondition, kIo.
  static Result<std::unique_ptr<PluginSet>> create(std::vector<PluginOptions> options);

  // Null when no plugin applies to this route and role. Any thread.
  std::unique_ptr<PluginRun> open(RequestInfo request) const;
  // Whether any plugin may wait.
  Pace pace() const;
  const std::vector<std::unique_ptr<ConfiguredPlugin>>& plugins() const { return plugins_; }

 private:
  std::vector<std::unique_ptr<ConfiguredPlugin>> plugins_;
};

// One factory per type; each checks its own options.
Result<std::unique_ptr<PluginFactory>> make_words_plugin(const PluginOptions& options);
Result<std::unique_ptr<PluginFactory>> make_mask_plugin(const PluginOptions& options);
Result<std::unique_ptr<PluginFactory>> make_template_plugin(const PluginOptions& options);
Result<std::unique_ptr<PluginFactory>> make_lua_plugin(const PluginOptions& options);
Result<std::unique_ptr<PluginFactory>> make_shared_object_plugin(const PluginOptions& options);
Result<std::unique_ptr<PluginFactory>> make_http_plugin(const PluginOptions& options);

}  // namespace cove::plugins

#pragma once
// The plugins' work on an answer, after the split into reasoning, content and tool calls. Holds what the plugins hold
// back, per choice; the end of the reasoning comes out before the content begins. On one thread at a time.

#include <memory>
#include <optional>
#include <vector>

#include "base/json.h"
#include "server/dto/api_error.h"
#include "server/generation/chat_choice.h"
#include "services/plugins/plugin_set.h"

namespace cove::server {

class OutputFilter {
 public:
  // `run` may be null, or one that leaves the output alone: then pieces pass untouched.
  OutputFilter(std::shared_ptr<plugins::PluginRun> run, size_t choices);

  // The pieces as they may be shown.
  void push(size_t choice, std::vector<ChatPiece>& pieces);
  // After the choice's last piece.
  void finish(size_t choice, std::vector<ChatPiece>& pieces);

  // A plugin ended this choice: nothing more of it comes out, and its finish_reason is content_filter.
  bool blocked(size_t choice) const { return active_ && states_[choice].blocked; }
  // A plugin failed: the request ends with this error.
  const std::optional<ApiError>& failure() const { return failure_; }
  const plugins::PluginNotes& notes() const;

 private:
  struct State {
    std::optional<uint64_t> reasoning;  // the texts that are open
    std::optional<uint64_t> content;
    bool blocked = false;
  };
  void add_text(size_t choice, ChatPiece::Kind kind, std::string_view text, plugins::End end,
                std::vector<ChatPiece>& out);
  void add_call(size_t choice, ChatPiece& piece, std::vector<ChatPiece>& out);
  void filter_strings(size_t choice, json::value& value);
  std::string filter(size_t choice, plugins::Piece piece);
  void close(size_t choice, ChatPiece::Kind kind, std::vector<ChatPiece>& out);

  std::shared_ptr<plugins::PluginRun> run_;
  bool active_ = false;  // run_ filters the output
  std::vector<State> states_;
  std::optional<ApiError> failure_;
};

}  // namespace cove::server

#pragma once
// What a plugin is. PluginBase is one plugin at work on one request: preprocess() sees the prompt, postprocess() the
// model's output as it streams. A PluginFactory is what the configuration made: one for the life of the server.
// Authors outside this tree use sdk/cove_plugin.h or Lua instead; this is what those are adapted to.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "services/plugins/notes.h"

namespace cove::plugins {

enum class Stage : uint8_t { kPrompt, kReasoning, kAnswer };
std::string_view to_string(Stage stage);

// Who asks for what.
struct RequestInfo {
  std::string request_id{};
  std::string route{};  // "/v1/chat/completions"
  std::string model{};
  std::string identity{};  // Identity::id
  std::string role{};      // "user", "admin"
};

// One text of the prompt. Roles: those of messages (system, user, assistant, tool), prompt (completions), and
// tool_call and tools for the strings in a call's arguments and in the definitions of tools.
struct InputText {
  std::string role;
  std::string text;
};

struct Input {
  std::vector<InputText> texts;  // to be changed in place; none is added or removed
  std::string system;            // a plugin may set it: goes in front of the system prompt. Chat only.
};

enum class End : uint8_t { kMore, kLast };

// The next part of one output text. Texts are independent; a choice has one per stage, and one per string of a tool
// call's arguments.
struct Piece {
  uint64_t text_id = 0;  // unique in the request
  size_t choice = 0;
  Stage stage = Stage::kAnswer;
  std::string_view text;
  End end = End::kMore;  // kLast: comes once; what is held must come out, and the text's state can go
};

enum class Decision : uint8_t { kPass, kBlock };

struct Verdict {
  Decision decision = Decision::kPass;
  std::string message{};  // kBlock at the prompt: why, for the client
};

class PluginBase {
 public:
  virtual ~PluginBase() = default;

  // kBlock refuses the request with `content_filter`.
  virtual Result<Verdict> preprocess(Input& input) {
    (void)input;
    return Verdict{};
  }
  // Appends to `out` what becomes of the piece; may hold text back until a later piece. kBlock ends the choice after
  // `out`, with finish_reason `content_filter`. With an error `out` is what to show when the plugin is skipped; empty =
  // the piece.
  virtual Result<Verdict> postprocess(const Piece& piece, std::string& out) {
    out += piece.text;
    return Verdict{};
  }
  // Whether it can go on after an error; else it stays out for the rest of the request.
  virtual bool survives_errors() const { return false; }
  // Adds what it has done since the last call.
  virtual void take_notes(NoteTaker& notes) { (void)notes; }
};

// Whether a call may take long: then it is made where waiting is allowed.
enum class Pace : uint8_t { kQuick, kMayWait };

// Any thread.
class PluginFactory {
 public:
  virtual ~PluginFactory() = default;
  virtual Result<std::unique_ptr<PluginBase>> open(const RequestInfo& request) = 0;
  virtual Pace pace() const { return Pace::kQuick; }
};

}  // namespace cove::plugins

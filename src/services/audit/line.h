#pragma once
// One line of the log, byte for byte (docs/formats/audit.md):
//   {"seq":7,"prev":"<hash of line 6>","type":"request",...,"hash":"<SHA-256 of all before ,"hash">"}
// and what each type of line but "request" says.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "services/audit/keys.h"

namespace cove::audit {

inline constexpr int64_t kFormatVersion = 1;

inline constexpr std::string_view kOpenLine = "open";              // a start of the program, or a new file
inline constexpr std::string_view kRequestLine = "request";        // a Record
inline constexpr std::string_view kCheckpointLine = "checkpoint";  // signs all lines before it
inline constexpr std::string_view kRecoveredLine = "recovered";    // a crash left half a line
inline constexpr std::string_view kDroppedLine = "dropped";        // records that could not be kept

struct ChainState {
  uint64_t sequence = 0;  // of the last line; the first is 1
  Hash hash{};            // of the last line; zero before the first
};

// Appends the line that follows `state`, with its newline, and advances `state`. `members` is JSON text that begins
// with a comma, or empty.
void append_line(std::string& out, ChainState& state, std::string_view type, std::string_view members);

struct Line {
  uint64_t sequence = 0;
  Hash previous{};
  Hash hash{};  // as the line says
  std::string_view type{};
  std::string_view content{};  // what is hashed
  bool intact() const { return sha256(content) == hash; }
};
// `text` has no newline. Borrows it. Errors: kDataCorrupt when it has not this shape; the hash is not checked.
Result<Line> parse_line(std::string_view text);

// "2026-11-29T05:37:45.123Z".
std::string time_text(int64_t time_ns);
// That, a day, or a moment without fractions: what people write. Errors: kInvalidArgument.
Result<int64_t> parse_time(std::string_view text);
// ,"time":"...","time_ns":"..."
void append_time(std::string& out, int64_t time_ns);

struct CheckpointFields {
  std::string_view log_id;
  uint64_t sequence = 0;  // of the checkpoint itself
  Hash previous{};        // of the line before: stands for all lines before
  int64_t time_ns = 0;
};
// What is signed.
std::string checkpoint_message(const CheckpointFields& fields);
std::string checkpoint_members(const CheckpointFields& fields, const SigningKey& key);

// What an "open" line says.
struct OpenFields {
  std::string log_id{};  // 32 hex digits, drawn when the log began
  uint64_t file = 0;     // its number
  std::string public_key{};
  std::string hash_key_id{};
  uint64_t checkpoint_lines = 0;  // at most so many lines without a checkpoint
  std::string reason{};           // "start", "rotation"
};
std::string open_members(const OpenFields& fields, int64_t time_ns);
// Errors: kDataCorrupt.
Result<OpenFields> parse_open(const Line& line);
// The members of a line's content. Errors: kDataCorrupt when it is no JSON object.
Result<json::object> parse_content(const Line& line);

// Members of JSON objects; nothing when missing or of another type.
std::string_view string_member(const json::object& object, std::string_view key);
int64_t integer_member(const json::object& object, std::string_view key, int64_t missing);

}  // namespace cove::audit

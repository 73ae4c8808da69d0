// Any output, cut at any places: the parsed result is the same as for the whole, and nothing but tags and the
// documented white space is lost. Input: a byte that picks start and format, then the output, in which a zero byte is a
// cut.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/chat/output_parser.h"

namespace {

using namespace cove::text;

struct Parsed {
  std::string reasoning, content, calls;
  bool operator==(const Parsed&) const = default;
};

void add(Parsed& out, const std::vector<OutputDelta>& deltas) {
  for (const OutputDelta& delta : deltas) {
    const int set = (delta.reasoning.empty() ? 0 : 1) + (delta.content.empty() ? 0 : 1) + (delta.calls.empty() ? 0 : 1);
    if (set != 1) __builtin_trap();
    out.reasoning += delta.reasoning;
    out.content += delta.content;
    for (const ToolCall& call : delta.calls) {
      const auto arguments = cove::parse_json(call.arguments);
      if (call.name.empty() || !arguments || !arguments->is_object()) __builtin_trap();
      out.calls += call.name + "(" + call.arguments + ")";
    }
  }
}

Parsed parse(ReasoningStart start, ToolCallFormat format, const std::vector<std::string>& pieces) {
  OutputParser parser(start, format);
  Parsed out;
  for (const std::string& piece : pieces) add(out, parser.push(piece));
  add(out, parser.finish());
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  constexpr ReasoningStart kStarts[] = {ReasoningStart::kDetect, ReasoningStart::kInside, ReasoningStart::kOff};
  constexpr ToolCallFormat kFormats[] = {ToolCallFormat::kNone, ToolCallFormat::kDeepSeek, ToolCallFormat::kHermes,
                                         ToolCallFormat::kAny};
  const ReasoningStart start = kStarts[data[0] % 3];
  const ToolCallFormat format = kFormats[data[0] / 3 % 4];
  std::string whole;
  std::vector<std::string> pieces(1);
  for (size_t i = 1; i < size; ++i) {
    if (data[i] == 0) {
      pieces.emplace_back();
    } else {
      pieces.back() += static_cast<char>(data[i]);
      whole += static_cast<char>(data[i]);
    }
  }
  const Parsed at_once = parse(start, format, {whole});
  if (!(parse(start, format, pieces) == at_once)) __builtin_trap();
  std::vector<std::string> bytes;
  for (const char c : whole) bytes.emplace_back(1, c);
  if (!(parse(start, format, bytes) == at_once)) __builtin_trap();
  if (start == ReasoningStart::kOff && format == ToolCallFormat::kNone && at_once.content != whole) __builtin_trap();
  return 0;
}

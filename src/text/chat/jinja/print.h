#pragma once
// Values as text: Python's str() and repr(), and json.dumps as the tojson filter of Hugging Face's chat templates calls
// it.

#include <string>
#include <string_view>

#include "base/result.h"
#include "text/chat/jinja/value.h"

namespace cove::text::jinja {

// Appends to a string up to a size; nested shared values can print exponentially long.
class Writer {
 public:
  Writer(std::string& out, size_t bytes_max, Budget& budget) : out_(&out), bytes_max_(bytes_max), budget_(&budget) {}
  void write(std::string_view text);
  // False once the size or the budget is used up; what was written is then incomplete.
  bool ok() const { return !overflowed_ && !budget_->exhausted(); }
  std::string& out() { return *out_; }

 private:
  std::string* out_;
  size_t bytes_max_;
  Budget* budget_;
  bool overflowed_ = false;
};

std::string float_repr(double value);
void write_repr(const Value& value, Writer& writer);
void write_str(const Value& value, Writer& writer);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool pretty = false;
  std::string indent;  // one level, when pretty
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

// Errors: "Object of type Undefined is not JSON serializable".
Status write_json(const Value& value, const JsonStyle& style, Writer& writer);

}  // namespace cove::text::jinja

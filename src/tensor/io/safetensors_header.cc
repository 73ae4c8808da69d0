#include "tensor/io/safetensors_header.h"

#include <unordered_set>

#include <fmt/format.h>
#include <boost/json/basic_parser_impl.hpp>

#include "tensor/io/printable.h"

namespace cove {
namespace {

namespace json = boost::json;
using json::error_code;

constexpr size_t kDepthMax = 32;  // of skipped unknown members; the format itself needs 3
constexpr size_t kListMax = 64;   // dimensions; anything longer is hostile
constexpr size_t kDtypeMax = 64;  // bytes of a type's name

// Takes the parser's events; a DOM would cost many times the header's size and hide names that come twice.
class HeaderHandler {
 public:
  static constexpr size_t max_object_size = static_cast<size_t>(-1);
  static constexpr size_t max_array_size = static_cast<size_t>(-1);
  static constexpr size_t max_key_size = size_t{1} << 20;
  static constexpr size_t max_string_size = static_cast<size_t>(-1);

  RawSafetensorsHeader header;
  std::string problem;  // set when an event was refused

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_comment_part(json::string_view, error_code&) { return true; }
  bool on_comment(json::string_view, error_code&) { return true; }
  bool on_number_part(json::string_view, error_code&) { return true; }

  bool on_object_begin(error_code& error) {
    if (depth_ == 1 && !in_metadata_) has_ = {};
    if (depth_ >= 2 && is_field()) return refuse(error, "an object");
    ++depth_;
    return true;
  }
  bool on_object_end(size_t, error_code& error) {
    --depth_;
    if (depth_ != 1) return true;
    if (!in_metadata_ && !(has_.dtype && has_.shape && has_.offsets)) return incomplete(error);
    in_metadata_ = false;
    return true;
  }
  bool on_array_begin(error_code& error) {
    const bool wanted = depth_ == 2 && (field_ == Field::kShape || field_ == Field::kOffsets);
    if (!wanted && (depth_ < 2 || is_field())) return refuse(error, "an array");
    ++depth_;
    return true;
  }
  bool on_array_end(size_t, error_code&) {
    --depth_;
    return true;
  }

  bool on_key_part(json::string_view part, size_t, error_code&) {
    key_.append(part.data(), part.size());
    return true;
  }
  bool on_key(json::string_view part, size_t, error_code& error) {
    key_.append(part.data(), part.size());
    const std::string key = std::exchange(key_, {});
    if (depth_ == 1) return begin_entry(key, error);
    if (depth_ == 2) return in_metadata_ ? begin_metadata(key, error) : begin_field(key, error);
    return true;
  }
  bool on_string_part(json::string_view part, size_t, error_code&) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_string(json::string_view part, size_t, error_code& error) {
    text_.append(part.data(), part.size());
    std::string text = std::exchange(text_, {});
    if (depth_ == 2 && in_metadata_) {
      header.metadata[metadata_key_] = std::move(text);
      return true;
    }
    if (depth_ == 2 && field_ == Field::kDtype) {
      if (text.size() > kDtypeMax) return refuse(error, "an overlong type name");
      header.entries.back().dtype = std::move(text);
      return true;
    }
    return skip_or_refuse(error, "a string");
  }

  bool on_int64(int64_t value, json::string_view, error_code& error) {
    if (value < 0 && is_list_item()) return refuse(error, fmt::format("{}", value));
    return on_unsigned(static_cast<uint64_t>(value), error);
  }
  bool on_uint64(uint64_t value, json::string_view, error_code& error) { return on_unsigned(value, error); }
  bool on_double(double, json::string_view text, error_code& error) {
    return skip_or_refuse(error, fmt::format("{}", std::string_view(text.data(), text.size())));
  }
  bool on_bool(bool, error_code& error) { return skip_or_refuse(error, "a boolean"); }
  bool on_null(error_code& error) { return skip_or_refuse(error, "null"); }

 private:
  enum class Field { kOther, kDtype, kShape, kOffsets };
  struct Has {
    bool dtype = false;
    bool shape = false;
    bool offsets = false;
  };

  bool is_field() const { return in_metadata_ || field_ != Field::kOther; }
  bool is_list_item() const {
    return depth_ == 3 && !in_metadata_ && (field_ == Field::kShape || field_ == Field::kOffsets);
  }

  bool fail(error_code& error, std::string message) {
    problem = std::move(message);
    error = json::error::exception;
    return false;
  }

  // What stands where something else must: names the entry and the field.
  bool refuse(error_code& error, std::string_view found) {
    if (depth_ == 0) return fail(error, fmt::format("the header is {}, must be an object", found));
    if (in_metadata_) return fail(error, fmt::format("__metadata__ holds {}, must be strings only", found));
    const std::string name = printable_name(entry_name_);
    if (depth_ == 1) return fail(error, fmt::format("entry {} is {}, must be an object", name, found));
    constexpr std::string_view kNames[] = {"", "dtype", "shape", "data_offsets"};
    return fail(error, fmt::format("tensor {}: {} holds {}, must be {}", name, kNames[static_cast<int>(field_)], found,
                                   field_ == Field::kDtype ? "a string" : "a list of integers from 0"));
  }

  // A scalar that is neither a wanted one nor part of an unknown member.
  bool skip_or_refuse(error_code& error, std::string_view found) {
    if (depth_ < 2 || is_field()) return refuse(error, found);
    return true;
  }

  bool incomplete(error_code& error) {
    const std::string_view missing = !has_.dtype ? "dtype" : !has_.shape ? "shape" : "data_offsets";
    return fail(error, fmt::format("tensor {} has no {}", printable_name(entry_name_), missing));
  }

  bool begin_entry(const std::string& name, error_code& error) {
    if (!names_.insert(name).second) return fail(error, fmt::format("{} appears twice", printable_name(name)));
    entry_name_ = name;
    in_metadata_ = name == "__metadata__";
    field_ = Field::kOther;
    if (!in_metadata_) header.entries.push_back({name, {}, {}, {}});
    return true;
  }

  bool begin_metadata(const std::string& key, error_code& error) {
    if (header.metadata.contains(key)) {
      return fail(error, fmt::format("__metadata__ has {} twice", printable_name(key)));
    }
    metadata_key_ = key;
    return true;
  }

  bool begin_field(const std::string& key, error_code& error) {
    field_ = key == "dtype"          ? Field::kDtype
             : key == "shape"        ? Field::kShape
             : key == "data_offsets" ? Field::kOffsets
                                     : Field::kOther;
    bool other = false;
    bool& seen = field_ == Field::kDtype     ? has_.dtype
                 : field_ == Field::kShape   ? has_.shape
                 : field_ == Field::kOffsets ? has_.offsets
                                             : other;
    if (seen) return fail(error, fmt::format("tensor {} has {} twice", printable_name(entry_name_), key));
    seen = true;
    return true;
  }

  bool on_unsigned(uint64_t value, error_code& error) {
    if (!is_list_item()) return skip_or_refuse(error, "a number");
    RawTensorEntry& entry = header.entries.back();
    std::vector<uint64_t>& list = field_ == Field::kShape ? entry.shape : entry.data_offsets;
    if (list.size() == kListMax) return refuse(error, "too many numbers");
    list.push_back(value);
    return true;
  }

  int depth_ = 0;  // of objects and arrays we are in; 1 = the root object
  bool in_metadata_ = false;
  Field field_ = Field::kOther;
  Has has_;
  std::string entry_name_;
  std::string metadata_key_;
  std::string key_;  // collected parts
  std::string text_;
  std::unordered_set<std::string> names_;
};

}  // namespace

Result<RawSafetensorsHeader> parse_safetensors_json(std::string_view text) {
  json::parse_options options;
  options.max_depth = kDepthMax;
  json::basic_parser<HeaderHandler> parser(options);
  error_code error;
  const size_t consumed = parser.write_some(false, text.data(), text.size(), error);
  if (!error && text.find_first_not_of(" \t\r\n", consumed) != std::string_view::npos) {
    error = json::error::extra_data;
  }
  if (!error) return std::move(parser.handler().header);
  if (!parser.handler().problem.empty()) return data_corrupt("header: " + parser.handler().problem);
  return data_corrupt(fmt::format("header is not valid JSON at byte {} of it: {}", consumed, error.message()));
}

}  // namespace cove

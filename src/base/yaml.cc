#include "base/yaml.h"

#include <charconv>
#include <string>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>
#include <boost/json.hpp>

namespace cove {
namespace {

constexpr int kDepthMax = 64;
constexpr int64_t kNodesMax = 1'000'000;

Error at(const YAML::Mark& mark, std::string_view what) {
  if (mark.is_null()) return invalid_argument(std::string(what));
  return invalid_argument(fmt::format("line {}, column {}: {}", mark.line + 1, mark.column + 1, what));
}

class Converter {
 public:
  Result<json::value> convert(const YAML::Node& node, int depth) {
    if (depth > kDepthMax) return at(node.Mark(), fmt::format("nested deeper than {}", kDepthMax));
    if (++nodes_ > kNodesMax) return at(node.Mark(), "more than a million nodes");
    switch (node.Type()) {
      case YAML::NodeType::Undefined:
      case YAML::NodeType::Null: return json::value(nullptr);
      case YAML::NodeType::Scalar:
        // yaml-cpp marks quoted and block scalars with the tag "!".
        if (node.Tag() == "!") return json::value(json::string(node.Scalar()));
        return parse_yaml_scalar(node.Scalar());
      case YAML::NodeType::Sequence: return convert_sequence(node, depth);
      case YAML::NodeType::Map: return convert_map(node, depth);
    }
    return at(node.Mark(), "unknown kind of node");
  }

 private:
  Result<json::value> convert_sequence(const YAML::Node& node, int depth) {
    json::array array;
    for (const YAML::Node& item : node) {
      TRY_ASSIGN(json::value value, convert(item, depth + 1));
      array.push_back(std::move(value));
    }
    return json::value(std::move(array));
  }

  Result<json::value> convert_map(const YAML::Node& node, int depth) {
    json::object object;
    for (const auto& member : node) {
      if (!member.first.IsScalar()) return at(member.first.Mark(), "a key must be plain text");
      const std::string& key = member.first.Scalar();
      if (object.contains(key)) return at(member.first.Mark(), fmt::format("the key '{}' is given twice", key));
      TRY_ASSIGN(json::value value, convert(member.second, depth + 1));
      object.emplace(key, std::move(value));
    }
    return json::value(std::move(object));
  }

  int64_t nodes_ = 0;
};

template <class T>
bool parse_whole(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

bool looks_numeric(std::string_view text) {
  return text.find_first_not_of("0123456789+-.eE") == std::string_view::npos &&
         text.find_first_of("0123456789") != std::string_view::npos;
}

}  // namespace

json::value parse_yaml_scalar(std::string_view text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  if (looks_numeric(text)) {
    const std::string_view digits = text.front() == '+' ? text.substr(1) : text;
    int64_t integer = 0;
    if (parse_whole(digits, integer)) return integer;
    double number = 0;
    if (parse_whole(digits, number)) return number;
  }
  return json::value(json::string(text));
}

Result<json::value> parse_yaml(std::string_view text) {
  try {
    const YAML::Node root = YAML::Load(std::string(text));
    return Converter().convert(root, 0);
  } catch (const YAML::Exception& error) {
    return at(error.mark, error.msg);
  }
}

}  // namespace cove

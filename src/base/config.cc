#include "base/config.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "base/check.h"
#include "base/yaml.h"

namespace cove {
namespace {

int edit_distance(std::string_view a, std::string_view b) {
  std::vector<int> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

// A key of the maps in a list: "plugins[].name".
bool is_item_key(const ConfigKey& key) { return key.path.find("[].") != std::string_view::npos; }

// The known key that `path` most likely meant: its last part counts most, so that a key put in the wrong section is
// found.
std::string nearest_path(std::span<const ConfigKey> schema, std::string_view path) {
  const auto leaf = [](std::string_view p) { return p.substr(p.rfind('.') + 1); };
  std::string best;
  int best_score = 1 << 30;
  for (const ConfigKey& key : schema) {
    if (is_item_key(key)) continue;
    const int score = edit_distance(key.path, path) + 2 * edit_distance(leaf(key.path), leaf(path));
    if (score < best_score) {
      best_score = score;
      best = key.path;
    }
  }
  return best;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

bool matches_any(std::string_view text, std::string_view patterns) {
  for (const std::string_view pattern : split(patterns, '|')) {
    if (!pattern.empty() && pattern.back() == '*' && text.starts_with(pattern.substr(0, pattern.size() - 1)))
      return true;
    if (text == pattern) return true;
  }
  return false;
}

std::string_view type_name(ConfigType type) {
  switch (type) {
    case ConfigType::kString: return "text";
    case ConfigType::kInteger: return "an integer";
    case ConfigType::kNumber: return "a number";
    case ConfigType::kBoolean: return "true or false";
    case ConfigType::kList: return "a list";
    case ConfigType::kMaps: return "a list of maps, such as [{name: a}]";
  }
  return "?";
}

// The value as people wrote it: numbers and booleans in canonical form, lists as JSON.
std::string value_text(const json::value& value) {
  if (value.is_string()) return std::string(value.get_string());
  if (value.is_null()) return "";
  if (value.is_double()) return fmt::format("{}", value.get_double());
  return json::serialize(value);
}

bool has_type(const json::value& value, ConfigType type) {
  switch (type) {
    case ConfigType::kString: return value.is_string() || value.is_number() || value.is_bool();
    case ConfigType::kInteger: return value.is_int64();
    case ConfigType::kNumber: return value.is_number();
    case ConfigType::kBoolean: return value.is_bool();
    case ConfigType::kList:
    case ConfigType::kMaps: return value.is_array();
  }
  return false;
}

std::optional<std::string> out_of_range(const ConfigKey& key, const json::value& value, std::string_view text) {
  if (key.range.empty()) return std::nullopt;
  const size_t dots = key.range.find("..");
  if (dots == std::string_view::npos) {
    if (matches_any(text, key.range)) return std::nullopt;
    return fmt::format("must be one of {}", fmt::join(split(key.range, '|'), ", "));
  }
  const auto bound = [](std::string_view part) {
    double number = 0;
    std::from_chars(part.data(), part.data() + part.size(), number);
    return number;
  };
  const double number = value.to_number<double>();
  if (number >= bound(key.range.substr(0, dots)) && number <= bound(key.range.substr(dots + 2))) return std::nullopt;
  return fmt::format("must be {} to {}", key.range.substr(0, dots), key.range.substr(dots + 2));
}

Error bad_value(std::string_view where, std::string_view path, std::string_view text, std::string_view what) {
  return invalid_argument(fmt::format("{}: {}: '{}' {}", where, path, text, what));
}

// Flattens the document to (path, value), stopping at the schema's keys, which may themselves be lists.
Status flatten(std::span<const ConfigKey> schema, std::string_view where, const std::string& prefix,
               const json::object& object, std::vector<std::pair<const ConfigKey*, json::value>>& out) {
  for (const auto& member : object) {
    const std::string path = prefix + std::string(member.key());
    const auto key = std::ranges::find(schema, std::string_view(path), &ConfigKey::path);
    if (key != schema.end() && !is_item_key(*key)) {
      out.emplace_back(&*key, member.value());
      continue;
    }
    const bool section =
        std::ranges::any_of(schema, [&](const ConfigKey& known) { return known.path.starts_with(path + "."); });
    if (!section) {
      return invalid_argument(
          fmt::format("{}: unknown key '{}'; did you mean '{}'?", where, path, nearest_path(schema, path)));
    }
    if (member.value().is_null()) continue;
    if (!member.value().is_object()) {
      return invalid_argument(fmt::format("{}: '{}' is a section: it holds keys, not a value", where, path));
    }
    TRY(flatten(schema, where, path + ".", member.value().get_object(), out));
  }
  return {};
}

json::value parse_text(const ConfigKey& key, std::string_view text) {
  if (key.type == ConfigType::kString) return json::value(json::string(text));
  if (key.type != ConfigType::kList && key.type != ConfigType::kMaps) return parse_yaml_scalar(text);
  if (text.starts_with('[')) {
    auto parsed = parse_yaml(text);
    return parsed ? *parsed : json::value(nullptr);
  }
  json::array items;
  for (const std::string_view item : split(text, ',')) {
    if (!item.empty()) items.push_back(json::value(json::string(item)));
  }
  return json::value(std::move(items));
}

// The section of an environment name that looks like one of ours but is no known key: "server" for COVE_SERVER_PROT.
bool names_known_section(std::span<const ConfigKey> schema, std::string_view name) {
  return std::ranges::any_of(schema, [&](const ConfigKey& key) {
    const std::string_view section = key.path.substr(0, key.path.find('.'));
    return section != key.path && name.starts_with(config_environment_name(section) + "_");
  });
}

}  // namespace

std::string config_environment_name(std::string_view path) {
  std::string name = "COVE_";
  for (const char c : path)
    name.push_back(c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
  return name;
}

namespace {

using Assignment = std::pair<const ConfigKey*, json::value>;

Result<std::pair<std::string, json::value>> check_value(std::string_view where, const ConfigKey& key,
                                                        json::value value) {
  if (value.is_null()) value = key.type == ConfigType::kString ? json::value("") : parse_text(key, key.initial);
  const std::string text = value_text(value);
  if (!has_type(value, key.type))
    return bad_value(where, key.path, text, fmt::format("must be {}", type_name(key.type)));
  const std::string initial = value_text(parse_text(key, key.initial));
  if (text == initial) return std::pair(text, std::move(value));
  if (const auto wrong = out_of_range(key, value, text)) return bad_value(where, key.path, text, *wrong);
  if (key.available == "-" || (!key.available.empty() && !matches_any(text, key.available))) {
    return bad_value(where, key.path, text, "is not available in this version; leave the key out");
  }
  return std::pair(text, std::move(value));
}

Result<std::vector<Assignment>> read_environment(std::span<const ConfigKey> schema, const ConfigSources& sources) {
  std::vector<Assignment> out;
  for (const auto& [name, text] : sources.environment) {
    const auto key =
        std::ranges::find_if(schema, [&](const ConfigKey& k) { return config_environment_name(k.path) == name; });
    if (key != schema.end() && !is_item_key(*key)) {
      out.emplace_back(&*key, parse_text(*key, text));
    } else if (names_known_section(schema, name)) {
      std::string path = name.substr(5);
      for (char& c : path) c = c == '_' ? '.' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      return invalid_argument(fmt::format("environment: unknown key {}; did you mean {}?", name,
                                          config_environment_name(nearest_path(schema, path))));
    }
  }
  return out;
}

}  // namespace

// `prefix` stands before the key's path in messages: "plugins[0].".
Status Config::assign(std::span<const ConfigKey> schema, std::string_view where, const std::string& prefix,
                      const Assignment& assignment, Value::Origin origin) {
  const ConfigKey& key = *assignment.first;
  const std::string name = prefix + std::string(key.path);
  ConfigKey named = key;
  named.path = name;
  TRY_ASSIGN(auto checked, check_value(where, named, assignment.second));
  Value value{.type = key.type, .text = std::move(checked.first), .value = std::move(checked.second), .origin = origin};
  if (key.type == ConfigType::kMaps) {
    TRY_ASSIGN(value.maps, read_maps(schema, where, key, value.value.get_array()));
  }
  values_.insert_or_assign(std::string(key.path), std::move(value));
  return {};
}

Result<std::vector<Config>> Config::read_maps(std::span<const ConfigKey> schema, std::string_view where,
                                              const ConfigKey& key, const json::array& items) {
  const std::string begin = std::string(key.path) + "[].";
  std::vector<ConfigKey> item_schema;
  for (const ConfigKey& known : schema) {
    if (!known.path.starts_with(begin)) continue;
    item_schema.push_back(known);
    item_schema.back().path.remove_prefix(begin.size());
  }
  std::vector<Config> out;
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string prefix = fmt::format("{}[{}].", key.path, i);
    const json::object* object = items[i].if_object();
    if (object == nullptr) {
      return invalid_argument(fmt::format("{}: {}[{}] must be a map, such as {{name: a}}", where, key.path, i));
    }
    Config item;
    for (const ConfigKey& known : item_schema)
      TRY(item.assign({}, "default", prefix, {&known, parse_text(known, known.initial)}, Value::Origin::kDefault));
    for (const auto& member : *object) {
      const auto known = std::ranges::find(item_schema, std::string_view(member.key()), &ConfigKey::path);
      if (known == item_schema.end()) {
        return invalid_argument(fmt::format("{}: unknown key '{}{}'; did you mean '{}{}'?", where, prefix,
                                            std::string_view(member.key()), prefix,
                                            nearest_path(item_schema, member.key())));
      }
      TRY(item.assign({}, where, prefix, {&*known, member.value()}, Value::Origin::kSet));
    }
    out.push_back(std::move(item));
  }
  return out;
}

Result<Config> Config::load(std::span<const ConfigKey> schema, const ConfigSources& sources) {
  Config config;
  using Origin = Value::Origin;
  for (const ConfigKey& key : schema) {
    if (is_item_key(key)) continue;
    TRY(config.assign(schema, "default", "", {&key, parse_text(key, key.initial)}, Origin::kDefault));
  }

  auto document = parse_yaml(sources.yaml);
  if (!document) return with_context(document.error(), sources.yaml_name);
  std::vector<Assignment> file_values;
  if (document->is_object()) {
    TRY(flatten(schema, sources.yaml_name, "", document->get_object(), file_values));
  } else if (!document->is_null()) {
    return invalid_argument(fmt::format("{}: must hold sections such as 'server:'", sources.yaml_name));
  }
  for (const Assignment& one : file_values) TRY(config.assign(schema, sources.yaml_name, "", one, Origin::kSet));

  TRY_ASSIGN(auto environment_values, read_environment(schema, sources));
  for (const Assignment& one : environment_values) TRY(config.assign(schema, "environment", "", one, Origin::kSet));

  for (const auto& [path, text] : sources.flags) {
    const auto key = std::ranges::find(schema, std::string_view(path), &ConfigKey::path);
    COVE_CHECK_MSG(key != schema.end(), path);
    TRY(config.assign(schema, "command line", "", {&*key, parse_text(*key, text)}, Origin::kSet));
  }
  return config;
}

const Config::Value& Config::at(std::string_view path, ConfigType type) const {
  const auto found = values_.find(path);
  COVE_CHECK_MSG(found != values_.end() && found->second.type == type, path);
  return found->second;
}

const std::string& Config::string(std::string_view path) const { return at(path, ConfigType::kString).text; }
int64_t Config::integer(std::string_view path) const { return at(path, ConfigType::kInteger).value.as_int64(); }
double Config::number(std::string_view path) const { return at(path, ConfigType::kNumber).value.to_number<double>(); }
bool Config::boolean(std::string_view path) const { return at(path, ConfigType::kBoolean).value.as_bool(); }
std::vector<std::string> Config::list(std::string_view path) const {
  std::vector<std::string> out;
  for (const json::value& item : at(path, ConfigType::kList).value.as_array()) out.push_back(value_text(item));
  return out;
}
const std::vector<Config>& Config::maps(std::string_view path) const { return at(path, ConfigType::kMaps).maps; }
bool Config::has(std::string_view path) const {
  const auto found = values_.find(path);
  return found != values_.end() && found->second.origin == Value::Origin::kSet;
}

}  // namespace cove

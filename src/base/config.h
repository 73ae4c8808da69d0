#pragma once
// Configuration: a table of known keys (api/config.def), read from YAML, the environment and flags, validated before
// anything starts. Only apps/ uses it: it turns the values into the plain Options structs of their owners.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace cove {

enum class ConfigType : uint8_t { kString, kInteger, kNumber, kBoolean, kList, kMaps };

// One key. The keys of the maps in a list of maps, "plugins", are those that begin with "plugins[]."; they stand in the
// file only. `range` is "MIN..MAX" for numbers, "a|b|c" for strings, empty for anything. `available` lists the values
// that this version can do, as "a|b" or "prefix*"; empty = all of the range, "-" = only the default. What is in the
// range but not available is refused as "not available in this version", so that no setting is ever silently ignored;
// the default always passes.
struct ConfigKey {
  std::string_view path;  // "server.tls.cert"
  ConfigType type;
  std::string_view initial;  // the default, as it would stand in YAML
  std::string_view range;
  std::string_view available;
  std::string_view help;
};

struct ConfigSources {
  std::string yaml;       // the file's content; empty = none
  std::string yaml_name;  // for messages
  std::vector<std::pair<std::string, std::string>>
      environment;                                         // COVE_SECTION_KEY and its text; other names are ignored
  std::vector<std::pair<std::string, std::string>> flags;  // path and text; strongest
};

class Config {
 public:
  // Errors: kInvalidArgument naming the source, the key and, for an unknown key, the nearest known one.
  static Result<Config> load(std::span<const ConfigKey> schema, const ConfigSources& sources);

  // The key must be one of the schema, of that type.
  const std::string& string(std::string_view path) const;
  int64_t integer(std::string_view path) const;
  double number(std::string_view path) const;
  bool boolean(std::string_view path) const;
  // kList, its items as text.
  std::vector<std::string> list(std::string_view path) const;
  // kMaps: one Config each, whose paths are what stands behind "plugins[].".
  const std::vector<Config>& maps(std::string_view path) const;
  // Whether the key was set, rather than left to its default.
  bool has(std::string_view path) const;

 private:
  struct Value {
    ConfigType type;
    std::string text;
    json::value value;
    enum class Origin : uint8_t { kDefault, kSet } origin = Origin::kDefault;
    std::vector<Config> maps{};  // kMaps
  };
  using Assignment = std::pair<const ConfigKey*, json::value>;
  Status assign(std::span<const ConfigKey> schema, std::string_view where, const std::string& prefix,
                const Assignment& assignment, Value::Origin origin);
  static Result<std::vector<Config>> read_maps(std::span<const ConfigKey> schema, std::string_view where,
                                               const ConfigKey& key, const json::array& items);
  const Value& at(std::string_view path, ConfigType type) const;
  std::map<std::string, Value, std::less<>> values_;
};

// "COVE_SERVER_TLS_CERT" for "server.tls.cert".
std::string config_environment_name(std::string_view path);

}  // namespace cove

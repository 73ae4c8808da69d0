#pragma once
// Typed access to a JSON object such as config.json, with ranges: every error says which key of which file, what it is
// and what it must be. A null counts as absent. Used by families/ and generation_defaults.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace cove {

template <class T>
struct Range {
  T min;
  T max;
};

class ConfigReader {
 public:
  // `where` stands in front of keys in messages: "config.json". The value must outlive the reader.
  ConfigReader(const json::value& value, std::string where) : value_(value), where_(std::move(where)) {}

  // nullptr when missing or null.
  const json::value* find(std::string_view key) const;
  Result<std::optional<int64_t>> integer(std::string_view key, Range<int64_t> range) const;
  Result<std::optional<double>> number(std::string_view key, Range<double> range) const;
  Result<std::optional<bool>> boolean(std::string_view key) const;
  Result<std::optional<std::string>> string(std::string_view key) const;
  // One token id or a list of them; empty when missing.
  Result<std::vector<int32_t>> token_ids(std::string_view key) const;
  Result<int64_t> required_integer(std::string_view key, Range<int64_t> range) const;
  // The object under `key`; nullopt when missing.
  Result<std::optional<ConfigReader>> object(std::string_view key) const;

  // "config.json: num_hidden_layers ..." as an error.
  Error corrupt(std::string_view key, std::string_view problem) const;
  Error unsupported(std::string_view key, std::string_view problem) const;

 private:
  const json::value& value_;
  std::string where_;
};

}  // namespace cove

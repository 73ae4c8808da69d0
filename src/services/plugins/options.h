#pragma once
// The configuration of the plugins, as plain values; apps/cove fills it from cove.yaml.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "services/plugins/plugin_base.h"

namespace cove::plugins {

enum class PluginType : uint8_t { kWords, kMask, kTemplate, kLua, kSharedObject, kHttp };
enum class OnError : uint8_t { kRefuse, kSkip };

struct WordsOptions {
  std::vector<std::filesystem::path> block, replace, log;  // lists: one word a line
  uint32_t gap_max = 3;
  bool whole_words = true;
  std::string replacement = "*";
  std::string message;  // follows an answer that was cut off
};

enum class MaskStyle : uint8_t { kPlaceholder, kStars, kPartial };

struct MaskOptions {
  std::vector<std::string> kinds;  // id, mobile, card, email
  MaskStyle style = MaskStyle::kPlaceholder;
  bool restore = false;
};

struct TemplateOptions {
  std::string system;
  std::string user;
};

struct LuaOptions {
  std::filesystem::path file;
  std::string settings;
  size_t memory_bytes = size_t{16} << 20;
  int64_t instructions_max = 10'000'000;
};

struct SharedObjectOptions {
  std::filesystem::path file;
  std::string settings;
};

struct HttpOptions {
  std::string url;
  std::string token;  // sent as "Authorization: Bearer"
  std::string ca_file;
};

struct PluginOptions {
  std::string name;
  PluginType type = PluginType::kWords;
  std::vector<std::string> routes, roles;  // empty = all
  std::vector<Stage> stages;               // empty = all that the type can
  OnError on_error = OnError::kRefuse;
  std::chrono::milliseconds timeout{1000};
  // The one of `type` counts.
  WordsOptions words{};
  MaskOptions mask{};
  TemplateOptions prompt_template{};
  LuaOptions lua{};
  SharedObjectOptions shared_object{};
  HttpOptions http{};
};

}  // namespace cove::plugins

#include "model_key.h"

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include <fmt/format.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/secret_memory.h"
#include "engine/loading/model_source.h"
#include "key_command.h"

namespace cove::app {
namespace {

namespace fs = std::filesystem;

constexpr const char* kKeyVariable = "COVE_MODEL_KEY";
constexpr std::chrono::seconds kCommandTimeout{30};
constexpr size_t kKeyBytesMax = 4096;

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

void wipe_text(std::string& text) { wipe(std::as_writable_bytes(std::span(text))); }

Result<SealKey> parse_key(std::string text, const std::string& place) {
  auto key = SealKey::from_text(text);
  wipe_text(text);
  if (!key) return Error{key.error().code, fmt::format("{} {}", place, key.error().message)};
  return key;
}

// Programs that this one starts, and /proc/PID/environ, shall not show it.
void forget_variable() {
  if (char* value = std::getenv(kKeyVariable); value != nullptr) ::explicit_bzero(value, std::strlen(value));
  ::unsetenv(kKeyVariable);
}

}  // namespace

KeyPlaces key_places(const std::string& flag_file) {
  return {.flag_file = flag_file,
          .file = from_environment("COVE_MODEL_KEY_FILE"),
          .command = from_environment("COVE_MODEL_KEY_COMMAND")};
}

void add_key_flag(Flags& flags, std::string& key_file) {
  flags.add("--key-file", key_file,
            "the key of an encrypted model (default: $COVE_MODEL_KEY, $COVE_MODEL_KEY_FILE, $COVE_MODEL_KEY_COMMAND)");
}

Result<SealKey> read_key_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);  // may be a pipe, such as <(vault kv get ...)
  std::string text(kKeyBytesMax + 1, '\0');
  if (in) in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in && !in.eof()) {
    return make_error(ErrorCode::kNotFound,
                      fmt::format("key file {} cannot be read: {}", path.string(), std::strerror(errno)));
  }
  text.resize(static_cast<size_t>(in.gcount()));
  struct stat info{};
  if (::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && (info.st_mode & 077) != 0) {
    log::warn("model.key_file_open_to_others", {{"path", path.string()}, {"next", "chmod 600 " + path.string()}});
  }
  return parse_key(std::move(text), fmt::format("key file {}", path.string()));
}

Result<SealKey> read_key(const KeyPlaces& places) {
  if (!places.flag_file.empty()) return read_key_file(places.flag_file);
  if (std::string text = from_environment(kKeyVariable); !text.empty()) {
    forget_variable();
    return parse_key(std::move(text), kKeyVariable);
  }
  if (!places.file.empty() && !places.command.empty()) {
    return invalid_argument("both model.key_file and model.key_command are set; keep the one that holds the key");
  }
  if (!places.file.empty()) return read_key_file(places.file);
  if (!places.command.empty()) {
    auto printed = run_key_command(places.command, kCommandTimeout);
    if (!printed) return with_context(std::move(printed).error(), "model.key_command");
    return parse_key(std::move(*printed), "what model.key_command printed");
  }
  return make_error(ErrorCode::kFailedPrecondition,
                    "no key was given: use --key-file FILE, COVE_MODEL_KEY, model.key_file or model.key_command "
                    "(COVE_MODEL_KEY_FILE, COVE_MODEL_KEY_COMMAND); 'cove key new FILE' makes one");
}

bool ModelKeys::has_place() const {
  return key_ || !places_.flag_file.empty() || !places_.file.empty() || !places_.command.empty() ||
         !from_environment(kKeyVariable).empty();
}

Result<std::optional<SealKey>> ModelKeys::key_of(const fs::path& model) {
  if (!engine::needs_key(model)) return std::optional<SealKey>();
  if (key_) return key_;
  if (!has_place()) return std::optional<SealKey>();  // opening the model says which key it wants
  auto key = read_key(places_);
  if (!key) return with_context(std::move(key).error(), fmt::format("{} is encrypted", model.string()));
  keep_out_of_core_dumps();
  key_ = *key;
  return key_;
}

}  // namespace cove::app

// cove key: makes keys of encrypted models and tells them apart.
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "actions.h"
#include "base/json.h"
#include "commands.h"
#include "model_key.h"

namespace cove::app {
namespace {

// Never over an existing file: the models of the key that stands there would be lost.
Status write_new_key(const std::string& path, const SealKey& key) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 && errno == EEXIST) {
    return invalid_argument(fmt::format(
        "{} exists already; a key is never overwritten, choose another name or remove the file yourself", path));
  }
  if (fd < 0) return make_error(ErrorCode::kIo, fmt::format("{} cannot be created: {}", path, std::strerror(errno)));
  const std::string text = key.to_hex() + "\n";
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  const int error = errno;
  ::close(fd);
  if (written) return {};
  ::unlink(path.c_str());
  return make_error(ErrorCode::kIo, fmt::format("{} cannot be written: {}", path, std::strerror(error)));
}

int run_new(int argc, const char* const* argv) {
  std::string path;
  bool json = false;
  Flags flags("key new", "Makes a random 256-bit key for encrypted models.");
  flags.add("FILE", path, "where it goes, readable by you alone (mode 0600); without it, standard output");
  flags.add_switch("--json", json, "print JSON");
  flags.footer("Examples:\n  cove key new model.key\n  cove key new | vault kv put secret/cove key=-");
  if (const auto code = flags.parse(argc, argv)) return *code;
  const SealKey key = SealKey::generate();
  if (!path.empty()) {
    const Status written = write_new_key(path, key);
    if (!written) return fail("key new", written.error().message);
  }
  if (json) {
    json::object out{{"id", key.id()}};
    out[path.empty() ? "key" : "path"] = path.empty() ? key.to_hex() : path;
    fmt::print("{}\n", json::serialize(out));
  } else if (path.empty()) {
    fmt::print("{}\n", key.to_hex());
  } else {
    fmt::print("{}: key {}; keep a second copy in another place, without it the models are lost\n", path, key.id());
  }
  return kDone;
}

int run_id(int argc, const char* const* argv) {
  std::string path;
  Flags flags("key id", "Prints the name by which messages and encrypted files call a key; it does not tell the key.");
  flags.add("FILE", path, "a key file");
  flags.require("FILE");
  if (const auto code = flags.parse(argc, argv)) return *code;
  const auto key = read_key_file(path);
  if (!key) return fail("key id", key.error().message);
  fmt::print("{}\n", key->id());
  return kDone;
}

constexpr Command kActions[] = {
    {"new", "make a key", run_new},
    {"id", "the name of a key, as messages call it", run_id},
};

int run(int argc, const char* const* argv) { return run_action("key", kActions, argc, argv); }

}  // namespace

const Command kKey{"key", "make keys for encrypted models", run};

}  // namespace cove::app

#pragma once
// The key of encrypted weights, from wherever the operator keeps it. Used by every command that reads a model.
//
// First of: --key-file, COVE_MODEL_KEY, model.key_file or model.key_command (of cove.yaml, or as COVE_MODEL_KEY_FILE
// and COVE_MODEL_KEY_COMMAND). Nothing is read or run unless the model is encrypted.

#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"
#include "flags.h"
#include "tensor/io/seal_key.h"

namespace cove::app {

// Where to look; empty = not there.
struct KeyPlaces {
  std::string flag_file;  // --key-file
  std::string file;       // model.key_file
  std::string command;    // model.key_command
};

// For commands without a configuration file: the two settings come from the environment.
KeyPlaces key_places(const std::string& flag_file);
void add_key_flag(Flags& flags, std::string& key_file);

// Errors: kFailedPrecondition when no place holds a key, others naming the place. COVE_MODEL_KEY is taken out of the
// environment once it was read.
Result<SealKey> read_key(const KeyPlaces& places);
Result<SealKey> read_key_file(const std::filesystem::path& path);

// Gives the key of models that need one, reading it once. From the first key on, crashes write no memory to disk.
class ModelKeys {
 public:
  explicit ModelKeys(KeyPlaces places) : places_(std::move(places)) {}
  // nullopt when the model is not encrypted. Errors name the model and the place of the key.
  Result<std::optional<SealKey>> key_of(const std::filesystem::path& model);
  bool has_place() const;

 private:
  KeyPlaces places_;
  std::optional<SealKey> key_;
};

}  // namespace cove::app

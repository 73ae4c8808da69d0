#pragma once
// What `cove serve` tells a person once it is ready.

#include <optional>
#include <string>

#include "engine/api/engine.h"

namespace cove::app {

struct Banner {
  std::string base_url;  // "https://127.0.0.1:8080"
  std::string trust;     // a self-signed certificate's file, which curl must be told of; empty otherwise
  engine::ModelInfo model;
  std::string model_name;
  double loading_s = 0;
  std::optional<std::string> new_key;  // the admin key, on the first start only
  std::string key_path;                // DATA/admin.key; empty = auth.mode off
  std::string login_code;              // empty = auth.mode off
  std::string data;
};

// To standard output.
void print_banner(const Banner& banner);

}  // namespace cove::app

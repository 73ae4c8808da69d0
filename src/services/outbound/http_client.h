#pragma once
// The only way out of this machine: one HTTP request to an address that the configuration names (JWKS, webhooks, HTTP
// hooks). Blocks; for threads that may wait, never the I/O or the engine's thread. No redirects are followed, no proxy
// of the environment is used, certificates are checked.

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace cove::outbound {

struct HttpRequest {
  std::string method = "GET";  // GET or POST
  std::string url;             // http:// or https://
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string body{};
  std::string ca_file{};                     // PEM; empty = the system's
  std::chrono::milliseconds timeout{5'000};  // for everything, name look-up included
  size_t response_bytes_max = size_t{1} << 20;
};

struct HttpResponse {
  int status = 0;
  std::string content_type;
  std::string body;
};

// Any status is a response. Errors: kInvalidArgument (no http or https URL), kUnavailable (no connection, timeout, bad
// certificate), kResourceExhausted (the response is longer than allowed).
Result<HttpResponse> send(const HttpRequest& request);

}  // namespace cove::outbound

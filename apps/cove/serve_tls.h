#pragma once
// TLS of `cove serve`: loads the certificate that the configuration names, and loads it again when its files change.
// Main thread.

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "base/config.h"
#include "server/http/tls.h"

namespace cove::app {

class TlsKeeper {
 public:
  // Without server.tls.* there is nothing to keep and context() is null. Errors: as TlsContext::load.
  static Result<TlsKeeper> open(const Config& config, int64_t now_s);

  const std::shared_ptr<const http::TlsContext>& context() const { return context_; }
  bool on() const { return context_ != nullptr; }

  enum class When : uint8_t { kIfChanged, kNow };
  // To be called about once a second. The new context when there is one; null when nothing changed, or when what is
  // there now cannot be used: then the old one stays and the log says why. Files that are still being replaced are
  // waited for: they count as changed once two calls saw them alike.
  std::shared_ptr<const http::TlsContext> poll(When when, int64_t now_s);

 private:
  // What tells a file from its successor: device, inode, size, time of change.
  using Stamp = std::array<int64_t, 5>;
  using Stamps = std::array<Stamp, 3>;
  Stamps stamps() const;
  void warn_of_expiry(int64_t now_s);

  http::TlsFiles files_;
  std::shared_ptr<const http::TlsContext> context_;
  Stamps loaded_{};
  Stamps seen_{};
  int64_t warned_s_ = 0;
};

// "https://cove.example.com:8443": where a client on this machine finds the server. With TLS a name that the
// certificate is made out for, when there is one.
std::string base_url(const std::string& host, uint16_t port, const http::TlsContext* tls);

}  // namespace cove::app

#include "serve_tls.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "base/log.h"

namespace cove::app {
namespace {

constexpr int64_t kDayS = 86'400;
constexpr int64_t kWarnDays = 21;

http::TlsFiles files_of(const Config& config) {
  const std::string& auth = config.string("server.tls.client_auth");
  return {.cert = config.string("server.tls.cert"),
          .key = config.string("server.tls.key"),
          .client_ca = config.string("server.tls.client_ca"),
          .client_auth = auth == "required"   ? http::ClientAuth::kRequired
                         : auth == "optional" ? http::ClientAuth::kOptional
                                              : http::ClientAuth::kOff};
}

std::array<int64_t, 5> stamp_of(const std::string& path) {
  struct stat info{};
  if (path.empty() || ::stat(path.c_str(), &info) != 0) return {};
  return {static_cast<int64_t>(info.st_dev), static_cast<int64_t>(info.st_ino), static_cast<int64_t>(info.st_size),
          static_cast<int64_t>(info.st_ctim.tv_sec), static_cast<int64_t>(info.st_ctim.tv_nsec)};
}

std::string bracketed(const std::string& host) { return host.find(':') == std::string::npos ? host : "[" + host + "]"; }

}  // namespace

Result<TlsKeeper> TlsKeeper::open(const Config& config, int64_t now_s) {
  TlsKeeper keeper;
  keeper.files_ = files_of(config);
  const http::TlsFiles& files = keeper.files_;
  if (files.cert.empty() && files.key.empty()) {
    if (!files.client_ca.empty() || files.client_auth != http::ClientAuth::kOff)
      return invalid_argument("server.tls.client_auth needs TLS: set server.tls.cert and server.tls.key too");
    return keeper;
  }
  keeper.loaded_ = keeper.seen_ = keeper.stamps();
  TRY_ASSIGN(keeper.context_, http::TlsContext::load(files, now_s));
  keeper.warn_of_expiry(now_s);
  return keeper;
}

TlsKeeper::Stamps TlsKeeper::stamps() const {
  return {stamp_of(files_.cert), stamp_of(files_.key), stamp_of(files_.client_ca)};
}

std::shared_ptr<const http::TlsContext> TlsKeeper::poll(When when, int64_t now_s) {
  if (!on()) return nullptr;
  warn_of_expiry(now_s);
  const Stamps before = seen_;
  seen_ = stamps();
  const bool settled = seen_ == before && seen_ != loaded_;
  if (when == When::kIfChanged && !settled) return nullptr;
  loaded_ = seen_;
  auto loaded = http::TlsContext::load(files_, now_s);
  if (!loaded) {
    log::error("tls.reload_failed",
               {{"error", loaded.error().message}, {"effect", "the old certificate stays in use"}});
    return nullptr;
  }
  context_ = std::move(*loaded);
  warned_s_ = 0;
  log::info("tls.reloaded", {{"cert", files_.cert}, {"days_left", (context_->not_after_s() - now_s) / kDayS}});
  warn_of_expiry(now_s);
  return context_;
}

// Once a day.
void TlsKeeper::warn_of_expiry(int64_t now_s) {
  const int64_t left_s = context_->not_after_s() - now_s;
  if (left_s > kWarnDays * kDayS || now_s - warned_s_ < kDayS) return;
  warned_s_ = now_s;
  log::warn("tls.certificate_expires", {{"cert", files_.cert}, {"days_left", left_s / kDayS}, {"next", "renew it"}});
}

std::string base_url(const std::string& host, uint16_t port, const http::TlsContext* tls) {
  const bool any = host == "0.0.0.0" || host == "::";
  std::string name = any ? "127.0.0.1" : host;
  if (tls != nullptr && !tls->covers(name)) {
    for (const std::string& known : tls->names()) {
      if (known.find('*') != std::string::npos) continue;
      name = known;
      break;
    }
  }
  return fmt::format("{}://{}:{}", tls == nullptr ? "http" : "https", bracketed(name), port);
}

}  // namespace cove::app

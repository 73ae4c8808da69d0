// What the gateway costs: chat requests at a fixed rate over loopback against a stubbed engine, with everything off and
// with everything on, in turns; the difference is what identity, watching, logging, the audit log (full texts, synced
// before each answer) and TLS add to a request.
//   gateway_bench [--rate 1000] [--seconds 20] [--sync always]
// seconds of each variant; --rate 0: the highest throughput; --sync: audit.sync, always or interval
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/log.h"
#include "server/gateway.h"
#include "server/http/server.h"
#include "server/http/tls.h"
#include "server/testing/fake_engine.h"
#include "server/testing/load_client.h"
#include "services/anomaly/watch.h"
#include "services/audit/audit_log.h"
#include "services/certificates/self_signed.h"

namespace cove::server {
namespace {

using testing::LoadClient;
using testing::LoadPlan;
using testing::LoadResult;

constexpr int kTurns = 4;
constexpr double kTargetMs = 1.0;                       // p99 added
audit::SyncPolicy g_sync = audit::SyncPolicy::kAlways;  // set once, by run()

enum class Variant : uint8_t { kOff, kNoAudit, kOn, kOnTls };
constexpr std::array kVariants = {Variant::kOff, Variant::kNoAudit, Variant::kOn, Variant::kOnTls};
std::string_view name_of(Variant variant) {
  switch (variant) {
    case Variant::kOff: return "everything off";
    case Variant::kNoAudit: return "everything on but the audit log";
    case Variant::kOn: return "everything on";
    case Variant::kOnTls: return "everything on, TLS";
  }
  return "";
}

// A folder for database, certificate and log, as a served installation has them on disk.
class Folder {
 public:
  Folder() : path_((std::filesystem::temp_directory_path() / "cove-gateway-bench-XXXXXX").string()) {
    COVE_CHECK(::mkdtemp(path_.data()) != nullptr);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::shared_ptr<const http::TlsContext> make_certificate(const Folder& folder) {
  const int64_t now_s = std::time(nullptr);
  const auto made = certificates::make_self_signed(
      {.hosts = {"localhost"}, .not_before_s = now_s - 60, .not_after_s = now_s + 86'400});
  COVE_CHECK(made.has_value());
  std::ofstream(folder.file("cert.pem")) << made->certificate_pem;
  std::ofstream(folder.file("key.pem")) << made->key_pem;
  ::chmod(folder.file("key.pem").c_str(), 0600);
  auto loaded =
      http::TlsContext::load({.cert = folder.file("cert.pem"), .key = folder.file("key.pem"), .client_ca = {}}, now_s);
  COVE_CHECK(loaded.has_value());
  return *loaded;
}

std::unique_ptr<audit::Log> open_audit(const Folder& folder) {
  auto opened = audit::Log::open({.dir = folder.file("audit"),
                                  .signing_key_file = folder.file("audit-sign.pem"),
                                  .hash_key_file = folder.file("audit-hash.key"),
                                  .prompts = audit::PromptForm::kFull,
                                  .sync = g_sync});
  COVE_CHECK(opened.has_value());
  return std::move(*opened);
}

// A gateway with its services, serving on a free port.
class Served {
 public:
  Served(Variant variant, const Folder& folder) : on_(variant != Variant::kOff) {
    database_ = std::move(*storage::Database::open({.path = folder.file("cove.db")}));
    keys_ = std::make_unique<auth::ApiKeys>(*database_);
    users_ = std::make_unique<auth::Users>(*database_, auth::PasswordCost{});
    key_ = keys_->create({.name = "bench", .role = auth::Role::kUser, .expires_s = {}}, 1)->secret;
    GatewayServices services{.keys = keys_.get(), .sessions = &sessions_};
    if (on_) {
      services.users = users_.get();
      services.watch = &watch_;
    }
    if (variant == Variant::kOn || variant == Variant::kOnTls) {
      audit_ = open_audit(folder);
      services.audit = audit_.get();
    }
    gateway_ = std::make_unique<Gateway>(GatewayOptions{.auth = on_ ? AuthMode::kRequired : AuthMode::kOff, .work = {}},
                                         services);
    gateway_->set_model(serve_model({.engine = &engine_,
                                     .tokenizer = &engine_.tokenizer(),
                                     .chat_template = &template_,
                                     .name = "fake",
                                     .aliases = {},
                                     .defaults = {},
                                     .bos_token = {},
                                     .eos_token = {}},
                                    1));
    http::ServerOptions options;
    options.port = 0;
    if (variant == Variant::kOnTls) options.tls = make_certificate(folder);
    server_ = std::move(*http::Server::create(options, *gateway_));
    thread_ = std::thread([this] { server_->run(); });
    log::configure(on_ ? log::Level::kInfo : log::Level::kOff, log::Style::kJson);
  }
  ~Served() {
    server_->stop();
    thread_.join();
  }
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;

  uint16_t port() const { return server_->port(); }
  std::string request() const {
    const std::string body =
        R"({"model":"fake","messages":[{"role":"user","content":"say:all well"}],"temperature":0.7,"seed":1})";
    return fmt::format(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n"
        "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
        key_, body.size(), body);
  }
  // Processor time of the I/O thread so far, in seconds.
  double io_cpu_s() {
    clockid_t clock{};
    timespec time{};
    pthread_getcpuclockid(thread_.native_handle(), &clock);
    ::clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
  }

 private:
  bool on_;
  std::unique_ptr<audit::Log> audit_;
  testing::FakeEngine engine_{std::chrono::microseconds(0)};
  testing::PlainTemplate template_;
  std::unique_ptr<storage::Database> database_;
  std::unique_ptr<auth::ApiKeys> keys_;
  std::unique_ptr<auth::Users> users_;
  auth::Sessions sessions_;
  anomaly::Watch watch_{{}, {}};
  std::string key_;
  std::unique_ptr<Gateway> gateway_;
  std::unique_ptr<http::Server> server_;
  std::thread thread_;
};

struct Measured {
  LoadResult load;
  double io_cpu_s = 0;
};

double quantile(const std::vector<double>& sorted, double q) {
  if (sorted.empty()) return 0;
  return sorted[std::min(sorted.size() - 1, static_cast<size_t>(q * static_cast<double>(sorted.size())))];
}

void measure(Variant variant, SSL_CTX* tls, const LoadPlan& base, Measured& into) {
  const Folder folder;
  Served served(variant, folder);
  LoadPlan plan = base;
  plan.port = served.port();
  plan.request = served.request();
  plan.tls = variant == Variant::kOnTls ? tls : nullptr;
  LoadPlan warm = plan;
  warm.seconds = 0.5;
  LoadClient(warm).run();
  LoadClient client(plan);
  const double before_s = served.io_cpu_s();
  const LoadResult result = client.run();
  into.io_cpu_s += served.io_cpu_s() - before_s;
  into.load.failed += result.failed;
  into.load.seconds += result.seconds;
  into.load.latencies_ms.insert(into.load.latencies_ms.end(), result.latencies_ms.begin(), result.latencies_ms.end());
}

// False when the target is missed.
bool report(std::array<Measured, kVariants.size()>& measured, const LoadPlan& plan) {
  fmt::print("chat requests {} over {} connections, engine stubbed; latency in ms from when each was due\n\n",
             plan.rate > 0 ? fmt::format("at {:.0f}/s", plan.rate) : "as fast as they are answered", plan.connections);
  fmt::print(
      "| variant | answers | failed | a second | p50 | p90 | p99 | p99.9 | I/O thread, us a request | added p50 | "
      "added "
      "p99 |\n");
  fmt::print("|---|---|---|---|---|---|---|---|---|---|---|\n");
  std::array<double, 2> base{};
  bool fine = true;
  for (size_t i = 0; i < kVariants.size(); ++i) {
    std::vector<double>& all = measured[i].load.latencies_ms;
    std::sort(all.begin(), all.end());
    const std::array now = {quantile(all, 0.5), quantile(all, 0.99)};
    if (i == 0) base = now;
    fmt::print("| {} | {} | {} | {:.0f} | {:.3f} | {:.3f} | {:.3f} | {:.3f} | {:.0f} | {:.3f} | {:.3f} |\n",
               name_of(kVariants[i]), all.size(), measured[i].load.failed,
               static_cast<double>(all.size()) / measured[i].load.seconds, now[0], quantile(all, 0.9), now[1],
               quantile(all, 0.999), measured[i].io_cpu_s * 1e6 / static_cast<double>(std::max<size_t>(1, all.size())),
               now[0] - base[0], now[1] - base[1]);
    fine = fine && measured[i].load.failed == 0 && (plan.rate <= 0 || now[1] - base[1] < kTargetMs);
  }
  if (plan.rate <= 0) return fine;
  fmt::print("\ntarget: p99 added below {:.0f} ms at 1000/s: {}\n", kTargetMs, fine ? "met" : "missed");
  return fine;
}

int run(int argc, char** argv) {
  LoadPlan plan;
  plan.seconds = 20;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--rate") == 0) plan.rate = std::atof(argv[i + 1]);
    if (std::strcmp(argv[i], "--sync") == 0 && std::strcmp(argv[i + 1], "interval") == 0)
      g_sync = audit::SyncPolicy::kInterval;
    if (std::strcmp(argv[i], "--seconds") == 0) plan.seconds = std::atof(argv[i + 1]);
  }
  plan.seconds /= kTurns;
  const Folder folder;
  // The log is part of what is on: to a file, as a service has it.
  if (std::freopen(folder.file("log").c_str(), "w", stderr) == nullptr) return 1;
  SSL_CTX* tls = SSL_CTX_new(TLS_client_method());
  std::array<Measured, kVariants.size()> measured;
  for (int turn = 0; turn < kTurns; ++turn) {
    for (size_t i = 0; i < kVariants.size(); ++i) measure(kVariants[i], tls, plan, measured[i]);
  }
  SSL_CTX_free(tls);
  return report(measured, plan) ? 0 : 1;
}

}  // namespace
}  // namespace cove::server

int main(int argc, char** argv) { return cove::server::run(argc, argv); }

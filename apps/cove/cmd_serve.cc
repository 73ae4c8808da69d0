// cove serve: the only place where configuration, engine and server meet.
#include <chrono>
#include <cstdio>
#include <ctime>
#include <future>
#include <thread>

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include "audit_config.h"
#include "base/log.h"
#include "base/nvml.h"
#include "commands.h"
#include "open_engine.h"
#include "serve_alerts.h"
#include "serve_banner.h"
#include "serve_config.h"
#include "serve_engine.h"
#include "serve_identity.h"
#include "serve_model_key.h"
#include "serve_plugins.h"
#include "serve_run.h"
#include "serve_signals.h"
#include "serve_tls.h"
#include "server/gateway.h"
#include "server/http/server.h"
#include "weights_digest.h"

namespace cove::app {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kPoll{50};
constexpr std::chrono::seconds kLastAnswers{5};               // for the answers of a device that failed
constexpr uint64_t kDigestAtOnceBytes = uint64_t{256} << 20;  // less than half a second

struct Arguments {
  StateFlags state;
  std::optional<std::string> model, host, device;
  std::optional<int64_t> port;
};

std::vector<std::pair<std::string, std::string>> overrides_of(const Arguments& arguments) {
  std::vector<std::pair<std::string, std::string>> out;
  if (arguments.model) out.emplace_back("model.path", *arguments.model);
  if (arguments.host) out.emplace_back("server.host", *arguments.host);
  if (arguments.device) out.emplace_back("engine.device", *arguments.device);
  if (arguments.port) out.emplace_back("server.port", std::to_string(*arguments.port));
  return out;
}

// A thousand streams need a thousand descriptors; the usual soft limit is 1024.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 65536);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

http::ServerOptions server_options(const Config& config) {
  http::ServerOptions options;
  options.host = config.string("server.host");
  options.port = static_cast<uint16_t>(config.integer("server.port"));
  options.body_bytes_max = static_cast<size_t>(config.integer("server.body_mb_max")) << 20;
  return options;
}

// Everything that lives as long as the process serves, in the order of construction.
class Service {
 public:
  enum class End : uint8_t { kStopped, kDeviceFailed };

  static Result<std::unique_ptr<Service>> create(ServeConfig config, OpenModel open_model) {
    std::unique_ptr<Service> service(new Service(std::move(config), std::move(open_model)));
    TRY(service->open());
    return service;
  }

  ~Service() {
    if (server_ != nullptr) server_->stop();
    if (io_thread_.joinable()) io_thread_.join();
    // Every request has ended and left its record.
    if (audit_ == nullptr) return;
    if (const Status closed = audit_->close(); !closed)
      log::error("audit.not_closed", {{"error", closed.error().message}});
  }

  // Serves until a stop signal. The first one drains, a second one ends at once.
  Result<End> run(StopSignals& signals) {
    io_thread_ = std::thread([this] { server_->run(); });
    TRY_ASSIGN(const bool ready, load(signals));
    if (!ready) return End::kStopped;
    while (!signals.wait(milliseconds(1'000))) {
      keep_up(signals);
      // A fresh process can be ready sooner than this one.
      if (model_.engine->health() == engine::Health::kFailed) {
        end_after_failure();
        return End::kDeviceFailed;
      }
    }
    drain(signals);
    return End::kStopped;
  }

 private:
  Service(ServeConfig config, OpenModel open_model) : config_(std::move(config)), open_model_(std::move(open_model)) {}
  const Config& values() const { return config_.values; }
  bool open_to_all() const { return values().string("auth.mode") == "off"; }

  Status open() {
    const std::string& host = values().string("server.host");
    if (open_to_all() && !http::is_loopback(host)) {
      return invalid_argument(
          fmt::format("auth.mode is off, which is only accepted on a loopback address, not on {}; set auth.mode to "
                      "required or server.host to 127.0.0.1",
                      host));
    }
    TRY_ASSIGN(tls_, TlsKeeper::open(values(), std::time(nullptr)));
    if (!http::is_loopback(host) && !tls_.on()) {
      log::warn("serve.plain_http",
                {{"host", host}, {"effect", "keys travel unencrypted"}, {"next", "set server.tls.cert and key"}});
    }
    const std::string& wanted = values().string("model.path");
    TRY_ASSIGN(model_path_, find_model(wanted.empty() ? std::nullopt : std::optional(wanted)));
    TRY_ASSIGN(model_key_, served_model_key(values(), model_path_));
    TRY_ASSIGN(database_, storage::Database::open({.path = config_.database}));
    keys_.emplace(*database_);
    if (!open_to_all()) {
      TRY_ASSIGN(new_key_, auth::ensure_admin_key(*keys_, key_path(), std::time(nullptr)));
    }
    if (!open_to_all() && !new_key_ && !std::filesystem::exists(key_path())) {
      log::warn("serve.admin_key_file_missing",
                {{"path", key_path().string()}, {"next", "cove apikey new NAME --role admin"}});
    }
    TRY_ASSIGN(alerts_, AlertCenter::open(values()));
    TRY_ASSIGN(plugins_, open_plugins(values()));
    TRY_ASSIGN(identity_, ServeIdentity::open(config_, *database_, std::time(nullptr)));
    std::filesystem::path audit_dir;
    if (values().boolean("audit.enabled")) {
      TRY_ASSIGN(const audit::LogOptions audited, audit_options(config_));
      TRY_ASSIGN(audit_, audit::Log::open(audited));
      audit_dir = audited.dir;
    }
    using Aliases = MetricsRegistry::Aliases;
    const server::GatewayOptions options{
        .auth = open_to_all() ? server::AuthMode::kOff : server::AuthMode::kRequired,
        .aliases = values().boolean("telemetry.vllm_aliases") ? Aliases::kShow : Aliases::kHide,
        .work = {}};
    server::GatewayServices services{.keys = &*keys_,
                                     .sessions = &sessions_,
                                     .watch = &alerts_->watch(),
                                     .webhook = alerts_->webhook(),
                                     .plugins = plugins_.get(),
                                     .audit = audit_.get(),
                                     .audit_dir = audit_dir};
    identity_->add_to(services);
    gateway_ = std::make_unique<server::Gateway>(options, services);
    http::ServerOptions listening = server_options(values());
    listening.tls = tls_.context();
    TRY_ASSIGN(server_, http::Server::create(listening, *gateway_));
    gateway_->set_server(server_.get());
    if (tls_.on()) gateway_->metrics().set_certificate_end(tls_.context()->not_after_s());
    watch_gpus();
    url_ = base_url(host, server_->port(), tls_.context().get());
    return {};
  }

  // What is to be done about once a second.
  void keep_up(StopSignals& signals) {
    using When = TlsKeeper::When;
    if (const auto tls = tls_.poll(signals.take_hangup() ? When::kNow : When::kIfChanged, std::time(nullptr))) {
      server_->set_tls(tls);
      gateway_->metrics().set_certificate_end(tls->not_after_s());
    }
    alerts_->tick(std::time(nullptr));
    if (gpus_) gateway_->metrics().set_gpus(gpus_->look().gpus);
  }

  // GPUs are shown wherever there is a driver, whatever computes: who shares the machine wants to know.
  void watch_gpus() {
    auto monitor = GpuMonitor::open();
    if (!monitor) {
      if (monitor.error().code != ErrorCode::kNotFound)
        log::warn("serve.gpus_not_watched", {{"error", monitor.error().message}, {"effect", "no cove_gpu_ metrics"}});
      return;
    }
    gpus_ = std::move(*monitor);
    gateway_->metrics().set_gpus(gpus_->look().gpus);
  }

  std::filesystem::path key_path() const { return config_.data / "admin.key"; }

  // False when a signal came first: loading cannot be interrupted, so the process ends where it is.
  Result<bool> load(StopSignals& signals) {
    fmt::print(stderr, "cove serve: listening on {}, loading {}\n", url_, model_path_.string());
    const auto begin = Clock::now();
    auto loading = std::async(std::launch::async,
                              [this] { return open_model_(engine_options(values(), model_path_, model_key_)); });
    while (loading.wait_for(milliseconds(0)) != std::future_status::ready) {
      if (signals.wait(kPoll)) ::_exit(kDone);
    }
    auto opened = loading.get();
    if (!opened) return opened.error();
    model_ = std::move(*opened);
    if (model_.chat_template == nullptr)
      log::warn("serve.no_chat_template", {{"effect", "only /v1/completions works"}});
    const bool digest_at_once = audit_ != nullptr && weights_bytes(model_path_) <= kDigestAtOnceBytes;
    server::ServedModelParts parts = served_parts(model_);
    if (digest_at_once) parts.weights_digest = digest_weights({});
    const auto served = server::serve_model(std::move(parts), std::time(nullptr));
    gateway_->set_model(served);
    if (audit_ != nullptr && !digest_at_once)
      digesting_ = std::jthread([this, served](const std::stop_token& stop) {
        auto named = std::make_shared<server::ServedModel>(*served);
        named->weights_digest = digest_weights(stop);
        gateway_->set_model(std::move(named));
      });
    Banner banner{
        .base_url = url_,
        .trust = tls_.on() && tls_.context()->self_signed() ? values().string("server.tls.cert") : std::string(),
        .model = model_.engine->model(),
        .model_name = model_.engine->model().name,
        .loading_s = std::chrono::duration<double>(Clock::now() - begin).count(),
        .new_key = new_key_,
        .key_path = open_to_all() ? std::string() : key_path().string(),
        .login_code =
            open_to_all()
                ? std::string()
                : sessions_.create_code({.key_id = 0, .id = "login-code", .name = "admin", .role = auth::Role::kAdmin}),
        .data = config_.data.string()};
    print_banner(banner);
    return true;
  }

  // Which weights answer, for the audit log; empty when that cannot be found out.
  std::string digest_weights(const std::stop_token& stop) const {
    auto digest = weights_digest(model_path_, config_.data / "weights.digest", stop);
    if (digest) return std::move(*digest);
    if (digest.error().code != ErrorCode::kCancelled)
      log::warn("serve.weights_not_digested", {{"model", model_path_.string()}, {"error", digest.error().message}});
    return {};
  }

  // The engine has given every request its error by now; they get the time to reach the clients and the audit log.
  void end_after_failure() {
    log::error("serve.device_failed",
               {{"exit_code", static_cast<int>(kDeviceFailed)},
                {"next",
                 "engine.failed above says why; start again, as a supervisor does by itself. If it comes back: "
                 "nvidia-smi and the kernel's log (dmesg, lines with Xid) tell of the hardware"}});
    server_->stop_keep_alive();
    const auto deadline = Clock::now() + kLastAnswers;
    while (Clock::now() < deadline && gateway_->in_flight() > 0) std::this_thread::sleep_for(kPoll);
  }

  void drain(StopSignals& signals) {
    const int64_t limit_s = values().integer("server.drain_s");
    log::info("serve.draining", {{"in_flight", gateway_->in_flight()}, {"limit_s", limit_s}});
    gateway_->drain();
    server_->stop_keep_alive();
    const auto deadline = Clock::now() + std::chrono::seconds(limit_s);
    while (Clock::now() < deadline && (gateway_->in_flight() > 0 || !model_.engine->idle())) {
      if (signals.wait(kPoll)) {
        log::warn("serve.stopped_at_once", {{"in_flight", gateway_->in_flight()}});
        ::_exit(kDone);
      }
    }
    log::info("serve.stopped", {{"cut_off", gateway_->in_flight()}});
  }

  // Destroyed from the bottom up: the server before the gateway it calls, the gateway's last work before the model it
  // uses.
  ServeConfig config_;
  OpenModel open_model_;
  std::filesystem::path model_path_;
  std::optional<SealKey> model_key_;
  std::string url_;
  TlsKeeper tls_;
  std::unique_ptr<audit::Log> audit_;  // outlives the engine, whose sinks may hold places in it
  OpenedModel model_;
  std::unique_ptr<storage::Database> database_;
  std::optional<auth::ApiKeys> keys_;
  std::unique_ptr<ServeIdentity> identity_;
  std::optional<std::string> new_key_;
  auth::Sessions sessions_;
  std::unique_ptr<AlertCenter> alerts_;
  std::unique_ptr<plugins::PluginSet> plugins_;
  std::unique_ptr<server::Gateway> gateway_;
  std::unique_ptr<http::Server> server_;
  std::optional<GpuMonitor> gpus_;  // main thread; empty without a driver
  std::thread io_thread_;
  std::jthread digesting_;
};

}  // namespace

int run_serve(int argc, const char* const* argv, const OpenModel& open) {
  Arguments arguments;
  Flags flags("serve", "serves a model over the OpenAI API, with a chat page");
  flags.add("--model", arguments.model,
            "a Hugging Face directory or a .gguf file (default: the shipped models/cove-mini)");
  flags.add("--host", arguments.host, "address to listen on (default: 127.0.0.1)");
  flags.add("--port", arguments.port, "port to listen on (default: 8080; 0 takes a free one)");
  flags.add("--device", arguments.device, "auto, cpu or cuda");
  add_state_flags(flags, arguments.state);
  flags.footer(
      "The configuration's keys can be overridden by the environment: COVE_SERVER_PORT=9000.\n"
      "TLS: server.tls.cert and server.tls.key; 'cove tls new' makes a pair for trying. Changed files, or SIGHUP, are\n"
      "loaded again without dropping connections.\n"
      "Exit code 3: the device failed; start again.\n"
      "SIGTERM drains: running requests get server.drain_s seconds; a second signal ends at once.");
  if (const auto code = flags.parse(argc, argv)) return *code;
  auto config = load_config(arguments.state, overrides_of(arguments));
  if (!config) return fail("serve", config.error().message);
  StopSignals signals;
  raise_descriptor_limit();
  auto service = Service::create(std::move(*config), open);
  if (!service) return fail("serve", service.error().message);
  const auto end = (*service)->run(signals);
  if (!end) return fail("serve", end.error().message);
  return *end == Service::End::kDeviceFailed ? kDeviceFailed : kDone;
}

namespace {

int run(int argc, const char* const* argv) {
  return run_serve(argc, argv, [](const OpenEngineOptions& options) { return open_engine(options); });
}

}  // namespace

extern const Command kServe{"serve", "serves a model over the OpenAI API, with a chat page", run};

}  // namespace cove::app

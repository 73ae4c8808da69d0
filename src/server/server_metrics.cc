#include "server/server_metrics.h"

#include <array>
#include <fstream>
#include <limits>
#include <map>

#include <fmt/format.h>
#include <unistd.h>

#include "services/anomaly/watch.h"
#include "services/anomaly/webhook.h"
#include "services/audit/audit_log.h"

namespace cove::server {
namespace {

constexpr std::span<const double> kNoBounds;
constexpr double kLatencyBounds[] = {0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600};
constexpr double kTokenBounds[] = {0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2};

#define COVE_METRIC(id, name, kind, labels, alias, bounds, help) \
  constexpr MetricSpec id{name, MetricKind::kind, labels, alias, help, bounds};
#include "../api/metrics.def"
#undef COVE_METRIC

double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  double size_pages = 0;
  double resident_pages = 0;
  statm >> size_pages >> resident_pages;
  return resident_pages * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

ServerMetrics::ServerMetrics() {
  // Series without labels exist from the start, so that rates are right from the first scrape.
  for (const MetricSpec& spec : {kRequestsInFlight, kRequestsAborted, kConnections, kCertificateEnd})
    (void)registry_.metric(spec);
  for (const MetricSpec& spec : {kFirstToken, kPerToken, kEndToEnd}) (void)registry_.histogram(spec);
}

void ServerMetrics::request_begun() { registry_.metric(kRequestsInFlight).add(1); }

void ServerMetrics::request_done(std::string_view route, int status) {
  const std::string code = std::to_string(status);
  registry_.metric(kRequests, std::array{route, std::string_view(code)}).add();
  registry_.metric(kRequestsInFlight).add(-1);
}

void ServerMetrics::request_aborted() { registry_.metric(kRequestsAborted).add(); }

void ServerMetrics::handshake_ended(std::string_view result) {
  registry_.metric(kHandshakes, std::array{result}).add();
}

void ServerMetrics::set_certificate_end(int64_t not_after_s) {
  registry_.metric(kCertificateEnd).set(static_cast<double>(not_after_s));
}
void ServerMetrics::request_limited(std::string_view limit) { registry_.metric(kLimited, std::array{limit}).add(); }

void ServerMetrics::sign_in(std::string_view result) { registry_.metric(kSignIns, std::array{result}).add(); }

void ServerMetrics::read_alerts(const anomaly::Watch& watch, const anomaly::Webhook* webhook) {
  std::map<anomaly::Rule, double> active;
  for (const anomaly::Alert& alert : watch.active()) ++active[alert.rule];
  for (const anomaly::Rule rule : anomaly::kRules) {
    const auto labels = std::array{anomaly::to_string(rule)};
    registry_.metric(kAlerts, labels).set(static_cast<double>(watch.raised(rule)));
    registry_.metric(kAlertsActive, labels).set(active[rule]);
  }
  if (webhook == nullptr) return;
  const anomaly::Webhook::Counts counts = webhook->counts();
  const auto set = [this](std::string_view result, uint64_t count) {
    registry_.metric(kWebhook, std::array{result}).set(static_cast<double>(count));
  };
  set("delivered", counts.delivered);
  set("failed", counts.failed_attempts);
  set("dropped", counts.dropped);
}

void ServerMetrics::set_gpus(std::span<const GpuInfo> gpus) {
  for (size_t i = 0; i < gpus.size(); ++i) {
    const GpuInfo& gpu = gpus[i];
    if (gpu.name.empty()) continue;  // it does not answer
    const std::string index = std::to_string(i);
    const std::array labels{std::string_view(index), std::string_view(gpu.name)};
    registry_.metric(kGpuMemoryTotal, labels).set(static_cast<double>(gpu.memory_total_bytes));
    registry_.metric(kGpuMemoryUsed, labels).set(static_cast<double>(gpu.memory_total_bytes - gpu.memory_free_bytes));
    const auto set = [&](const MetricSpec& spec, const std::optional<double>& value) {
      const double shown = value.value_or(std::numeric_limits<double>::quiet_NaN());
      // Without a first value there is no series.
      if (value || gpus_told_.contains({i, spec.name})) registry_.metric(spec, labels).set(shown);
      if (value) gpus_told_.insert({i, spec.name});
    };
    set(kGpuUtilization, gpu.utilization);
    set(kGpuTemperature, gpu.temperature_c);
    set(kGpuPower, gpu.power_w);
  }
}

void ServerMetrics::read_audit(const audit::Log& log) {
  const audit::LogStats stats = log.stats();
  const auto set = [this](const MetricSpec& spec, uint64_t value) {
    registry_.metric(spec).set(static_cast<double>(value));
  };
  set(kAuditRecords, stats.written);
  set(kAuditDropped, stats.dropped);
  set(kAuditFailures, stats.failures);
  set(kAuditSyncs, stats.syncs);
  set(kAuditQueued, stats.queued);
}

void ServerMetrics::generation_ended(const GenerationReport& report) {
  if (report.first_token_s >= 0) registry_.histogram(kFirstToken).observe(report.first_token_s);
  if (report.per_token_s >= 0) registry_.histogram(kPerToken).observe(report.per_token_s);
  registry_.histogram(kEndToEnd).observe(report.total_s);
  std::string_view reason = report.finish_reason;
  if (report.end == GenerationReport::End::kAborted) reason = "abort";
  if (report.end == GenerationReport::End::kFailed) reason = "error";
  registry_.metric(kFinished, std::array{reason}).add();
}

void ServerMetrics::plugins_acted(const plugins::PluginNotes& notes) {
  for (const plugins::PluginNote& note : notes) {
    const std::array labels{std::string_view(note.plugin), std::string_view(note.action)};
    registry_.metric(kPluginActions, labels).add(static_cast<double>(note.count));
  }
}

void ServerMetrics::read_engine(const ServedModel& model) {
  const engine::Stats stats = model.engine->stats();
  const engine::ModelInfo& info = model.engine->model();
  const auto set = [this](const MetricSpec& spec, auto value) {
    registry_.metric(spec).set(static_cast<double>(value));
  };
  set(kPromptTokens, stats.prompt_tokens);
  set(kCachedTokens, stats.cached_prompt_tokens);
  set(kGeneratedTokens, stats.generated_tokens);
  set(kWaiting, stats.requests_waiting);
  set(kRunning, stats.requests_running);
  set(kPagesTotal, stats.pages_total);
  set(kPagesUsed, stats.pages_used);
  set(kPagesCached, stats.pages_cached);
  set(kPagesRatio,
      stats.pages_total == 0 ? 0.0 : static_cast<double>(stats.pages_used) / static_cast<double>(stats.pages_total));
  set(kSteps, stats.steps);
  set(kPreemptions, stats.preemptions);
  set(kCancelled, stats.cancelled);
  set(kSinceStep, stats.seconds_since_step);
  registry_
      .metric(kBuildInfo, std::array<std::string_view, 4>{COVE_VERSION, model.name, info.device, info.weight_format})
      .set(1);
}

std::string ServerMetrics::render(const ServedModel* model, size_t connections, MetricsRegistry::Aliases aliases) {
  if (model != nullptr) read_engine(*model);
  registry_.metric(kConnections).set(static_cast<double>(connections));
  registry_.metric(kResident).set(resident_bytes());
  registry_.metric(kUptime).set(std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count());
  std::string name;
  for (const char c : model == nullptr ? std::string() : model->name) {
    if (c != '"' && c != '\\' && c != '\n') name.push_back(c);
  }
  return registry_.render(aliases, fmt::format("model_name=\"{}\"", name));
}

}  // namespace cove::server

#pragma once
// The metrics of api/metrics.def and how they get their values: some are counted as requests end, the engine's are read
// when /metrics is.

#include <chrono>
#include <set>
#include <span>
#include <utility>

#include "base/metrics.h"
#include "base/nvml.h"
#include "server/generation/generation.h"
#include "server/served_model.h"

namespace cove::anomaly {
class Watch;
class Webhook;
}  // namespace cove::anomaly
namespace cove::audit {
class Log;
}  // namespace cove::audit

namespace cove::server {

class ServerMetrics {
 public:
  ServerMetrics();

  void request_begun();
  void request_done(std::string_view route, int status);
  void request_aborted();
  void handshake_ended(std::string_view result);
  void set_certificate_end(int64_t not_after_s);
  // Takes over what these have counted; `webhook` may be null.
  void read_alerts(const anomaly::Watch& watch, const anomaly::Webhook* webhook);
  // The GPUs as they are now; whoever serves calls it about once a second. What is no longer told becomes NaN.
  void set_gpus(std::span<const GpuInfo> gpus);
  void read_audit(const audit::Log& log);
  void request_limited(std::string_view limit);
  void sign_in(std::string_view result);  // "done", "refused", "locked"
  void generation_ended(const GenerationReport& report);
  void plugins_acted(const plugins::PluginNotes& notes);
  // Prometheus text. `model` may be null while loading.
  std::string render(const ServedModel* model, size_t connections, MetricsRegistry::Aliases aliases);

 private:
  void read_engine(const ServedModel& model);

  MetricsRegistry registry_;
  std::set<std::pair<size_t, std::string_view>> gpus_told_;  // which GPU's which metric; set_gpus()
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace cove::server

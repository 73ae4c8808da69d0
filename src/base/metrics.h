#pragma once
// Counters, gauges and histograms in Prometheus text format. A registry of our own instead of a library: 200 lines, no
// dependency, atomics only on the hot path. Names are data (api/metrics.def); server/ owns the registry of a process.

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cove {

enum class MetricKind : uint8_t { kCounter, kGauge, kHistogram };

struct MetricSpec {
  std::string_view name;  // "cove_requests_total"
  MetricKind kind;
  std::string_view labels;  // "route,status"; may be empty
  std::string_view alias;   // shown too when aliases are asked for; may be empty
  std::string_view help;
  std::span<const double> bounds;  // kHistogram: upper bounds, ascending, without +Inf
};

// A counter or a gauge. Any thread.
class Metric {
 public:
  void add(double amount = 1);
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

// Any thread. Counts and sum may be one observation apart while another thread observes.
class Histogram {
 public:
  explicit Histogram(std::span<const double> bounds) : bounds_(bounds), counts_(bounds.size() + 1) {}
  void observe(double value);
  uint64_t count() const;

 private:
  friend class MetricsRegistry;
  std::span<const double> bounds_;
  std::vector<std::atomic<uint64_t>> counts_;  // not cumulative; the last is +Inf
  std::atomic<double> sum_{0};
};

class MetricsRegistry {
 public:
  enum class Aliases : uint8_t { kHide, kShow };
  MetricsRegistry() = default;

  // The series of `spec` with these label values, made at first use; the reference stays valid. One value per label
  // name.
  Metric& metric(const MetricSpec& spec, std::span<const std::string_view> label_values = {});
  Histogram& histogram(const MetricSpec& spec, std::span<const std::string_view> label_values = {});

  // Prometheus text format 0.0.4. `alias_labels` is added to every alias sample.
  std::string render(Aliases aliases, std::string_view alias_labels = {}) const;

 private:
  struct Series {
    Metric metric;
    std::unique_ptr<Histogram> histogram;
  };
  struct Family {
    MetricSpec spec;
    std::map<std::string, std::unique_ptr<Series>> series;  // key: the label text
  };
  Series& series(const MetricSpec& spec, std::span<const std::string_view> label_values);
  static void render_family(const Family& family, std::string_view name, std::string_view extra_labels,
                            std::string& out);

  mutable std::mutex mutex_;  // guards families_; the values are atomics
  std::map<std::string, Family, std::less<>> families_;
};

}  // namespace cove

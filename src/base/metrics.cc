#include "base/metrics.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

#include "base/check.h"

namespace cove {
namespace {

void add_to(std::atomic<double>& target, double amount) {
  double seen = target.load(std::memory_order_relaxed);
  while (!target.compare_exchange_weak(seen, seen + amount, std::memory_order_relaxed)) {}
}

std::string escape_label(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out.push_back('\\');
    if (c == '\n') {
      out += "\\n";
    } else {
      out.push_back(c);
    }
  }
  return out;
}

std::string label_text(std::string_view names, std::span<const std::string_view> values) {
  std::string out;
  size_t begin = 0;
  for (const std::string_view value : values) {
    COVE_CHECK(begin < names.size());
    const size_t end = std::min(names.find(',', begin), names.size());
    if (!out.empty()) out.push_back(',');
    fmt::format_to(std::back_inserter(out), "{}=\"{}\"", names.substr(begin, end - begin), escape_label(value));
    begin = end + 1;
  }
  COVE_CHECK(begin >= names.size());
  return out;
}

std::string braces(std::string_view a, std::string_view b, std::string_view c = {}) {
  std::string out;
  for (const std::string_view part : {a, b, c}) {
    if (part.empty()) continue;
    out += out.empty() ? "{" : ",";
    out += part;
  }
  if (!out.empty()) out += "}";
  return out;
}

std::string_view kind_name(MetricKind kind) {
  switch (kind) {
    case MetricKind::kCounter: return "counter";
    case MetricKind::kGauge: return "gauge";
    case MetricKind::kHistogram: return "histogram";
  }
  return "untyped";
}

}  // namespace

void Metric::add(double amount) { add_to(value_, amount); }

void Histogram::observe(double value) {
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  counts_[static_cast<size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
  add_to(sum_, value);
}

uint64_t Histogram::count() const {
  uint64_t total = 0;
  for (const auto& count : counts_) total += count.load(std::memory_order_relaxed);
  return total;
}

MetricsRegistry::Series& MetricsRegistry::series(const MetricSpec& spec,
                                                 std::span<const std::string_view> label_values) {
  const std::string labels = label_text(spec.labels, label_values);
  const std::lock_guard lock(mutex_);
  Family& family = families_.try_emplace(std::string(spec.name), Family{spec, {}}).first->second;
  auto& slot = family.series[labels];
  if (slot == nullptr) {
    slot = std::make_unique<Series>();
    if (spec.kind == MetricKind::kHistogram) slot->histogram = std::make_unique<Histogram>(spec.bounds);
  }
  return *slot;
}

Metric& MetricsRegistry::metric(const MetricSpec& spec, std::span<const std::string_view> label_values) {
  COVE_CHECK(spec.kind != MetricKind::kHistogram);
  return series(spec, label_values).metric;
}

Histogram& MetricsRegistry::histogram(const MetricSpec& spec, std::span<const std::string_view> label_values) {
  COVE_CHECK(spec.kind == MetricKind::kHistogram);
  return *series(spec, label_values).histogram;
}

void MetricsRegistry::render_family(const Family& family, std::string_view name, std::string_view extra,
                                    std::string& out) {
  auto sink = std::back_inserter(out);
  fmt::format_to(sink, "# HELP {} {}\n# TYPE {} {}\n", name, family.spec.help, name, kind_name(family.spec.kind));
  for (const auto& [labels, series] : family.series) {
    if (series->histogram == nullptr) {
      const double value = series->metric.value();
      const std::string text = std::isnan(value) ? "NaN" : fmt::format("{}", value);  // as the format spells it
      fmt::format_to(sink, "{}{} {}\n", name, braces(extra, labels), text);
      continue;
    }
    const Histogram& histogram = *series->histogram;
    uint64_t cumulative = 0;
    for (size_t i = 0; i < histogram.counts_.size(); ++i) {
      cumulative += histogram.counts_[i].load(std::memory_order_relaxed);
      const std::string le =
          i < histogram.bounds_.size() ? fmt::format("le=\"{}\"", histogram.bounds_[i]) : std::string("le=\"+Inf\"");
      fmt::format_to(sink, "{}_bucket{} {}\n", name, braces(extra, labels, le), cumulative);
    }
    fmt::format_to(sink, "{}_sum{} {}\n{}_count{} {}\n", name, braces(extra, labels),
                   histogram.sum_.load(std::memory_order_relaxed), name, braces(extra, labels), cumulative);
  }
}

std::string MetricsRegistry::render(Aliases aliases, std::string_view alias_labels) const {
  std::string out;
  const std::lock_guard lock(mutex_);
  for (const auto& [name, family] : families_) render_family(family, name, {}, out);
  if (aliases == Aliases::kShow) {
    for (const auto& [name, family] : families_) {
      if (!family.spec.alias.empty()) render_family(family, family.spec.alias, alias_labels, out);
    }
  }
  return out;
}

}  // namespace cove

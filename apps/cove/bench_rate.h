#pragma once
// Behind `cove bench --url --find-rate`: the highest rate of Poisson arrivals at which a server keeps its promises of
// latency. Doubles or halves the rate until one is kept and one is not, then bisects.

#include <functional>
#include <string>
#include <vector>

#include "bench_url.h"

namespace cove::app {

struct RateSearch {
  LoadOptions load;          // its rate is the first one tried; its number of requests is not looked at
  double trial_s = 30;       // arrivals of one trial; longer than an answer takes, or the load is never reached
  double ttft_max_ms = 500;  // 99 of 100 first tokens must come within
  double tpot_max_ms = 50;   // likewise the time per output token of a request
  double precision = 0.1;    // done when the rates kept and not kept are this close
};

struct RateTrial {
  double rate = 0;      // requests a second
  std::string problem;  // empty: kept
  LoadReport report;
};

struct RateReport {
  double rate = 0;  // the highest kept; 0 = none of those tried
  std::vector<RateTrial> trials;
};

// One trial's load; run_load, or a double in tests.
using RunLoad = std::function<Result<LoadReport>(const LoadOptions&)>;
// Called after each trial.
using OnTrial = std::function<void(const RateTrial&)>;

// Errors: kInvalidArgument for options, and those of run_load.
Result<RateReport> find_rate(const RateSearch& search, const RunLoad& run, const OnTrial& on_trial);

std::string report_text(const RateSearch& search, const RateReport& report);
std::string report_json(const RateSearch& search, const RateReport& report);

}  // namespace cove::app

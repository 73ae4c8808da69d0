#pragma once
// Load generator behind `cove bench --url`: sends streamed chat completions to any OpenAI-compatible server and
// measures what a client sees: time to first token (TTFT), time per output token after it (TPOT), whole requests,
// throughput, errors.

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace cove::app {

struct LoadOptions {
  std::string url{};        // http://host:port, without path
  std::string api_key{};    // sent as Bearer when not empty
  std::string model{};      // empty: the first of /v1/models
  double rate = 0;          // requests per second with Poisson arrivals; 0 = closed loop with `concurrency`
  int64_t concurrency = 0;  // closed loop: clients, 0 = 8; with rate: connections at most, 0 = 1024
  int64_t requests = 64;
  int64_t prompt_words = 64;  // random words; the server's own usage figures give the tokens
  // Above 0: as many words as make this many, template included; a few requests find out. The words are then single
  // letters, so that prompts are equally long.
  int64_t prompt_tokens = 0;
  bool letters = false;  // as words; set where prompt_tokens was
  int64_t tokens_max = 64;
  uint64_t seed = 1;  // of prompts and arrivals
};

struct Percentiles {
  double p50 = 0;
  double p90 = 0;
  double p99 = 0;
  double mean = 0;
};

struct LoadReport {
  int64_t completed = 0;
  int64_t failed = 0;
  int64_t cut_by_length = 0;        // finish_reason "length"
  std::vector<std::string> errors;  // distinct messages, at most 10
  double seconds = 0;               // first request sent to last answer complete
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  Percentiles ttft_ms;  // from sending (open loop: from the planned arrival) to the first token
  Percentiles tpot_ms;  // (last - first token) / (tokens - 1), per request
  Percentiles request_ms;
};

// Distinct prompts, so that a prefix cache does not answer for the engine. A letter behind a space is one token in
// large vocabularies, so that prompts of equally many letters have equally many tokens there.
std::string load_prompt(int64_t words, uint64_t seed, bool letters);

// With the model named, the number of words chosen and prompt_tokens 0, so that several loads need not ask again.
// Errors: as run_load.
Result<LoadOptions> resolve_load(const LoadOptions& options);

// Errors: kInvalidArgument for bad options, kUnavailable when the server does not answer /v1/models or what
// prompt_tokens needs.
Result<LoadReport> run_load(const LoadOptions& options);

std::string report_text(const LoadReport& report);
std::string report_json(const LoadReport& report);

}  // namespace cove::app

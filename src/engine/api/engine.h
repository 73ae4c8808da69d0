#pragma once
// All that the server sees of the engine: submit a request, get its tokens through a sink, cancel it, ask how things
// are. Implemented by engine/ (engine.cc) and by test doubles. Thread-safe unless said otherwise.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace cove::engine {

using RequestId = uint64_t;

struct SamplingOptions {
  float temperature = 1.0F;         // 0 = greedy
  float top_p = 1.0F;               // (0, 1]
  int32_t top_k = 0;                // 0 = off
  float min_p = 0.0F;               // [0, 1]
  float presence_penalty = 0.0F;    // [-2, 2]
  float frequency_penalty = 0.0F;   // [-2, 2]
  float repetition_penalty = 1.0F;  // > 0
  std::vector<std::pair<int32_t, float>> logit_bias{};
  uint64_t seed = 0;          // the caller chooses one when the client gave none, so that it can be recorded
  int32_t top_logprobs = -1;  // -1 = none; 0 = drawn token only; up to 20
};

// Bounds the thinking part: after `tokens` generated tokens without `end_token`, the engine forces `close_tokens`.
struct ThinkingBudget {
  int32_t tokens = 0;
  int32_t end_token = -1;               // </think>
  std::vector<int32_t> close_tokens{};  // what is forced; contains end_token
};

// Bounds what a sequence may generate, as a grammar does. Belongs to one sequence; the engine's thread only.
class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  // Bit i = token i may come next; tokens beyond the last word may not. Valid until the next call of a member.
  virtual std::span<const uint32_t> allowed() = 0;
  // The answer may end here.
  virtual bool complete() const = 0;
  virtual void accept(int32_t token) = 0;
};

struct ConstraintStart {
  std::function<std::unique_ptr<TokenConstraint>()> make{};  // called once per sequence
  int32_t after_token = -1;  // holds behind this generated token; until then the answer does not end. -1 = at once
};

struct Request {
  std::string id{};               // for logs
  std::string tenant{};           // fairness between tenants; empty = anonymous
  std::vector<int32_t> prompt{};  // not empty
  int32_t tokens_max = 0;         // generated at most; 0 = up to the context's end
  int32_t tokens_min = 0;         // stop tokens are not drawn before
  SamplingOptions sampling{};
  std::vector<std::string> stop{};     // text that ends the answer and is not part of it
  std::vector<int32_t> stop_tokens{};  // besides the model's own end tokens
  bool ignore_eos = false;             // benches
  std::optional<ThinkingBudget> thinking{};
  std::optional<ConstraintStart> constraint{};
};

enum class FinishReason : uint8_t { kStop, kLength, kCancelled, kError };

struct Logprob {
  int32_t token = 0;
  float logprob = 0;
  std::vector<std::pair<int32_t, float>> top{};
};

// What one step added to one request. `text` is valid UTF-8 and never holds a part of a stop string that may still
// complete; the concatenation of all texts is the answer. The end token is in neither (usage counts it).
struct Output {
  std::string text{};
  std::vector<int32_t> tokens{};
  std::vector<Logprob> logprobs{};  // one per token when asked for
};

struct Usage {
  int32_t prompt_tokens = 0;
  int32_t cached_tokens = 0;  // of the prompt, taken from the prefix cache
  int32_t completion_tokens = 0;
};

struct Finish {
  FinishReason reason = FinishReason::kStop;
  std::string stop_string{};  // the one that matched, if any
  Error error{};              // kError only
  Usage usage{};
};

// Receives a request's tokens. Called from the engine's thread, in order: on_output any number of times, then on_finish
// exactly once, also for cancelled and failed requests. Must not block and must not call the engine back.
class TokenSink {
 public:
  virtual ~TokenSink() = default;
  virtual void on_output(const Output& output) = 0;
  virtual void on_finish(const Finish& finish) = 0;
};

struct Stats {
  int64_t requests_running = 0;
  int64_t requests_waiting = 0;
  int64_t pages_total = 0;
  int64_t pages_used = 0;      // referenced by live requests
  int64_t pages_cached = 0;    // held by the prefix tree only; can be taken any time
  uint64_t prompt_tokens = 0;  // computed since start
  uint64_t cached_prompt_tokens = 0;
  uint64_t generated_tokens = 0;
  uint64_t steps = 0;
  uint64_t preemptions = 0;
  uint64_t cancelled = 0;
  double seconds_since_step = 0;  // since the loop last showed life
};

enum class Health : uint8_t { kLoading, kReady, kDraining, kStuck, kFailed };

// Facts of the served model, fixed after load.
struct ModelInfo {
  std::string name{};
  std::string family{};
  std::string digest{};         // sha256 over the weight files' names, sizes and headers: identifies the version
  std::string device{};         // "cpu: AMD EPYC, 2 threads, avx512"
  std::string weight_format{};  // "bf16"
  int64_t parameters = 0;
  int64_t context_max = 0;  // tokens, prompt and answer together
  int64_t vocab = 0;
  int64_t weight_bytes = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;

  // Queues the request, or says why not: kInvalidArgument (prompt longer than the context, token out of range),
  // kResourceExhausted (queue full), kUnavailable (draining, failed). The sink is kept until on_finish returned.
  virtual Result<RequestId> submit(Request request, std::shared_ptr<TokenSink> sink) = 0;
  // Stops within one step; unknown or finished ids are ignored.
  virtual void cancel(RequestId id) = 0;

  virtual const ModelInfo& model() const = 0;
  virtual Stats stats() const = 0;
  virtual Health health() const = 0;
  // Refuses new requests from now on; those accepted are finished. idle() is true when none is left.
  virtual void drain() = 0;
  virtual bool idle() const = 0;
};

}  // namespace cove::engine

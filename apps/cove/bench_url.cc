#include "bench_url.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>

#include "base/json.h"

namespace cove::app {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using Clock = std::chrono::steady_clock;
using tcp = asio::ip::tcp;

constexpr int64_t kClients = 8;            // of a closed loop
constexpr int64_t kConnectionsMax = 1024;  // of an open one

double ms_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

struct Target {
  std::string host;
  std::string port;
};

Result<Target> parse_url(const std::string& url) {
  constexpr std::string_view kScheme = "http://";
  if (url.rfind(kScheme, 0) != 0) {
    return invalid_argument(fmt::format("'{}': the load generator speaks http:// only", url));
  }
  std::string rest = url.substr(kScheme.size());
  rest = rest.substr(0, rest.find('/'));
  const size_t colon = rest.rfind(':');
  if (rest.empty() || colon == 0) return invalid_argument(fmt::format("'{}' names no host", url));
  if (colon == std::string::npos) return Target{rest, "80"};
  return Target{rest.substr(0, colon), rest.substr(colon + 1)};
}

// One request's measurements.
struct Sample {
  bool ok = false;
  std::string error;
  std::string finish_reason;
  Clock::time_point sent;
  Clock::time_point first_token;
  Clock::time_point last_token;
  Clock::time_point done;
  int64_t tokens_seen = 0;
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
};

// Reads "data: {...}" lines as they come and notes when tokens arrived.
class EventReader {
 public:
  explicit EventReader(Sample& sample) : sample_(sample) {}

  void feed(std::string_view bytes) {
    pending_.append(bytes);
    size_t begin = 0;
    for (size_t end = pending_.find('\n'); end != std::string::npos; end = pending_.find('\n', begin)) {
      line(std::string_view(pending_).substr(begin, end - begin));
      begin = end + 1;
    }
    pending_.erase(0, begin);
  }

 private:
  void line(std::string_view text) {
    constexpr std::string_view kData = "data: ";
    if (text.substr(0, kData.size()) != kData) return;
    text.remove_prefix(kData.size());
    if (text.substr(0, 6) == "[DONE]") {
      sample_.ok = sample_.error.empty();
      return;
    }
    const Result<json::value> parsed = parse_json(text);
    if (!parsed) {
      sample_.error = "an event is not JSON: " + parsed.error().message;
      return;
    }
    chunk(*parsed);
  }

  void chunk(const json::value& value) {
    if (const json::value* error = find_member(value, "error")) {
      sample_.error = json::serialize(*error);
      return;
    }
    if (const json::value* usage = find_member(value, "usage"); usage != nullptr && usage->is_object()) {
      sample_.prompt_tokens = integer(*usage, "prompt_tokens");
      sample_.completion_tokens = integer(*usage, "completion_tokens");
    }
    const json::value* choices = find_member(value, "choices");
    if (choices == nullptr || !choices->is_array() || choices->get_array().empty()) return;
    const json::value& choice = choices->get_array()[0];
    if (const json::value* finish = find_member(choice, "finish_reason"); finish != nullptr && finish->is_string()) {
      sample_.finish_reason = finish->get_string();
    }
    const json::value* delta = find_member(choice, "delta");
    if (delta != nullptr && (has_text(*delta, "content") || has_text(*delta, "reasoning_content"))) token();
  }

  void token() {
    sample_.last_token = Clock::now();
    if (sample_.tokens_seen++ == 0) sample_.first_token = sample_.last_token;
  }

  static bool has_text(const json::value& delta, std::string_view key) {
    const json::value* text = find_member(delta, key);
    return text != nullptr && text->is_string() && !text->get_string().empty();
  }
  static int64_t integer(const json::value& object, std::string_view key) {
    const json::value* number = find_member(object, key);
    return number != nullptr && number->is_int64() ? number->get_int64() : 0;
  }

  Sample& sample_;
  std::string pending_;
};

// A blocking connection; Beast and Asio report through error codes, nothing throws.
class Connection {
 public:
  Result<void> open(const Target& target) {
    boost::system::error_code error;
    tcp::resolver resolver(context_);
    const auto found = resolver.resolve(target.host, target.port, error);
    if (!error) asio::connect(socket_, found, error);
    if (error) {
      return make_error(ErrorCode::kUnavailable,
                        fmt::format("cannot connect to {}:{}: {}", target.host, target.port, error.message()));
    }
    socket_.set_option(tcp::no_delay(true), error);
    return {};
  }

  // Sends a request and hands the body to `consume` as it arrives. Returns the HTTP status.
  template <class Consume>
  Result<int> exchange(const http::request<http::string_body>& request, Consume&& consume) {
    boost::system::error_code error;
    http::write(socket_, request, error);
    if (error) return make_error(ErrorCode::kIo, "sending failed: " + error.message());
    boost::beast::flat_buffer buffer;
    http::response_parser<http::buffer_body> parser;
    parser.body_limit(uint64_t{1} << 32);
    http::read_header(socket_, buffer, parser, error);
    if (error) return make_error(ErrorCode::kIo, "reading the answer failed: " + error.message());
    char chunk[8192];
    while (!parser.is_done()) {
      parser.get().body().data = chunk;
      parser.get().body().size = sizeof(chunk);
      http::read_some(socket_, buffer, parser, error);
      const size_t got = sizeof(chunk) - parser.get().body().size;
      consume(std::string_view(chunk, got));
      if (error == http::error::need_buffer) error = {};
      if (error) return make_error(ErrorCode::kIo, "the answer broke off: " + error.message());
    }
    return static_cast<int>(parser.get().result_int());
  }

 private:
  asio::io_context context_;
  tcp::socket socket_{context_};
};

http::request<http::string_body> make_request(http::verb verb, const std::string& path, const Target& target,
                                              const LoadOptions& options) {
  http::request<http::string_body> request(verb, path, 11);
  request.set(http::field::host, target.host + ":" + target.port);
  request.set(http::field::user_agent, "cove-bench");
  request.set(http::field::connection, "close");
  if (!options.api_key.empty()) request.set(http::field::authorization, "Bearer " + options.api_key);
  return request;
}

Result<std::string> first_model(const Target& target, const LoadOptions& options) {
  Connection connection;
  TRY(connection.open(target));
  std::string body;
  TRY_ASSIGN(const int status, connection.exchange(make_request(http::verb::get, "/v1/models", target, options),
                                                   [&](std::string_view part) { body.append(part); }));
  if (status != 200) {
    return make_error(ErrorCode::kUnavailable, fmt::format("GET /v1/models answered {}: {}", status, body));
  }
  TRY_ASSIGN(const json::value parsed, parse_json(body));
  const json::value* data = find_member(parsed, "data");
  if (data == nullptr || !data->is_array() || data->get_array().empty()) {
    return make_error(ErrorCode::kUnavailable, "GET /v1/models lists no model");
  }
  const json::value* id = find_member(data->get_array()[0], "id");
  if (id == nullptr || !id->is_string()) return make_error(ErrorCode::kUnavailable, "GET /v1/models: no id");
  return std::string(id->get_string());
}

Sample send_one(const Target& target, const LoadOptions& options, int64_t index, Clock::time_point planned) {
  Sample sample;
  sample.sent = planned;
  json::object body;
  body["model"] = options.model;
  body["messages"] = json::array{json::object{
      {"role", "user"},
      {"content",
       load_prompt(options.prompt_words, options.seed * 1'000'003 + static_cast<uint64_t>(index), options.letters)}}};
  body["max_tokens"] = options.tokens_max;
  body["stream"] = true;
  body["stream_options"] = json::object{{"include_usage", true}};
  http::request<http::string_body> request = make_request(http::verb::post, "/v1/chat/completions", target, options);
  request.set(http::field::content_type, "application/json");
  request.body() = json::serialize(body);
  request.prepare_payload();

  Connection connection;
  if (const Status opened = connection.open(target); !opened) {
    sample.error = opened.error().message;
    return sample;
  }
  EventReader reader(sample);
  std::string raw;  // kept for the error message of a refusal
  const Result<int> status = connection.exchange(request, [&](std::string_view part) {
    if (raw.size() < 2000) raw.append(part);
    reader.feed(part);
  });
  sample.done = Clock::now();
  if (!status) {
    sample.ok = false;
    sample.error = status.error().message;
  } else if (*status != 200) {
    sample.ok = false;
    sample.error = fmt::format("HTTP {}: {}", *status, raw);
  } else if (!sample.ok && sample.error.empty()) {
    sample.error = "the stream ended without [DONE]";
  }
  return sample;
}

// Planned arrival of every request: all at once for a closed loop, exponential gaps for a rate.
std::vector<double> arrival_seconds(const LoadOptions& options) {
  std::vector<double> arrivals(static_cast<size_t>(options.requests), 0.0);
  if (options.rate <= 0) return arrivals;
  std::mt19937_64 random(options.seed);
  std::exponential_distribution<double> gap(options.rate);
  double at = 0;
  for (double& arrival : arrivals) {
    at += gap(random);
    arrival = at;
  }
  return arrivals;
}

Status check(const LoadOptions& options) {
  if (options.requests < 1 || options.concurrency < 0 || options.concurrency > 4096) {
    return invalid_argument("--requests must be at least 1 and --concurrency between 1 and 4096");
  }
  constexpr int64_t kSizeMax = 1 << 20;
  if (options.prompt_words < 0 || options.prompt_words > kSizeMax || options.prompt_tokens < 0 ||
      options.prompt_tokens > kSizeMax || options.tokens_max < 1) {
    return invalid_argument("--prompt-words and --prompt-tokens take 0 to 1048576, --max-tokens at least 1");
  }
  if (!(options.rate >= 0 && options.rate <= 1e6)) return invalid_argument("--rate is 0 to 1000000 requests a second");
  return {};
}

// Tokens of a prompt of that many words, as the server counts them; the mean of some prompts.
Result<double> tokens_of(const Target& target, LoadOptions options, int64_t words) {
  constexpr int64_t kPrompts = 4;
  options.prompt_words = words;
  options.tokens_max = 1;
  int64_t tokens = 0;
  for (int64_t i = 0; i < kPrompts; ++i) {
    const Sample sample = send_one(target, options, -1 - i, Clock::now());
    if (!sample.ok) {
      return make_error(ErrorCode::kUnavailable, fmt::format("a prompt of {} words failed: {}", words, sample.error));
    }
    if (sample.prompt_tokens == 0)
      return make_error(ErrorCode::kUnavailable, "the server does not say how many tokens a prompt has; give words");
    tokens += sample.prompt_tokens;
  }
  return static_cast<double>(tokens) / static_cast<double>(kPrompts);
}

// How many words make options.prompt_tokens: a template's part, and so much for each word.
Result<int64_t> words_for(const Target& target, const LoadOptions& options) {
  const int64_t guess = std::max<int64_t>(8, options.prompt_tokens / 4);
  TRY_ASSIGN(const double few, tokens_of(target, options, 0));
  TRY_ASSIGN(const double many, tokens_of(target, options, guess));
  const double each = (many - few) / static_cast<double>(guess);
  if (!(each > 0)) return make_error(ErrorCode::kUnavailable, "longer prompts do not have more tokens");
  const double words = (static_cast<double>(options.prompt_tokens) - few) / each;
  if (words < 0) {
    return invalid_argument(fmt::format("--prompt-tokens {} is less than the {:.0f} that the shortest prompt has",
                                        options.prompt_tokens, few));
  }
  return std::lround(words);
}

Percentiles percentiles(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    const auto index = static_cast<size_t>(share * static_cast<double>(values.size()));
    return values[std::min(index, values.size() - 1)];
  };
  double sum = 0;
  for (const double value : values) sum += value;
  return {at(0.5), at(0.9), at(0.99), sum / static_cast<double>(values.size())};
}

LoadReport summarise(const std::vector<Sample>& samples, Clock::time_point begin) {
  LoadReport report;
  std::vector<double> ttft;
  std::vector<double> tpot;
  std::vector<double> whole;
  std::set<std::string> errors;
  Clock::time_point end = begin;
  for (const Sample& sample : samples) {
    end = std::max(end, sample.done);
    if (!sample.ok) {
      ++report.failed;
      if (errors.size() < 10) errors.insert(sample.error);
      continue;
    }
    ++report.completed;
    report.cut_by_length += sample.finish_reason == "length" ? 1 : 0;
    report.prompt_tokens += sample.prompt_tokens;
    report.completion_tokens += sample.completion_tokens;
    whole.push_back(ms_between(sample.sent, sample.done));
    if (sample.tokens_seen == 0) continue;
    ttft.push_back(ms_between(sample.sent, sample.first_token));
    if (sample.completion_tokens > 1) {
      tpot.push_back(ms_between(sample.first_token, sample.last_token) /
                     static_cast<double>(sample.completion_tokens - 1));
    }
  }
  report.errors.assign(errors.begin(), errors.end());
  report.seconds = ms_between(begin, end) / 1000.0;
  report.ttft_ms = percentiles(std::move(ttft));
  report.tpot_ms = percentiles(std::move(tpot));
  report.request_ms = percentiles(std::move(whole));
  return report;
}

json::object to_json(const Percentiles& p) {
  return {{"p50", p.p50}, {"p90", p.p90}, {"p99", p.p99}, {"mean", p.mean}};
}

double per_second(int64_t count, double seconds) { return seconds > 0 ? static_cast<double>(count) / seconds : 0; }

}  // namespace

std::string load_prompt(int64_t words, uint64_t seed, bool letters) {
  static constexpr const char* kWords[] = {"harbour", "wind",  "paper", "seven", "cloud",  "apple", "river", "月亮",
                                           "苹果",    "计算",  "时间",  "路",    "stone",  "light", "count", "green",
                                           "city",    "train", "book",  "学校",  "window", "bird",  "salt",  "数字"};
  std::mt19937_64 random(seed);
  std::string prompt = letters ? "x" : std::to_string(random() % 100000);
  for (int64_t i = 0; i < words; ++i) {
    prompt += ' ';
    if (letters) {
      prompt += static_cast<char>('a' + random() % 26);
    } else {
      prompt += kWords[random() % std::size(kWords)];
    }
  }
  return prompt;
}

Result<LoadOptions> resolve_load(const LoadOptions& options) {
  TRY_ASSIGN(const Target target, parse_url(options.url));
  TRY(check(options));
  LoadOptions resolved = options;
  if (resolved.concurrency == 0) resolved.concurrency = resolved.rate > 0 ? kConnectionsMax : kClients;
  if (resolved.model.empty()) {
    TRY_ASSIGN(resolved.model, first_model(target, options));
  }
  if (resolved.prompt_tokens > 0) {
    resolved.letters = true;
    TRY_ASSIGN(resolved.prompt_words, words_for(target, resolved));
    resolved.prompt_tokens = 0;
  }
  return resolved;
}

Result<LoadReport> run_load(const LoadOptions& options) {
  TRY_ASSIGN(const Target target, parse_url(options.url));
  TRY_ASSIGN(const LoadOptions resolved, resolve_load(options));
  const std::vector<double> arrivals = arrival_seconds(resolved);
  std::vector<Sample> samples(arrivals.size());
  std::atomic<size_t> next{0};
  const Clock::time_point begin = Clock::now();
  const auto client = [&] {
    for (size_t i = next.fetch_add(1); i < samples.size(); i = next.fetch_add(1)) {
      const auto planned =
          begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(arrivals[i]));
      std::this_thread::sleep_until(planned);
      samples[i] = send_one(target, resolved, static_cast<int64_t>(i), resolved.rate > 0 ? planned : Clock::now());
    }
  };
  std::vector<std::thread> clients;
  const auto count = std::min<int64_t>(resolved.concurrency, resolved.requests);
  for (int64_t i = 0; i < count; ++i) clients.emplace_back(client);
  for (std::thread& thread : clients) thread.join();
  return summarise(samples, begin);
}

std::string report_text(const LoadReport& report) {
  std::string text = fmt::format(
      "requests          {} completed, {} failed, {} cut by length, in {:.2f} s ({:.2f}/s)\n"
      "tokens            {} prompt, {} completion ({:.1f} completion tok/s)\n",
      report.completed, report.failed, report.cut_by_length, report.seconds,
      per_second(report.completed, report.seconds), report.prompt_tokens, report.completion_tokens,
      per_second(report.completion_tokens, report.seconds));
  const auto row = [&](const char* name, const Percentiles& p) {
    text += fmt::format("{:<18}p50 {:>9.2f}   p90 {:>9.2f}   p99 {:>9.2f}   mean {:>9.2f}\n", name, p.p50, p.p90, p.p99,
                        p.mean);
  };
  row("TTFT ms", report.ttft_ms);
  row("TPOT ms", report.tpot_ms);
  row("request ms", report.request_ms);
  for (const std::string& error : report.errors) text += "error: " + error + "\n";
  return text;
}

std::string report_json(const LoadReport& report) {
  json::object out{{"completed", report.completed},
                   {"failed", report.failed},
                   {"cut_by_length", report.cut_by_length},
                   {"seconds", report.seconds},
                   {"prompt_tokens", report.prompt_tokens},
                   {"completion_tokens", report.completion_tokens},
                   {"requests_per_s", per_second(report.completed, report.seconds)},
                   {"completion_tokens_per_s", per_second(report.completion_tokens, report.seconds)},
                   {"ttft_ms", to_json(report.ttft_ms)},
                   {"tpot_ms", to_json(report.tpot_ms)},
                   {"request_ms", to_json(report.request_ms)}};
  json::array errors;
  for (const std::string& error : report.errors) errors.emplace_back(error);
  out["errors"] = std::move(errors);
  return json::serialize(out);
}

}  // namespace cove::app

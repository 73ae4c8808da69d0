#include "cmd/fit_command.h"

#include <cstdio>
#include <fstream>

#include "cmd/arguments.h"
#include "export/weights_file.h"
#include "loop/fit.h"
#include "loop/generate.h"

namespace cove::trainer {
namespace {

constexpr const char* kFitHelp =
    "usage: cove-train fit --data DIR --checkpoint FILE [options]\n"
    "  --data DIR            token shards (cove-train data shards)\n"
    "  --checkpoint FILE     continued when it exists; written at the end and every --save N steps (1000)\n"
    "  --from DIR            begin with this model's weights (safetensors) when there is no checkpoint yet\n"
    "  --log FILE            JSON lines of progress, appended\n"
    "  --steps N             of the whole schedule (1000)   --warmup N (200)   --decay N: the last N steps fall to "
    "zero (0)\n"
    "  --batch-tokens N      per step (131072)              --learning-rate X (0.003)   --log-every N steps (50)\n"
    "  --seconds X           end this run early             --decay-seconds X: the last X of --seconds fall to zero, "
    "instead of --decay\n"
    "  --seed N (1)          --wait S: seconds to wait for the next shard (60)          --wrap 1: begin again when the "
    "data ends\n"
    "  --device cpu|cuda     (cuda when there is one)       --dtype f32|bf16: of the computation (bf16 on cuda, f32 on "
    "cpu; the master weights\n"
    "                        are f32 always)\n"
    "  shape: --vocab --hidden --layers --heads --kv-heads --head-dim --ffn --context\n";

const std::vector<std::string> kShapeNames = {"vocab", "hidden",  "layers", "heads", "kv-heads", "head-dim",
                                              "ffn",   "context", "device", "dtype", "seed",     "checkpoint"};

std::vector<std::string> with_shape(std::vector<std::string> names) {
  names.insert(names.end(), kShapeNames.begin(), kShapeNames.end());
  return names;
}

Result<StudentConfig> shape_from(const Arguments& arguments) {
  StudentConfig c;
  TRY_ASSIGN(c.vocab, arguments.integer("vocab", c.vocab));
  TRY_ASSIGN(c.hidden, arguments.integer("hidden", c.hidden));
  TRY_ASSIGN(c.layers, arguments.integer("layers", c.layers));
  TRY_ASSIGN(c.heads, arguments.integer("heads", c.heads));
  TRY_ASSIGN(c.kv_heads, arguments.integer("kv-heads", c.kv_heads));
  TRY_ASSIGN(c.head_dim, arguments.integer("head-dim", c.head_dim));
  TRY_ASSIGN(c.ffn, arguments.integer("ffn", c.ffn));
  TRY_ASSIGN(c.context, arguments.integer("context", c.context));
  const bool positive = c.vocab > 0 && c.hidden > 0 && c.layers > 0 && c.heads > 0 && c.kv_heads > 0 &&
                        c.head_dim > 0 && c.ffn > 0 && c.context > 1;
  if (!positive || c.heads % c.kv_heads != 0 || c.head_dim % 2 != 0) {
    return invalid_argument("the shape needs positive sizes, heads divisible by kv-heads and an even head-dim");
  }
  return c;
}

Result<Student> student_from(const Arguments& arguments) {
  TRY_ASSIGN(const StudentConfig config, shape_from(arguments));
  TRY_ASSIGN(const int64_t seed, arguments.integer("seed", 1));
  const std::string wanted = arguments.text("device", torch::cuda::is_available() ? "cuda" : "cpu");
  if (wanted != "cpu" && wanted != "cuda") return invalid_argument("--device must be cpu or cuda");
  if (wanted == "cuda" && !torch::cuda::is_available())
    return make_error(ErrorCode::kFailedPrecondition, "LibTorch sees no CUDA device here");
  const bool cuda = wanted == "cuda";
  const std::string dtype = arguments.text("dtype", cuda ? "bf16" : "f32");
  if (dtype != "f32" && dtype != "bf16") return invalid_argument("--dtype must be f32 or bf16");
  return Student(config, cuda ? torch::Device(torch::kCUDA) : torch::Device(torch::kCPU),
                 dtype == "bf16" ? torch::kBFloat16 : torch::kFloat, static_cast<uint64_t>(seed));
}

int report(const char* command, const Error& error) {
  std::fprintf(stderr, "cove-train %s: %s\n", command, error.message.c_str());
  return error.code == ErrorCode::kInvalidArgument ? 2 : 1;
}

bool wants_help(int argc, char** argv, const char* help) {
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "--help" || std::string(argv[i]) == "-h") {
      std::fputs(help, stdout);
      return true;
    }
  }
  return false;
}

Result<FitOptions> fit_options_from(const Arguments& arguments) {
  FitOptions o;
  o.data_dir = arguments.text("data", "");
  o.checkpoint = arguments.text("checkpoint", "");
  o.log = arguments.text("log", "");
  if (o.data_dir.empty() || o.checkpoint.empty())
    return invalid_argument("--data and --checkpoint are needed; see --help");
  TRY_ASSIGN(o.steps, arguments.integer("steps", o.steps));
  TRY_ASSIGN(o.warmup_steps, arguments.integer("warmup", o.warmup_steps));
  TRY_ASSIGN(o.decay_steps, arguments.integer("decay", o.decay_steps));
  TRY_ASSIGN(o.batch_tokens, arguments.integer("batch-tokens", o.batch_tokens));
  TRY_ASSIGN(o.learning_rate, arguments.number("learning-rate", o.learning_rate));
  TRY_ASSIGN(o.seconds_max, arguments.number("seconds", o.seconds_max));
  TRY_ASSIGN(o.decay_seconds, arguments.number("decay-seconds", o.decay_seconds));
  TRY_ASSIGN(o.log_every, arguments.integer("log-every", o.log_every));
  TRY_ASSIGN(o.checkpoint_every, arguments.integer("save", o.checkpoint_every));
  if (o.log_every < 1 || o.checkpoint_every < 1) return invalid_argument("--log-every and --save must be at least 1");
  if (o.decay_seconds < 0 || o.decay_seconds > o.seconds_max)
    return invalid_argument("--decay-seconds is a part of --seconds: it must lie between 0 and that");
  TRY_ASSIGN(o.data_wait_s, arguments.integer("wait", o.data_wait_s));
  TRY_ASSIGN(o.document_max, arguments.integer("context", o.document_max));
  TRY_ASSIGN(const int64_t wrap, arguments.integer("wrap", 0));
  o.wrap_data = wrap != 0;
  return o;
}

Status begin_with(const Arguments& arguments, ReadWeights read_weights, Student& student) {
  const std::string from = arguments.text("from", "");
  if (from.empty() || std::filesystem::exists(arguments.text("checkpoint", ""))) return {};
  if (read_weights != nullptr) return read_weights(from, student);
  return make_error(ErrorCode::kUnsupported,
                    "this build does not read model files; run 'cove-train fit --from " + from +
                        " --steps 0 --checkpoint FILE' where Cove is built and bring FILE here");
}

Result<FitResult> fit_with(const Arguments& arguments, ReadWeights read_weights) {
  TRY_ASSIGN(const FitOptions options, fit_options_from(arguments));
  TRY_ASSIGN(Student student, student_from(arguments));
  TRY(begin_with(arguments, read_weights, student));
  std::fprintf(stderr, "training %lld parameters\n", static_cast<long long>(parameter_count(student.config())));
  return fit(student, options, [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); });
}

// A student with the weights of --checkpoint.
Result<Student> trained_student(const Arguments& arguments) {
  TRY_ASSIGN(Student student, student_from(arguments));
  Optimizer optimizer(student, {});
  TRY(load_checkpoint(arguments.text("checkpoint", ""), optimizer));
  return student;
}

Status generate_with(const Arguments& arguments) {
  TRY_ASSIGN(const Shard shard, read_shard(arguments.text("prompts", "")));
  TRY_ASSIGN(const Student student, trained_student(arguments));
  std::vector<std::vector<int32_t>> prompts;
  size_t at = 0;
  for (const uint32_t length : shard.lengths) {
    prompts.emplace_back(shard.ids.begin() + static_cast<std::ptrdiff_t>(at),
                         shard.ids.begin() + static_cast<std::ptrdiff_t>(at + length));
    at += length;
  }
  GenerateOptions options;
  TRY_ASSIGN(options.tokens_max, arguments.integer("tokens-max", options.tokens_max));
  TRY_ASSIGN(options.sequences_at_once, arguments.integer("at-once", options.sequences_at_once));
  TRY_ASSIGN(const int64_t end, arguments.integer("end-token", 0));
  options.end_token = static_cast<int32_t>(end);
  const auto answers = generate_greedy(student, prompts, options);
  std::ofstream out(arguments.text("out", "/dev/stdout"), std::ios::trunc);
  for (size_t i = 0; i < answers.size(); ++i) {
    out << R"({"index":)" << i << R"(,"ids":[)";
    for (size_t j = 0; j < answers[i].size(); ++j) out << (j == 0 ? "" : ",") << answers[i][j];
    out << "]}\n";
  }
  out.flush();
  if (!out) return make_error(ErrorCode::kIo, "cannot write " + arguments.text("out", "/dev/stdout"));
  return {};
}

Status weights_with(const Arguments& arguments) {
  TRY_ASSIGN(const Student student, trained_student(arguments));
  return write_weights(arguments.text("out", "model.safetensors"), student.named_tensors());
}

}  // namespace

int run_fit(int argc, char** argv, ReadWeights read_weights) {
  if (wants_help(argc, argv, kFitHelp)) return 0;
  const auto arguments =
      Arguments::parse(argc, argv,
                       with_shape({"data", "log", "from", "steps", "warmup", "decay", "batch-tokens", "learning-rate",
                                   "seconds", "decay-seconds", "log-every", "save", "wait", "wrap"}));
  if (!arguments) return report("fit", arguments.error());
  const Result<FitResult> result = fit_with(*arguments, read_weights);
  if (!result) return report("fit", result.error());
  std::printf(R"({"steps":%lld,"tokens":%lld,"seconds":%.1f,"tokens_per_s":%.0f,"loss":%.5f,"finished":%s})"
              "\n",
              static_cast<long long>(result->steps_done), static_cast<long long>(result->tokens_done), result->seconds,
              static_cast<double>(result->tokens_done) / result->seconds, result->last_loss,
              result->finished ? "true" : "false");
  return 0;
}

int run_generate(int argc, char** argv) {
  if (wants_help(argc, argv,
                 "usage: cove-train generate --checkpoint FILE --prompts SHARD [--out FILE] [--tokens-max 512] "
                 "[--at-once 512]\n"
                 "       [--end-token ID] and the shape as for fit: greedy answers as {\"index\",\"ids\"} lines\n")) {
    return 0;
  }
  const auto arguments =
      Arguments::parse(argc, argv, with_shape({"prompts", "out", "tokens-max", "at-once", "end-token"}));
  if (!arguments) return report("generate", arguments.error());
  const Status done = generate_with(*arguments);
  return done ? 0 : report("generate", done.error());
}

int run_weights(int argc, char** argv) {
  if (wants_help(argc, argv,
                 "usage: cove-train weights --checkpoint FILE [--out model.safetensors] and the shape as for fit\n"))
    return 0;
  const auto arguments = Arguments::parse(argc, argv, with_shape({"out"}));
  if (!arguments) return report("weights", arguments.error());
  const Status done = weights_with(*arguments);
  return done ? 0 : report("weights", done.error());
}

}  // namespace cove::trainer

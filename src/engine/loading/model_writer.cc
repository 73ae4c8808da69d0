#include "engine/loading/model_writer.h"

#include <algorithm>
#include <thread>

#include <fmt/format.h>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/file.h"
#include "base/json.h"
#include "compute/rope_table.h"
#include "engine/loading/vocabulary_writer.h"
#include "spec/expected_tensors.h"
#include "tensor/formats/codec.h"
#include "tensor/io/gguf_writer.h"
#include "tensor/io/safetensors_writer.h"

namespace cove::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRopeFactors = "rope_freqs.weight";  // not a canonical name: GGUF only
constexpr int64_t kPieceValues = int64_t{1} << 21;

struct Job {
  std::string canonical;  // or kRopeFactors
  PlannedTensor tensor;
  int64_t head_dim_permuted = 0;  // rows of q and k in GGUF's llama: see source_row
};

int64_t row_values(const Shape& shape) { return shape.rank == 0 ? 1 : shape[shape.rank - 1]; }
int64_t row_count(const Shape& shape) { return shape.elements() / std::max<int64_t>(row_values(shape), 1); }

// GGUF's llama pairs neighbours where Hugging Face pairs halves: its row 2i + h of a head is row h * (dim / 2) + i
// there.
int64_t source_row(const Job& job, int64_t row) {
  const int64_t dim = job.head_dim_permuted;
  if (dim == 0) return row;
  const int64_t within = row % dim;
  return row - within + within % 2 * (dim / 2) + within / 2;
}

// What plain inverse frequencies must be divided by to be those of llama3's scaling.
std::vector<float> rope_factors(const LayerSpec& layer) {
  const RopeSpec& rope = layer.rope;
  const RopeTable plain = make_rope_table({.dim = layer.head_dim, .theta = rope.theta});
  const RopeTable scaled = make_rope_table({.kind = RopeTableArgs::Kind::kLlama3,
                                            .dim = layer.head_dim,
                                            .theta = rope.theta,
                                            .factor = rope.factor,
                                            .low_freq_factor = rope.low_freq_factor,
                                            .high_freq_factor = rope.high_freq_factor,
                                            .original_context = rope.original_context});
  std::vector<float> factors(plain.inv_freq.size());
  for (size_t i = 0; i < factors.size(); ++i) factors[i] = plain.inv_freq[i] / scaled.inv_freq[i];
  return factors;
}

class ModelWriter {
 public:
  ModelWriter(const ModelSpec& spec, const RowSource& rows, const WriteModelOptions& options)
      : spec_(spec), rows_(rows), options_(options) {}

  Status write_gguf(const fs::path& path);
  Status write_directory(const fs::path& path);

 private:
  using Sink = std::function<Status(std::span<const std::byte>)>;

  void plan(Container container);
  std::vector<PlannedTensor> planned() const;
  Status write_tensor(const Job& job, const Sink& sink);
  Status encode_rows(const Job& job, int64_t first, int64_t count, std::vector<std::byte>& out) const;
  Status fill_rows(const Job& job, int64_t first, std::span<float> values) const;
  GgufPairs gguf_pairs() const;
  json::object config() const;

  const ModelSpec& spec_;
  const RowSource& rows_;
  const WriteModelOptions& options_;
  std::vector<Job> jobs_;
  uint64_t bytes_total_ = 0;
  uint64_t bytes_done_ = 0;
};

void ModelWriter::plan(Container container) {
  const bool is_gguf = container == Container::kGguf;
  const bool is_block = dtype_info(options_.dtype).block_elements > 1;
  for (const ExpectedTensor& expected : expected_tensors(spec_)) {
    const bool is_matrix = expected.shape.rank == 2;
    const DType dtype = is_matrix || !(is_gguf || is_block) ? options_.dtype : DType::kF32;
    Job job{expected.name, {container_name(container, expected.name), dtype, expected.shape}};
    const bool is_qk = expected.name.find(".q.") != std::string::npos || expected.name.find(".k.") != std::string::npos;
    if (is_gguf && spec_.family == "llama" && is_qk) job.head_dim_permuted = spec_.layers.front().head_dim;
    bytes_total_ += static_cast<uint64_t>(dtype_bytes(dtype, expected.shape.elements()));
    jobs_.push_back(std::move(job));
  }
  const LayerSpec& layer = spec_.layers.front();
  if (is_gguf && layer.rope.kind == RopeSpec::Kind::kLlama3) {
    jobs_.push_back({std::string(kRopeFactors), {std::string(kRopeFactors), DType::kF32, {layer.head_dim / 2}}});
  }
}

std::vector<PlannedTensor> ModelWriter::planned() const {
  std::vector<PlannedTensor> tensors;
  for (const Job& job : jobs_) tensors.push_back(job.tensor);
  return tensors;
}

Status ModelWriter::fill_rows(const Job& job, int64_t first, std::span<float> values) const {
  if (job.canonical == kRopeFactors) {
    std::ranges::copy(rope_factors(spec_.layers.front()), values.begin());
    return {};
  }
  if (job.head_dim_permuted == 0) return rows_(job.canonical, first, values);
  // A permuted bias is one row whose values move; a matrix's rows move whole.
  if (job.tensor.shape.rank == 1) {
    std::vector<float> source(values.size());
    TRY(rows_(job.canonical, 0, source));
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = source[static_cast<size_t>(source_row(job, static_cast<int64_t>(i)))];
    }
    return {};
  }
  const auto width = static_cast<size_t>(row_values(job.tensor.shape));
  for (size_t done = 0; done < values.size(); done += width, ++first) {
    TRY(rows_(job.canonical, source_row(job, first), values.subspan(done, width)));
  }
  return {};
}

Status ModelWriter::encode_rows(const Job& job, int64_t first, int64_t count, std::vector<std::byte>& out) const {
  std::vector<float> values(static_cast<size_t>(count * row_values(job.tensor.shape)));
  TRY(fill_rows(job, first, values));
  out.resize(static_cast<size_t>(dtype_bytes(job.tensor.dtype, static_cast<int64_t>(values.size()))));
  const Status encoded = encode(job.tensor.dtype, values, out);
  if (!encoded) return with_context(encoded.error(), job.tensor.name);
  return {};
}

// As many pieces at once as there are threads, written in order.
Status ModelWriter::write_tensor(const Job& job, const Sink& sink) {
  const int64_t rows = row_count(job.tensor.shape);
  const int64_t step = std::max<int64_t>(1, kPieceValues / std::max<int64_t>(row_values(job.tensor.shape), 1));
  const auto threads = static_cast<size_t>(std::max(options_.threads, 1));
  std::vector<std::vector<std::byte>> pieces(threads);
  std::vector<Status> results(threads);
  for (int64_t first = 0; first < rows;) {
    size_t used = 0;
    {
      std::vector<std::jthread> workers;
      for (; used < threads && first < rows; ++used, first += step) {
        workers.emplace_back([&, used, first, count = std::min(step, rows - first)] {
          results[used] = encode_rows(job, first, count, pieces[used]);
        });
      }
    }
    for (size_t i = 0; i < used; ++i) {
      TRY(results[i]);
      TRY(sink(pieces[i]));
      bytes_done_ += pieces[i].size();
    }
    if (options_.on_progress) options_.on_progress(bytes_done_, bytes_total_);
  }
  return {};
}

GgufPairs ModelWriter::gguf_pairs() const {
  const LayerSpec& layer = spec_.layers.front();
  const auto u32 = [](int64_t value) { return static_cast<uint32_t>(value); };
  const auto key = [&](std::string_view rest) { return fmt::format("{}.{}", spec_.family, rest); };
  GgufPairs pairs;
  pairs.add("general.architecture", spec_.family);
  pairs.add("general.name", spec_.name);
  pairs.add_u32("general.quantization_version", 2);
  pairs.add_u32(key("block_count"), u32(static_cast<int64_t>(spec_.layers.size())));
  pairs.add_u32(key("context_length"), u32(spec_.context_max));
  pairs.add_u32(key("embedding_length"), u32(spec_.hidden));
  pairs.add_u32(key("feed_forward_length"), u32(layer.ffn_dim));
  pairs.add_u32(key("attention.head_count"), u32(layer.heads));
  pairs.add_u32(key("attention.head_count_kv"), u32(layer.kv_heads));
  pairs.add_u32(key("attention.key_length"), u32(layer.head_dim));
  pairs.add_u32(key("attention.value_length"), u32(layer.head_dim));
  pairs.add_u32(key("rope.dimension_count"), u32(layer.head_dim));
  pairs.add_f32(key("attention.layer_norm_rms_epsilon"), static_cast<float>(spec_.norm_eps));
  pairs.add_f32(key("rope.freq_base"), static_cast<float>(layer.rope.theta));
  if (layer.rope.kind == RopeSpec::Kind::kLinear) {
    pairs.add(key("rope.scaling.type"), "linear");
    pairs.add_f32(key("rope.scaling.factor"), static_cast<float>(layer.rope.factor));
  }
  pairs.add_u32(key("vocab_size"), u32(spec_.vocab));
  if (spec_.bos_id) pairs.add_u32("tokenizer.ggml.bos_token_id", u32(*spec_.bos_id));
  if (!spec_.eos_ids.empty()) pairs.add_u32("tokenizer.ggml.eos_token_id", u32(spec_.eos_ids.front()));
  if (options_.vocabulary != nullptr) {
    add_vocabulary(pairs, *options_.vocabulary);
  } else {
    pairs.add("tokenizer.ggml.model", "no_vocab");
  }
  return pairs;
}

Status ModelWriter::write_gguf(const fs::path& path) {
  if (spec_.layers.front().rope.kind == RopeSpec::Kind::kYarn) {
    return make_error(ErrorCode::kUnsupported, "yarn is not written to GGUF; write a directory");
  }
  plan(Container::kGguf);
  const std::vector<PlannedTensor> tensors = planned();
  TRY_ASSIGN(GgufWriter writer, GgufWriter::create(path, gguf_pairs(), tensors));
  for (const Job& job : jobs_) {
    TRY(write_tensor(job, [&](std::span<const std::byte> bytes) { return writer.append(bytes); }));
    TRY(writer.end_tensor());
  }
  return writer.finish();
}

json::object rope_json(const RopeSpec& rope) {
  switch (rope.kind) {
    case RopeSpec::Kind::kPlain: break;
    case RopeSpec::Kind::kLinear: return {{"rope_type", "linear"}, {"factor", rope.factor}};
    case RopeSpec::Kind::kLlama3:
      return {{"rope_type", "llama3"},
              {"factor", rope.factor},
              {"low_freq_factor", rope.low_freq_factor},
              {"high_freq_factor", rope.high_freq_factor},
              {"original_max_position_embeddings", rope.original_context}};
    case RopeSpec::Kind::kYarn:
      return {{"rope_type", "yarn"},
              {"factor", rope.factor},
              {"beta_fast", rope.beta_fast},
              {"beta_slow", rope.beta_slow},
              {"original_max_position_embeddings", rope.original_context}};
  }
  return {{"rope_type", "default"}};
}

json::object ModelWriter::config() const {
  const LayerSpec& layer = spec_.layers.front();
  const std::string kind = spec_.family == "llama" ? "Llama" : spec_.family == "qwen3" ? "Qwen3" : "Qwen2";
  json::object config = {{"architectures", json::array{kind + "ForCausalLM"}},
                         {"model_type", spec_.family},
                         {"hidden_act", "silu"},
                         {"hidden_size", spec_.hidden},
                         {"intermediate_size", layer.ffn_dim},
                         {"num_hidden_layers", spec_.layers.size()},
                         {"num_attention_heads", layer.heads},
                         {"num_key_value_heads", layer.kv_heads},
                         {"head_dim", layer.head_dim},
                         {"max_position_embeddings", spec_.context_max},
                         {"rms_norm_eps", spec_.norm_eps},
                         {"rope_theta", layer.rope.theta},
                         {"tie_word_embeddings", spec_.tied_embeddings},
                         {"torch_dtype", dtype_info(options_.dtype).name == "bf16"  ? "bfloat16"
                                         : dtype_info(options_.dtype).name == "f16" ? "float16"
                                                                                    : "float32"},
                         {"vocab_size", spec_.vocab}};
  if (layer.rope.kind != RopeSpec::Kind::kPlain) config["rope_scaling"] = rope_json(layer.rope);
  if (spec_.family != "qwen2") config["attention_bias"] = layer.output_bias;
  if (spec_.family == "llama") config["mlp_bias"] = layer.ffn_bias;
  if (spec_.bos_id) config["bos_token_id"] = *spec_.bos_id;
  if (!spec_.eos_ids.empty()) config["eos_token_id"] = json::array(spec_.eos_ids.begin(), spec_.eos_ids.end());
  return config;
}

Status ModelWriter::write_directory(const fs::path& path) {
  plan(Container::kHuggingFace);
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return make_error(ErrorCode::kIo, fmt::format("{}: cannot create: {}", path.string(), error.message()));
  TRY_ASSIGN(SafetensorsWriter writer,
             SafetensorsWriter::create(path / "model.safetensors", planned(), {{"format", "pt"}}));
  for (const Job& job : jobs_) {
    TRY(write_tensor(job, [&](std::span<const std::byte> bytes) { return writer.append(bytes); }));
  }
  TRY(writer.finish());
  if (options_.vocabulary != nullptr) TRY(write_tokenizer_files(path, *options_.vocabulary));
  return write_file_atomic(path / "config.json", json::serialize(config()) + "\n");
}

}  // namespace

Status write_model(const ModelSpec& spec, const fs::path& path, const RowSource& rows,
                   const WriteModelOptions& options) {
  ModelWriter writer(spec, rows, options);
  return path.extension() == ".gguf" ? writer.write_gguf(path) : writer.write_directory(path);
}

}  // namespace cove::engine

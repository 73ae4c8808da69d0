#include "doctor_checks.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/file.h"
#include "base/json.h"

namespace cove::app {
namespace {

using machine::find_program;

constexpr int64_t kGb = 1'000'000'000;

std::string gb(int64_t bytes) { return fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9); }

Verdict grade(bool is_minimum, bool is_recommended) {
  if (!is_minimum) return Verdict::kBelowMinimum;
  return is_recommended ? Verdict::kOk : Verdict::kBelowRecommended;
}

bool has(const std::vector<std::string>& list, std::string_view what) {
  return std::find(list.begin(), list.end(), what) != list.end();
}

// The toolkit writes its version beside its bin folder, {"cuda": {"version": "13.0.88"}}; some packages of it only name
// the folder cuda-13.0.
std::string cuda_toolkit_version(const std::string& path) {
  const std::filesystem::path nvcc = find_program("nvcc", path + ":/usr/local/cuda/bin");
  if (nvcc.empty()) return "";
  std::error_code ignored;  // a link that leads nowhere: the version stays unknown
  const auto folder = std::filesystem::weakly_canonical(nvcc, ignored).parent_path().parent_path();
  const auto text = read_file(folder / "version.json", size_t{1} << 20);
  const auto parsed = text ? parse_json(*text) : Result<json::value>(text.error());
  const json::value* cuda = parsed ? find_member(*parsed, "cuda") : nullptr;
  const json::value* version = cuda != nullptr ? find_member(*cuda, "version") : nullptr;
  if (version != nullptr && version->is_string()) return std::string(version->get_string());
  const std::string name = folder.filename().string();
  return name.starts_with("cuda-") ? name.substr(5) : "?";
}

Programs probe_programs() {
  const char* variable = std::getenv("PATH");
  const std::string path = variable != nullptr ? variable : "/usr/bin:/bin";
  Programs programs;
  programs.nvcc = cuda_toolkit_version(path);
  programs.docker = !find_program("docker", path).empty();
  programs.docker_engine = machine::socket_answers("/var/run/docker.sock");
  programs.podman = !find_program("podman", path).empty();
  programs.kubectl = !find_program("kubectl", path).empty();
  programs.nvidia_runtime =
      !find_program("nvidia-ctk", path).empty() || !find_program("nvidia-container-runtime", path).empty();
  return programs;
}

CheckRow judge_system(const Facts& facts) {
  const machine::SystemInfo& system = facts.system;
  const bool known = system.architecture == "x86_64" || system.architecture == "aarch64";
  const bool libc = machine::version_at_least(system.libc, "2.35");
  const bool kernel = machine::version_at_least(system.kernel, "5.10");
  return {.name = "system",
          .value = fmt::format("{}, {}, kernel {}, glibc {}", system.name.empty() ? "unknown Linux" : system.name,
                               system.architecture, system.kernel, system.libc),
          .minimum = "x86_64 or aarch64, kernel 5.10, glibc 2.35 (Debian 12, Ubuntu 22.04)",
          .recommended = "Debian 12",
          .verdict = grade(known && libc && kernel, true),
          .advice = "use Debian 12 or newer, Ubuntu 22.04 or newer, or a container of one of them"};
}

CheckRow judge_cores(const Facts& facts) {
  const machine::CpuInfo& cpu = facts.cpu;
  double usable = cpu.threads_allowed > 0 ? cpu.threads_allowed : cpu.threads;
  if (cpu.cgroup_cpus > 0) usable = std::min(usable, cpu.cgroup_cpus);
  std::string value = fmt::format("{}, {} cores, {} threads", cpu.model.empty() ? "unknown processor" : cpu.model,
                                  cpu.cores, cpu.threads);
  if (usable < cpu.threads) value += fmt::format(", {:g} of them usable (affinity or control group)", usable);
  return {.name = "processor",
          .value = value,
          .minimum = "1 thread",
          .recommended = "8 threads",
          .verdict = grade(usable > 0, usable >= 8),
          .advice = "prefill (reading prompts) is proportional to cores; decode is bound by memory bandwidth"};
}

CheckRow judge_isa(const Facts& facts) {
  const std::vector<std::string>& features = facts.cpu.features;
  const bool arm = facts.system.architecture == "aarch64";
  const bool good = arm ? has(features, "asimddp") : has(features, "avx2") && has(features, "fma");
  return {.name = "instructions",
          .value = features.empty() ? "none that Cove has kernels for" : fmt::format("{}", fmt::join(features, " ")),
          .minimum = "",
          .recommended = arm ? "asimddp (NEON dot products)" : "avx2 and fma; better avx512_vnni and avx512_bf16",
          .verdict = grade(true, good),
          .advice = "Cove runs, but slowly: its portable kernels are used"};
}

CheckRow judge_memory(const Facts& facts) {
  const machine::MemoryInfo& memory = facts.memory;
  const int64_t usable = memory.usable_bytes();
  std::string value = fmt::format("{}, {} available", gb(memory.total_bytes), gb(memory.available_bytes));
  if (memory.cgroup_max_bytes > 0)
    value += fmt::format(", limited to {} by the control group", gb(memory.cgroup_max_bytes));
  return {.name = "memory",
          .value = value,
          .minimum = "2 GB (the shipped model)",
          .recommended = "16 GB (R1-Distill-Qwen-7B at 4 bits)",
          .verdict = grade(usable >= 19 * kGb / 10, usable >= 15 * kGb),
          .advice = "see below which models fit"};
}

CheckRow judge_disk(const Facts& facts) {
  const machine::DiskInfo& disk = facts.disk;
  return {.name = "disk",
          .value = fmt::format("{} free of {} at {}", gb(disk.free_bytes), gb(disk.total_bytes), disk.path),
          .minimum = "2 GB (Cove, its data, the shipped model)",
          .recommended = "200 GB, NVMe (several R1-Distill models)",
          .verdict = grade(disk.free_bytes >= 2 * kGb, disk.free_bytes >= 200 * kGb),
          .advice = "put --data and the models on a larger disk; a bf16 model takes 2 GB for 1 G parameters"};
}

CheckRow judge_files(const Facts& facts) {
  const machine::LimitInfo& limits = facts.limits;
  const auto enough = [&](int64_t wanted) { return limits.files_soft < 0 || limits.files_soft >= wanted; };
  const auto text = [](int64_t value) { return value < 0 ? std::string("unlimited") : std::to_string(value); };
  return {.name = "open files",
          .value = fmt::format("{} (may be raised to {})", text(limits.files_soft), text(limits.files_hard)),
          .minimum = "256",
          .recommended = "4096 (each open connection takes one)",
          .verdict = grade(enough(256), enough(4096)),
          .advice = "raise it: ulimit -n 4096, or LimitNOFILE=4096 in the systemd unit"};
}

CheckRow judge_shm(const Facts& facts) {
  return {.name = "shared memory",
          .value = facts.limits.shm_bytes > 0 ? gb(facts.limits.shm_bytes) : "none",
          .minimum = "",
          .recommended = "",
          .verdict = Verdict::kInfo,
          .advice = "Cove needs none on one machine; several GPUs (NCCL) would need 2 GB"};
}

CheckRow judge_port(const Facts& facts) {
  return {
      .name = "port",
      .value = fmt::format("{}:{} is {}", facts.host, facts.port, facts.port_free ? "free" : "taken or not allowed"),
      .minimum = "",
      .recommended = "free",
      .verdict = grade(true, facts.port_free),
      .advice = "Cove may already run there; otherwise start it with another --port"};
}

std::string describe_gpus(const GpuDriver& driver) {
  std::string text;
  for (const GpuInfo& gpu : driver.gpus) {
    if (gpu.name.empty()) {
      text += text.empty() ? "one that does not answer" : "; one that does not answer";
      continue;
    }
    text += fmt::format("{}{}, {} of {} free, compute capability {}.{}", text.empty() ? "" : "; ", gpu.name,
                        gb(gpu.memory_free_bytes), gb(gpu.memory_total_bytes), gpu.compute_major, gpu.compute_minor);
    if (gpu.utilization) text += fmt::format(", {:.0f} % busy", *gpu.utilization * 100);
    if (gpu.temperature_c) text += fmt::format(", {:.0f} °C", *gpu.temperature_c);
    if (gpu.power_w) text += fmt::format(", {:.0f} W", *gpu.power_w);
  }
  return text.empty() ? "a driver, but no GPU" : text;
}

CheckRow judge_gpu(const Facts& facts) {
  CheckRow row{.name = "gpu",
               .value = facts.gpu_missing,
               .minimum = "none is needed",
               .recommended = "compute capability 8.0, 24 GB (7B in bf16)",
               .verdict = Verdict::kInfo,
               .advice = ""};
  if (!facts.gpu) return row;
  row.value = describe_gpus(*facts.gpu);
  const auto good = [](const GpuInfo& gpu) { return gpu.compute_major >= 8 && gpu.memory_total_bytes >= 23 * kGb; };
  const bool any = std::any_of(facts.gpu->gpus.begin(), facts.gpu->gpus.end(), good);
  row.verdict = grade(true, any);
  if (!any) row.advice = "smaller or older GPUs hold only small or quantized models";
  return row;
}

CheckRow judge_driver(const Facts& facts) {
  CheckRow row{.name = "gpu driver",
               .value = "none",
               .minimum = "",
               .recommended = "CUDA 12.0 or newer",
               .verdict = Verdict::kInfo,
               .advice = ""};
  if (!facts.gpu) return row;
  row.value =
      fmt::format("{}, runs CUDA up to {}.{}", facts.gpu->version, facts.gpu->cuda_major, facts.gpu->cuda_minor);
  row.verdict = grade(true, facts.gpu->cuda_major >= 12);
  row.advice = "update the NVIDIA driver to 525 or newer";
  return row;
}

CheckRow judge_toolkit(const Facts& facts) {
  const std::string& nvcc = facts.programs.nvcc;
  return {.name = "cuda toolkit",
          .value = nvcc.empty()  ? "none"
                   : nvcc == "?" ? "nvcc is there, its version was not found"
                                 : "nvcc " + nvcc,
          .minimum = "",
          .recommended = "12.4 or newer, only to build the CUDA backend",
          .verdict = Verdict::kInfo,
          .advice = ""};
}

CheckRow judge_containers(const Facts& facts) {
  const Programs& programs = facts.programs;
  std::vector<std::string> parts;
  if (programs.docker)
    parts.emplace_back(programs.docker_engine ? "docker, its engine answers" : "docker client, no engine answers");
  if (programs.podman) parts.emplace_back("podman");
  if (programs.nvidia_runtime) parts.emplace_back("NVIDIA container runtime");
  if (programs.kubectl) parts.emplace_back("kubectl");
  return {.name = "containers",
          .value = parts.empty() ? "none" : fmt::format("{}", fmt::join(parts, "; ")),
          .minimum = "",
          .recommended = "",
          .verdict = Verdict::kInfo,
          .advice = "only needed to run Cove in containers or on Kubernetes"};
}

CheckRow judge_bandwidth(const CpuCeilings& ceilings) {
  return {.name = "memory speed",
          .value = fmt::format("{:.1f} GB/s read by {} threads, {:.1f} by one (measured now)",
                               ceilings.read_gbs.all_threads, ceilings.threads, ceilings.read_gbs.one_thread),
          .minimum = "",
          .recommended = "40 GB/s",
          .verdict = grade(true, std::max(ceilings.read_gbs.all_threads, ceilings.read_gbs.one_thread) >= 40),
          .advice = "one answer's speed is at most this divided by the weights' size; the table below shows it"};
}

CheckRow judge_arithmetic(const CpuCeilings& ceilings) {
  std::string value = fmt::format("{}: f32 {:.0f} GFLOP/s, int8 {:.0f} GOP/s", ceilings.isa,
                                  ceilings.f32_gflops.all_threads, ceilings.int8_gops.all_threads);
  if (ceilings.bf16_gflops.all_threads > 0)
    value += fmt::format(", bf16 {:.0f} GFLOP/s", ceilings.bf16_gflops.all_threads);
  return {.name = "arithmetic",
          .value = value + " (measured now)",
          .minimum = "",
          .recommended = "",
          .verdict = Verdict::kInfo,
          .advice = "reading a prompt is bound by it"};
}

// Whether Cove can compute on the GPU, and how fast.
CheckRow judge_gpu_speed(const Facts& facts) {
  CheckRow row{.name = "gpu speed",
               .value = "not measured: " + facts.gpu_unmeasured,
               .minimum = "",
               .recommended = "a build with the CUDA backend and a GPU that it can use",
               .verdict = Verdict::kBelowRecommended,
               .advice = "Cove computes on the CPU; 'make cuda' builds the program that uses the GPU"};
  if (!facts.gpu_ceilings) return row;
  const CudaCeilings& ceilings = *facts.gpu_ceilings;
  row.value = fmt::format("{:.0f} GB/s read, bf16 {:.0f} TFLOP/s", ceilings.read_gbs, ceilings.bf16_tflops);
  if (ceilings.fp8_tflops > 0) row.value += fmt::format(", fp8 {:.0f} TFLOP/s", ceilings.fp8_tflops);
  if (ceilings.int8_tops > 0) row.value += fmt::format(", int8 {:.0f} TOP/s", ceilings.int8_tops);
  row.value += " (measured now)";
  row.verdict = Verdict::kInfo;
  return row;
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk: return "ok";
    case Verdict::kBelowRecommended: return "below_recommended";
    case Verdict::kBelowMinimum: return "below_minimum";
    case Verdict::kInfo: return "info";
  }
  return "info";
}

Facts gather_facts(const std::string& data, const std::string& host, uint16_t port) {
  Facts facts;
  facts.system = machine::probe_system();
  facts.cpu = machine::probe_cpu();
  facts.memory = machine::probe_memory();
  facts.disk = machine::probe_disk(data);
  facts.limits = machine::probe_limits();
  facts.programs = probe_programs();
  if (auto driver = probe_gpus()) {
    facts.gpu = std::move(*driver);
  } else {
    facts.gpu_missing = driver.error().message;
  }
  facts.host = host;
  facts.port = port;
  facts.port_free = machine::port_is_free(host, port);
  return facts;
}

std::vector<CheckRow> judge(const Facts& facts) {
  std::vector<CheckRow> rows = {judge_system(facts), judge_cores(facts), judge_isa(facts), judge_memory(facts)};
  if (facts.ceilings) {
    rows.push_back(judge_bandwidth(*facts.ceilings));
    rows.push_back(judge_arithmetic(*facts.ceilings));
  }
  for (auto* rule :
       {judge_disk, judge_files, judge_port, judge_shm, judge_gpu, judge_driver, judge_toolkit, judge_containers}) {
    rows.push_back(rule(facts));
  }
  if (facts.gpu_ceilings || !facts.gpu_unmeasured.empty()) rows.push_back(judge_gpu_speed(facts));
  return rows;
}

bool below_minimum(const std::vector<CheckRow>& rows) {
  return std::any_of(rows.begin(), rows.end(),
                     [](const CheckRow& row) { return row.verdict == Verdict::kBelowMinimum; });
}

}  // namespace cove::app

// What a script costs: a state of its own for a request, and one call for a piece of an answer.
#include <filesystem>
#include <fstream>

#include <benchmark/benchmark.h>

#include "services/plugins/plugin_set.h"

namespace cove::plugins {
namespace {

std::unique_ptr<PluginSet> open_script() {
  const auto path = std::filesystem::temp_directory_path() / "lua_plugin_bench.lua";
  std::ofstream(path) << "function postprocess(text) return (text:gsub('%d', '#')) end";
  PluginOptions options;
  options.name = "script";
  options.type = PluginType::kLua;
  options.lua.file = path;
  auto set = PluginSet::create({options});
  return set ? std::move(*set) : nullptr;
}

void request(benchmark::State& state) {
  const auto set = open_script();
  for (auto _ : state) {
    auto run = set->open({});
    benchmark::DoNotOptimize(run->postprocess({.text_id = 1, .text = "token 1"}));
  }
}
BENCHMARK(request);

void piece(benchmark::State& state) {
  const auto set = open_script();
  auto run = set->open({});
  for (auto _ : state) benchmark::DoNotOptimize(run->postprocess({.text_id = 1, .text = "token 1"}));
}
BENCHMARK(piece);

}  // namespace
}  // namespace cove::plugins

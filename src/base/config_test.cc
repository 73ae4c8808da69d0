#include "base/config.h"

#include <gtest/gtest.h>

#include "base/file.h"

namespace cove {
namespace {

constexpr ConfigKey kSchema[] = {
#define COVE_CONFIG(path, type, initial, range, available, help) \
  {path, ConfigType::type, initial, range, available, help},
#include "../api/config.def"
#undef COVE_CONFIG
};

Result<Config> load(std::string yaml, std::vector<std::pair<std::string, std::string>> environment = {},
                    std::vector<std::pair<std::string, std::string>> flags = {}) {
  return Config::load(kSchema, {.yaml = std::move(yaml),
                                .yaml_name = "cove.yaml",
                                .environment = std::move(environment),
                                .flags = std::move(flags)});
}

std::string error_of(const Result<Config>& result) { return result ? "no error" : result.error().message; }

TEST(Config, empty_configuration_gives_the_defaults) {
  const auto config = load("");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->string("server.host"), "127.0.0.1");
  EXPECT_EQ(config->integer("server.port"), 8080);
  EXPECT_EQ(config->number("engine.memory_fraction"), 0.8);
  EXPECT_TRUE(config->boolean("engine.prefix_cache"));
}

TEST(Config, the_whole_documented_example_is_accepted) {
  const auto config = load(R"(
server:    {host: 127.0.0.1, port: 8080, tls: {cert: , key: }, body_mb_max: 32, drain_s: 30}
model:     {path: , name: , context_max: , key_file: }
engine:    {device: auto, memory_fraction: 0.8, batch_window_ms: 0, batch_tokens_max: 2048, sequences_max: 256,
            kv_format: auto, prefix_cache: true, speculative: auto, reproducible: false, upstreams: []}
auth:      {mode: required, jwt: {issuer: , audience: , jwks_url: , ttl_s: 3600}, allow_ips: []}
limits:    {requests_per_minute: 600, tokens_per_day: 0, queue_max: 1024}
audit:     {dir: data/audit, prompts: hash, on_failure: refuse}
anomaly:   {requests_per_minute: 100, webhook: }
cache:     {entries: 1024, ttl_s: 3600, semantic: {enabled: false}}
plugins:   []
storage:   {url: "sqlite:data/cove.db"}          # or postgres://
cluster:   {etcd: [], heartbeat_s: 3}
backup:    {target: data/snapshots, at: "03:00", keep_days: 7}   # or s3://bucket/prefix
telemetry: {vllm_aliases: false, otlp: }
)");
  EXPECT_TRUE(config) << config.error().message;
}

TEST(Config, environment_overrides_the_file_and_flags_override_both) {
  const auto config = load("server: {port: 1}", {{"COVE_SERVER_PORT", "2"}, {"COVE_SERVER_HOST", "::1"}, {"HOME", "/"}},
                           {{"server.port", "3"}});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->integer("server.port"), 3);
  EXPECT_EQ(config->string("server.host"), "::1");
}

TEST(Config, unknown_keys_name_the_nearest_known_one) {
  EXPECT_EQ(error_of(load("server: {prot: 1}")), "cove.yaml: unknown key 'server.prot'; did you mean 'server.port'?");
  EXPECT_EQ(error_of(load("port: 1")), "cove.yaml: unknown key 'port'; did you mean 'server.port'?");
  EXPECT_EQ(error_of(load("", {{"COVE_SERVER_PROT", "1"}})),
            "environment: unknown key COVE_SERVER_PROT; did you mean COVE_SERVER_PORT?");
  EXPECT_TRUE(load("", {{"COVE_TESTDATA", "x"}}));
}

TEST(Config, wrong_types_and_ranges_name_the_key) {
  EXPECT_EQ(error_of(load("server: {port: many}")), "cove.yaml: server.port: 'many' must be an integer");
  EXPECT_EQ(error_of(load("server: {port: 70000}")), "cove.yaml: server.port: '70000' must be 0 to 65535");
  EXPECT_EQ(error_of(load("engine: {device: tpu}")), "cove.yaml: engine.device: 'tpu' must be one of auto, cpu, cuda");
  EXPECT_EQ(error_of(load("engine: {prefix_cache: 1}")), "cove.yaml: engine.prefix_cache: '1' must be true or false");
  EXPECT_EQ(error_of(load("server: 1")), "cove.yaml: 'server' is a section: it holds keys, not a value");
  EXPECT_EQ(error_of(load("- 1")), "cove.yaml: must hold sections such as 'server:'");
  EXPECT_EQ(error_of(load("a: [")).find("cove.yaml: line"), 0U);
}

TEST(Config, features_that_do_not_exist_yet_are_refused) {
  for (const char* yaml :
       {"cluster: {etcd: [a]}", "cache: {semantic: {enabled: true}}", "backup: {at: '04:00'}",
        "engine: {upstreams: [a]}", "telemetry: {otlp: 'http://x'}", "storage: {url: 'postgres://x'}"}) {
    EXPECT_NE(error_of(load(yaml)).find("is not available in this version"), std::string::npos) << yaml;
  }
}

TEST(Config, lists_of_maps_are_checked_like_sections) {
  const auto config = load("plugins:\n- {name: a, type: mask, stages: [prompt, answer], timeout_ms: 5}\n- {name: b}\n");
  ASSERT_TRUE(config) << config.error().message;
  const std::vector<Config>& maps = config->maps("plugins");
  ASSERT_EQ(maps.size(), 2U);
  EXPECT_EQ(maps[0].string("type"), "mask");
  EXPECT_EQ(maps[0].list("stages"), (std::vector<std::string>{"prompt", "answer"}));
  EXPECT_EQ(maps[0].integer("timeout_ms"), 5);
  EXPECT_EQ(maps[1].string("type"), "words");
  EXPECT_EQ(maps[1].integer("timeout_ms"), 1000);
  EXPECT_TRUE(maps[0].has("type"));
  EXPECT_FALSE(maps[1].has("type"));
  EXPECT_TRUE(load("plugins: []")->maps("plugins").empty());

  EXPECT_EQ(error_of(load("plugins: [{nam: a}]")),
            "cove.yaml: unknown key 'plugins[0].nam'; did you mean 'plugins[0].name'?");
  EXPECT_EQ(error_of(load("plugins: [{name: a}, b]")), "cove.yaml: plugins[1] must be a map, such as {name: a}");
  EXPECT_EQ(error_of(load("plugins: [{on_error: x}]")),
            "cove.yaml: plugins[0].on_error: 'x' must be one of refuse, skip");
  EXPECT_NE(error_of(load("plugins: {name: a}")).find("must be a list of maps"), std::string::npos);
  const auto environment = load("", {{"COVE_PLUGINS", "[{name: c, type: mask}]"}});
  ASSERT_TRUE(environment) << environment.error().message;
  EXPECT_EQ(environment->maps("plugins")[0].string("name"), "c");
}

TEST(Config, every_key_is_documented) {
  const auto page = read_file(std::filesystem::path(COVE_SOURCE_DIR) / "docs/operations/configuration.md");
  ASSERT_TRUE(page) << page.error().message;
  for (const ConfigKey& key : kSchema) {
    EXPECT_NE(page->find("`" + std::string(key.path) + "`"), std::string::npos) << key.path;
  }
}

}  // namespace
}  // namespace cove

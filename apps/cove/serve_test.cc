#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/cpu/cpu_backend.h"
#include "bench_url.h"
#include "engine/testing/hooked_backend.h"
#include "serve_config.h"
#include "serve_run.h"

namespace cove::app {
namespace {

class ServeConfigTest : public ::testing::Test {
 protected:
  ServeConfigTest() : path_(std::filesystem::temp_directory_path() / ("cove-config-" + std::to_string(::getpid()))) {}
  ~ServeConfigTest() override {
    std::filesystem::remove(path_);
    ::unsetenv("COVE_SERVER_PORT");
  }
  StateFlags with_file(const std::string& yaml) {
    std::ofstream(path_) << yaml;
    return {.config = path_.string(), .data = {}};
  }
  std::filesystem::path path_;
};

TEST_F(ServeConfigTest, the_database_decides_where_the_data_is) {
  EXPECT_EQ(load_config({}, {})->data, "data");
  EXPECT_EQ(load_config({.config = {}, .data = "/srv/cove"}, {})->database, "/srv/cove/cove.db");
  const auto config = load_config(with_file("storage: {url: 'sqlite:/var/x/y.db'}"), {});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->database, "/var/x/y.db");
  EXPECT_EQ(config->data, "/var/x");
}

TEST_F(ServeConfigTest, flags_beat_the_environment_which_beats_the_file) {
  const StateFlags state = with_file("server: {port: 1, host: '::1'}");
  EXPECT_EQ(load_config(state, {})->values.integer("server.port"), 1);
  ::setenv("COVE_SERVER_PORT", "2", 1);
  EXPECT_EQ(load_config(state, {})->values.integer("server.port"), 2);
  EXPECT_EQ(load_config(state, {{"server.port", "3"}})->values.integer("server.port"), 3);
  EXPECT_EQ(load_config(state, {})->values.string("server.host"), "::1");
}

TEST_F(ServeConfigTest, mistakes_name_their_source) {
  EXPECT_NE(load_config(with_file("server: {prot: 1}"), {}).error().message.find(path_.string()), std::string::npos);
  EXPECT_NE(load_config({.config = "/nonexistent.yaml", .data = {}}, {}).error().message.find("/nonexistent.yaml"),
            std::string::npos);
  ::setenv("COVE_SERVER_PORT", "many", 1);
  EXPECT_EQ(load_config({}, {}).error().message, "environment: server.port: 'many' must be an integer");
  EXPECT_FALSE(load_config({}, {{"storage.url", "sqlite:"}}));
}

// A port that was free a moment ago.
uint16_t free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  EXPECT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ::close(socket);
  return ntohs(address.sin_port);
}

// The shipped model on a device that computes two steps and then falls off the bus.
Result<OpenedModel> open_on_failing_device(const OpenEngineOptions& options) {
  TRY_ASSIGN(auto cpu, make_cpu_backend({.threads = 1, .isa = ""}));
  auto steps = std::make_shared<int>(0);
  return open_engine(options, std::make_unique<testing::HookedBackend>(std::move(cpu), [steps]() -> Status {
                       if (++*steps <= 2) return {};
                       return make_error(ErrorCode::kUnavailable, "the GPU fell off the bus");
                     }));
}

TEST(Serve, answers_and_ends_with_a_code_of_its_own_when_the_device_fails) {
  const auto data = std::filesystem::temp_directory_path() / ("cove-serve-" + std::to_string(::getpid()));
  const std::string port = std::to_string(free_port());
  const std::string model = std::string(COVE_SOURCE_DIR) + "/models/cove-mini";
  ::setenv("COVE_AUTH_MODE", "off", 1);
  ::testing::internal::CaptureStderr();
  auto serving = std::async(std::launch::async, [&] {
    const std::string folder = data.string();
    const std::array arguments{"serve", "--port", port.c_str(), "--data", folder.c_str(), "--model", model.c_str()};
    return run_serve(static_cast<int>(arguments.size()), arguments.data(), open_on_failing_device);
  });
  // Refused until the model is loaded.
  Result<LoadReport> load = make_error(ErrorCode::kUnavailable, "not asked yet");
  while (!load && serving.wait_for(std::chrono::milliseconds(20)) != std::future_status::ready) {
    load = run_load({.url = "http://127.0.0.1:" + port, .concurrency = 1, .requests = 1, .tokens_max = 50});
  }
  EXPECT_EQ(serving.get(), kDeviceFailed);
  const std::string log = ::testing::internal::GetCapturedStderr();
  ::unsetenv("COVE_AUTH_MODE");
  std::filesystem::remove_all(data);
  ASSERT_TRUE(load) << load.error().message << log;
  EXPECT_EQ(load->completed, 0);
  EXPECT_EQ(load->failed, 1);
  const auto said = [&](const std::string& what) { return log.find(what) != std::string::npos; };
  EXPECT_TRUE(said("fell off the bus") && said("serve.device_failed") && said("start again")) << log;
  std::string errors;
  for (const std::string& error : load->errors) errors += error + "\n";
  EXPECT_NE(errors.find("the device failed"), std::string::npos) << errors;
  EXPECT_EQ(errors.find("broke off"), std::string::npos) << "it must be answered, not cut off\n" << errors;
}

}  // namespace
}  // namespace cove::app

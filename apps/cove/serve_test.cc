#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "serve_config.h"

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

}  // namespace
}  // namespace cove::app

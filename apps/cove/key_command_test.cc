#include "key_command.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

namespace cove::app {
namespace {

using std::chrono::milliseconds;
using Words = std::vector<std::string>;

TEST(KeyCommand, words_are_split_as_a_shell_would_and_nothing_is_expanded) {
  EXPECT_EQ(*split_words("vault  kv get\t-field=key secret/cove"),
            (Words{"vault", "kv", "get", "-field=key", "secret/cove"}));
  EXPECT_EQ(*split_words("sh -c 'aws kms decrypt | base64 -d'"), (Words{"sh", "-c", "aws kms decrypt | base64 -d"}));
  EXPECT_EQ(*split_words(R"(a "b c"d \"e 'f\g' "")"), (Words{"a", "b cd", "\"e", "f\\g", ""}));
  EXPECT_EQ(*split_words("echo $HOME * ; rm `x`"), (Words{"echo", "$HOME", "*", ";", "rm", "`x`"}));
  EXPECT_FALSE(split_words("echo 'open"));
  EXPECT_FALSE(split_words("  \n"));
}

TEST(KeyCommand, gives_what_the_program_prints) {
  EXPECT_EQ(*run_key_command("printf 'a b'", milliseconds(5'000)), "a b");
  EXPECT_EQ(*run_key_command("cat", milliseconds(5'000)), "") << "standard input is empty";
}

// A shell would run the second part and make the file.
TEST(KeyCommand, no_shell_reads_the_text) {
  const auto file = std::filesystem::temp_directory_path() / ("cove_key_command_" + std::to_string(::getpid()));
  const auto printed = run_key_command("echo key; touch " + file.string(), milliseconds(5'000));
  ASSERT_TRUE(printed);
  EXPECT_EQ(*printed, "key; touch " + file.string() + "\n");
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST(KeyCommand, failures_say_what_happened_but_not_what_was_printed) {
  const auto message = [](const std::string& command) {
    const auto result = run_key_command(command, milliseconds(5'000));
    return result ? "accepted" : result.error().message;
  };
  EXPECT_NE(message("cove-no-such-program x").find("cannot be started: No such file"), std::string::npos);
  EXPECT_EQ(message("sh -c 'echo SECRET; exit 3'"), "'sh' failed with exit code 3; what it said stands above");
  EXPECT_NE(message("sh -c 'kill -9 $$'").find("signal 9"), std::string::npos);
  EXPECT_NE(message("head -c 5000 /dev/zero").find("more than 4096 bytes"), std::string::npos);
  EXPECT_FALSE(run_key_command("", milliseconds(100)));
}

TEST(KeyCommand, a_program_that_hangs_is_ended_with_its_children) {
  const auto begin = std::chrono::steady_clock::now();
  const auto hung = run_key_command("sh -c 'sleep 60 & sleep 60'", milliseconds(300));
  ASSERT_FALSE(hung);
  EXPECT_NE(hung.error().message.find("did not end within 0.3 s"), std::string::npos) << hung.error().message;
  EXPECT_FALSE(run_key_command("sh -c 'exec >&-; sleep 60'", milliseconds(300))) << "closed its output, lives on";
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

}  // namespace
}  // namespace cove::app

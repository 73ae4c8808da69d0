// cove tokenize as a user runs it: standard input and output are redirected to files.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "commands.h"

namespace cove::app {
namespace {

namespace fs = std::filesystem;

// 'a'..'e' and the space as bytes, "ab" 6, <s> 7 control.
constexpr const char* kTokenizerJson =
    R"({"added_tokens":[{"id":7,"content":"<s>","special":true}],
        "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},
        "model":{"type":"BPE","vocab":{"a":0,"b":1,"c":2,"d":3,"e":4,"Ġ":5,"ab":6},"merges":["a b"]}})";

// Points a file descriptor at a file until the end of its life.
class Redirected {
 public:
  Redirected(int descriptor, const fs::path& path, int flags) : descriptor_(descriptor), saved_(::dup(descriptor)) {
    const int file = ::open(path.c_str(), flags, 0600);
    EXPECT_GE(file, 0) << path;
    ::dup2(file, descriptor_);
    ::close(file);
  }
  Redirected(const Redirected&) = delete;
  Redirected& operator=(const Redirected&) = delete;
  ~Redirected() {
    ::dup2(saved_, descriptor_);
    ::close(saved_);
  }

 private:
  int descriptor_;
  int saved_;
};

struct Outcome {
  int exit_code = 0;
  std::string output;
};

class Tokenize : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("cove_tokenize_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
    std::ofstream(folder_ / "tokenizer.json") << kTokenizerJson;
  }
  void TearDown() override { fs::remove_all(folder_); }

  Outcome run(const std::string& input, std::vector<const char*> options = {}) const {
    std::ofstream(folder_ / "in", std::ios::binary) << input;
    const std::string model = folder_.string();
    std::vector<const char*> arguments = {kTokenize.name, model.c_str()};
    arguments.insert(arguments.end(), options.begin(), options.end());
    Outcome outcome;
    {
      const Redirected in(STDIN_FILENO, folder_ / "in", O_RDONLY);
      const Redirected out(STDOUT_FILENO, folder_ / "out", O_WRONLY | O_CREAT | O_TRUNC);
      std::fflush(stdin);
      std::clearerr(stdin);
      std::rewind(stdin);
      outcome.exit_code = kTokenize.run(static_cast<int>(arguments.size()), arguments.data());
      std::fflush(stdout);
    }
    std::ifstream file(folder_ / "out", std::ios::binary);
    std::ostringstream content;
    content << file.rdbuf();
    outcome.output = content.str();
    return outcome;
  }

  fs::path folder_;
};

TEST_F(Tokenize, prints_ids_on_one_line) {
  const Outcome outcome = run("ab c<s>");
  EXPECT_EQ(outcome.exit_code, kDone);
  EXPECT_EQ(outcome.output, "6 5 2 7\n");
  EXPECT_EQ(run("").output, "\n");
}

TEST_F(Tokenize, puts_bos_in_front_only_when_asked) { EXPECT_EQ(run("ab", {"--add-bos"}).output, "7 6\n"); }

TEST_F(Tokenize, decodes) {
  EXPECT_EQ(run("7 6 5\n2\n", {"--decode"}).output, "<s>ab c");
  EXPECT_EQ(run("7 6 5 2", {"--decode", "--no-special"}).output, "ab c");
  EXPECT_EQ(run("6 x", {"--decode"}).exit_code, kCouldNot);
  EXPECT_EQ(run("6 8", {"--decode"}).exit_code, kCouldNot);
}

TEST_F(Tokenize, refuses_text_that_is_not_utf8_or_not_in_the_vocabulary) {
  EXPECT_EQ(run("\xFF").exit_code, kCouldNot);
  EXPECT_EQ(run("z").exit_code, kCouldNot);
  EXPECT_EQ(run("<s>", {"--no-special"}).exit_code, kCouldNot) << "'<' is not in this vocabulary";
}

TEST_F(Tokenize, answers_each_line_and_goes_on_after_bad_ones) {
  const Outcome outcome = run("{\"text\":\"ab\"}\n{\"tex\":1}\nnope\n{\"text\":\"\"}\n{\"text\":\"<s>\"}", {"--jsonl"});
  EXPECT_EQ(outcome.exit_code, kCouldNot);
  std::istringstream lines(outcome.output);
  std::vector<std::string> answers;
  for (std::string line; std::getline(lines, line);) answers.push_back(line);
  ASSERT_EQ(answers.size(), 5u);
  EXPECT_EQ(answers[0], R"({"ids":[6]})");
  EXPECT_TRUE(answers[1].starts_with(R"({"error":)"));
  EXPECT_TRUE(answers[2].starts_with(R"({"error":)"));
  EXPECT_EQ(answers[3], R"({"ids":[]})");
  EXPECT_EQ(answers[4], R"({"ids":[7]})");
}

TEST_F(Tokenize, decodes_line_by_line) {
  const Outcome outcome = run("{\"ids\":[6,7]}\n", {"--jsonl", "--decode"});
  EXPECT_EQ(outcome.exit_code, kDone);
  EXPECT_EQ(outcome.output, "{\"text\":\"ab<s>\"}\n");
  EXPECT_EQ(run("{\"ids\":[-1]}\n", {"--jsonl", "--decode"}).exit_code, kCouldNot);
}

TEST(TokenizeCommand, fails_on_a_missing_model_and_on_wrong_usage) {
  const char* missing[] = {"tokenize", "/nonexistent/model"};
  EXPECT_EQ(kTokenize.run(2, missing), kCouldNot);
  const char* nothing[] = {"tokenize"};
  EXPECT_EQ(kTokenize.run(1, nothing), kWrongUsage);
  const char* unknown[] = {"tokenize", "x", "--unknown"};
  EXPECT_EQ(kTokenize.run(3, unknown), kWrongUsage);
}

}  // namespace
}  // namespace cove::app

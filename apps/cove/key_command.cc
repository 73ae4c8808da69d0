#include "key_command.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cove::app {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr size_t kOutputBytesMax = 4096;

Error could_not(const std::string& program, std::string_view what) {
  return make_error(ErrorCode::kFailedPrecondition, fmt::format("'{}' {}", program, what));
}

// One end of a pipe.
class End {
 public:
  End() = default;
  End(const End&) = delete;
  End& operator=(const End&) = delete;
  ~End() { close(); }
  void close() {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
  int fd = -1;
};

// Starts the program as the leader of its own process group, so that all it starts can be ended together.
Result<pid_t> start(const std::vector<std::string>& words, int output) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigset_t defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  for (const int number : {SIGINT, SIGTERM, SIGPIPE, SIGHUP}) sigaddset(&defaults, number);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = -1;
  const int error = ::posix_spawnp(&pid, arguments[0], &files, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return could_not(words[0], fmt::format("cannot be started: {}", std::strerror(error)));
  return pid;
}

milliseconds left_until(Clock::time_point deadline) {
  return std::max(milliseconds(0), std::chrono::duration_cast<milliseconds>(deadline - Clock::now()));
}

enum class Read { kAll, kTooLate, kTooMuch };

Read read_output(int fd, Clock::time_point deadline, std::string& output) {
  char buffer[1024];
  while (true) {
    pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&wait, 1, static_cast<int>(left_until(deadline).count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return Read::kTooLate;
    const ssize_t got = ::read(fd, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    output.append(buffer, static_cast<size_t>(got));
    if (output.size() > kOutputBytesMax) return Read::kTooMuch;
  }
  ::explicit_bzero(buffer, sizeof(buffer));
  return Read::kAll;
}

// nullopt when it does not end in time.
std::optional<int> wait_for_end(pid_t pid, Clock::time_point deadline) {
  int status = 0;
  while (::waitpid(pid, &status, WNOHANG) == 0) {
    if (Clock::now() >= deadline) return std::nullopt;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return status;
}

void kill_group(pid_t pid) {
  ::kill(-pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

}  // namespace

Result<std::vector<std::string>> split_words(std::string_view text) {
  std::vector<std::string> words;
  std::optional<std::string> word;
  char quote = '\0';
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool is_space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (quote == '\0' && is_space) {
      if (word) words.push_back(std::move(*word));
      word.reset();
      continue;
    }
    if (!word) word.emplace();
    if (c == quote) {
      quote = '\0';
    } else if (quote == '\0' && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      *word += text[++i];
    } else {
      *word += c;
    }
  }
  if (quote != '\0') return invalid_argument(fmt::format("a quote {} is not closed", quote));
  if (word) words.push_back(std::move(*word));
  if (words.empty()) return invalid_argument("holds no command");
  return words;
}

Result<std::string> run_key_command(const std::string& command, milliseconds timeout) {
  TRY_ASSIGN(const std::vector<std::string> words, split_words(command));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return could_not(words[0], "cannot be started: no pipe");
  End reading;
  End writing;
  reading.fd = ends[0];
  writing.fd = ends[1];
  const Clock::time_point deadline = Clock::now() + timeout;
  TRY_ASSIGN(const pid_t pid, start(words, writing.fd));
  writing.close();
  std::string output;
  const Read read = read_output(reading.fd, deadline, output);
  const std::optional<int> status = read == Read::kAll ? wait_for_end(pid, deadline) : std::nullopt;
  if (!status) {
    kill_group(pid);
    if (read == Read::kTooMuch)
      return could_not(words[0], fmt::format("printed more than {} bytes; a key is short", kOutputBytesMax));
    return could_not(words[0], fmt::format("did not end within {} s", static_cast<double>(timeout.count()) / 1000));
  }
  if (WIFSIGNALED(*status)) return could_not(words[0], fmt::format("was ended by signal {}", WTERMSIG(*status)));
  if (WEXITSTATUS(*status) != 0)
    return could_not(words[0],
                     fmt::format("failed with exit code {}; what it said stands above", WEXITSTATUS(*status)));
  return output;
}

}  // namespace cove::app

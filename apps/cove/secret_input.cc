#include "secret_input.h"

#include <cstdio>

#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"

namespace cove::app {
namespace {

constexpr size_t kSecretBytesMax = 64 << 10;

// Turns the terminal's echo off for as long as it lives.
class Silence {
 public:
  Silence() {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    changed_ = ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) == 0;
  }
  ~Silence() {
    if (changed_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

 private:
  termios before_{};
  bool changed_ = false;
};

std::string first_line(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  if (text.ends_with('\r')) text.remove_suffix(1);
  return std::string(text);
}

Result<std::string> read_line() {
  std::string line;
  for (int c = std::getchar(); c != EOF && c != '\n'; c = std::getchar()) {
    if (line.size() >= kSecretBytesMax) return invalid_argument("standard input: the first line is too long");
    line.push_back(static_cast<char>(c));
  }
  if (std::ferror(stdin) != 0) return make_error(ErrorCode::kIo, "standard input cannot be read");
  return first_line(line);
}

Result<std::string> ask(const std::string& prompt) {
  std::fprintf(stderr, "%s: ", prompt.c_str());
  const Silence silence;
  auto line = read_line();
  std::fputc('\n', stderr);
  return line;
}

}  // namespace

Result<std::string> read_secret(const std::optional<std::string>& file, const std::string& what) {
  std::string secret;
  if (file) {
    TRY_ASSIGN(const std::string text, read_file(*file, kSecretBytesMax));
    secret = first_line(text);
  } else if (::isatty(STDIN_FILENO) == 1) {
    TRY_ASSIGN(secret, ask(what));
    TRY_ASSIGN(const std::string again, ask("the same again"));
    if (secret != again) return invalid_argument("the two differ");
  } else {
    TRY_ASSIGN(secret, read_line());
  }
  if (secret.empty())
    return invalid_argument(fmt::format("no {} came from {}", what, file ? *file : std::string("standard input")));
  return secret;
}

}  // namespace cove::app

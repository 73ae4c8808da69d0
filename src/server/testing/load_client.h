#pragma once
// An open-loop HTTP client on one thread: requests leave at fixed times, however slow the answers are, and each latency
// counts from the time at which its request was due, so that a server that stalls cannot hide it. Without a rate it is
// a closed loop: every connection asks again at once, which finds the highest throughput. Header only; benches alone
// include it.

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace cove::server::testing {

struct LoadPlan {
  uint16_t port = 0;
  SSL_CTX* tls = nullptr;  // null = plain HTTP
  std::string request;     // whole, with head
  double rate = 1000;      // a second; 0 = as many as are answered
  double seconds = 1;
  int connections = 64;
};

struct LoadResult {
  std::vector<double> latencies_ms;  // of complete answers with status 200
  size_t failed = 0;                 // other answers, lost connections
  double seconds = 0;
};

// One keep-alive connection with at most one request under way.
class LoadLink {
 public:
  using Clock = std::chrono::steady_clock;

  explicit LoadLink(const LoadPlan& plan) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(plan.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    good_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    const int one = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (plan.tls != nullptr) {
      tls_ = SSL_new(plan.tls);
      SSL_set_fd(tls_, fd_);
      good_ = good_ && SSL_connect(tls_) == 1;
    }
    ::fcntl(fd_, F_SETFL, O_NONBLOCK);
  }
  ~LoadLink() {
    SSL_free(tls_);
    ::close(fd_);
  }
  LoadLink(const LoadLink&) = delete;
  LoadLink& operator=(const LoadLink&) = delete;

  int descriptor() const { return fd_; }
  bool good() const { return good_; }
  // The request fits into the socket's buffer, so that nothing has to be waited for.
  void send(const std::string& request, Clock::time_point due) {
    due_ = due;
    answer_.clear();
    const auto size = static_cast<int>(request.size());
    const ssize_t sent = tls_ != nullptr ? SSL_write(tls_, request.data(), size)
                                         : ::send(fd_, request.data(), request.size(), MSG_NOSIGNAL);
    good_ = good_ && sent == size;
  }
  // Reads what is there. Set once an answer is complete: its status; 0 when the connection is gone.
  std::optional<int> receive() {
    for (;;) {
      std::array<char, 16384> buffer;
      const ssize_t got =
          tls_ != nullptr ? SSL_read(tls_, buffer.data(), buffer.size()) : ::recv(fd_, buffer.data(), buffer.size(), 0);
      if (got > 0) {
        answer_.append(buffer.data(), static_cast<size_t>(got));
        continue;
      }
      const bool again = tls_ != nullptr ? SSL_get_error(tls_, static_cast<int>(got)) == SSL_ERROR_WANT_READ
                                         : got < 0 && errno == EAGAIN;
      good_ = again;
      return again ? status() : std::optional(0);
    }
  }
  double latency_ms(Clock::time_point now) const {
    return std::chrono::duration<double, std::milli>(now - due_).count();
  }

 private:
  std::optional<int> status() const {
    const size_t head = answer_.find("\r\n\r\n");
    if (head == std::string::npos) return std::nullopt;
    const size_t at = answer_.find("Content-Length: ");
    if (at > head || answer_.size() < head + 4 + std::stoul(answer_.substr(at + 16))) return std::nullopt;
    return std::stoi(answer_.substr(9, 3));
  }

  int fd_;
  SSL* tls_ = nullptr;
  bool good_ = false;
  std::string answer_;
  Clock::time_point due_;
};

class LoadClient {
 public:
  using Clock = LoadLink::Clock;

  explicit LoadClient(const LoadPlan& plan) : plan_(plan), epoll_(::epoll_create1(0)) {
    for (int i = 0; i < plan.connections; ++i) {
      links_.push_back(std::make_unique<LoadLink>(plan));
      epoll_event event{.events = EPOLLIN, .data = {.ptr = links_.back().get()}};
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, links_.back()->descriptor(), &event);
      if (links_.back()->good()) idle_.push_back(links_.back().get());
    }
  }
  ~LoadClient() { ::close(epoll_); }
  LoadClient(const LoadClient&) = delete;
  LoadClient& operator=(const LoadClient&) = delete;

  LoadResult run() {
    const auto begin = Clock::now();
    LoadResult result = plan_.rate > 0 ? at_rate() : flood();
    result.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    return result;
  }

 private:
  LoadResult flood() {
    LoadResult result;
    const auto end = Clock::now() + std::chrono::nanoseconds(static_cast<int64_t>(plan_.seconds * 1e9));
    for (size_t started = 0;;) {
      for (; !idle_.empty() && Clock::now() < end; ++started) {
        LoadLink* link = idle_.back();
        idle_.pop_back();
        link->send(plan_.request, Clock::now());
      }
      if (started == result.latencies_ms.size() + result.failed) return result;
      wait(std::chrono::seconds(5), result);
    }
  }

  LoadResult at_rate() {
    LoadResult result;
    const auto total = static_cast<size_t>(plan_.rate * plan_.seconds);
    const auto begin = Clock::now();
    const auto due = [&](size_t i) {
      return begin + std::chrono::nanoseconds(static_cast<int64_t>(static_cast<double>(i) * 1e9 / plan_.rate));
    };
    size_t started = 0;
    // Connections that are gone do not come back: then the rest counts as failed.
    while (result.latencies_ms.size() + result.failed < total) {
      if (idle_.empty() && started == result.latencies_ms.size() + result.failed) {
        result.failed = total - result.latencies_ms.size();
        break;
      }
      while (started < total && !idle_.empty() && due(started) <= Clock::now()) {
        LoadLink* link = idle_.back();
        idle_.pop_back();
        link->send(plan_.request, due(started++));
      }
      wait(started < total && !idle_.empty() ? due(started) - Clock::now() : std::chrono::seconds(5), result);
    }
    return result;
  }

  void wait(Clock::duration limit, LoadResult& result) {
    const int64_t ns = std::max<int64_t>(0, std::chrono::duration_cast<std::chrono::nanoseconds>(limit).count());
    const timespec timeout{.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
    std::array<epoll_event, 64> events;
    const int count = ::epoll_pwait2(epoll_, events.data(), events.size(), &timeout, nullptr);
    for (int i = 0; i < count; ++i) {
      auto* link = static_cast<LoadLink*>(events[static_cast<size_t>(i)].data.ptr);
      const auto status = link->receive();
      if (!status) continue;
      if (*status == 200) {
        result.latencies_ms.push_back(link->latency_ms(Clock::now()));
      } else {
        ++result.failed;
      }
      if (link->good()) {
        idle_.push_back(link);
      } else {
        ::epoll_ctl(epoll_, EPOLL_CTL_DEL, link->descriptor(), nullptr);
      }
    }
  }

  LoadPlan plan_;
  int epoll_;
  std::vector<std::unique_ptr<LoadLink>> links_;
  std::vector<LoadLink*> idle_;
};

}  // namespace cove::server::testing

#pragma once
// Lock-out after failed sign-ins: per account and per address, each failure beyond the free ones doubling the wait.
// Bounded memory: of too many accounts or addresses, those that failed longest ago are forgotten. Any thread.

#include <chrono>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace cove::auth {

struct LoginGuardOptions {
  int64_t account_failures = 5;  // failures before the first wait; 0 = never locked
  int64_t address_failures = 20;
  std::chrono::seconds first_wait{1};
  std::chrono::seconds wait_max{900};
  std::chrono::seconds forget_after{3600};  // without a failure
  size_t entries_max = 20'000;              // of accounts, and of addresses
};

class LoginGuard {
 public:
  using Clock = std::chrono::steady_clock;

  explicit LoginGuard(const LoginGuardOptions& options = {}) : options_(options) {}

  // How long this account or address has to wait; nullopt = it may try. An empty account is none (a key, a code).
  std::optional<std::chrono::seconds> locked(std::string_view account, std::string_view address,
                                             Clock::time_point now = Clock::now());
  // Logs a lock-out when one begins.
  void failed(std::string_view account, std::string_view address, Clock::time_point now = Clock::now());
  // Clears the account. The address keeps its count: one good account must not buy guesses at others.
  void succeeded(std::string_view account);
  size_t entries() const;

 private:
  struct Entry {
    std::string name;
    int64_t failures = 0;
    Clock::time_point last;
    Clock::time_point locked_until;
  };
  // Newest failure first.
  struct Table {
    std::list<Entry> entries;
    std::unordered_map<std::string_view, std::list<Entry>::iterator> index;  // of Entry::name
  };
  Entry* find(Table& table, std::string_view name, Clock::time_point now);
  // The wait that begins with this failure; zero = none.
  std::chrono::seconds note(Table& table, std::string_view name, int64_t free_failures, Clock::time_point now);
  void erase(Table& table, std::list<Entry>::iterator entry);

  LoginGuardOptions options_;
  mutable std::mutex mutex_;  // guards both tables
  Table accounts_;
  Table addresses_;
};

}  // namespace cove::auth

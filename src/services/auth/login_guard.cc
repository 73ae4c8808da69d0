#include "services/auth/login_guard.h"

#include <algorithm>

#include "base/log.h"

namespace cove::auth {

using std::chrono::seconds;

LoginGuard::Entry* LoginGuard::find(Table& table, std::string_view name, Clock::time_point now) {
  const auto found = table.index.find(name);
  if (found == table.index.end()) return nullptr;
  if (now - found->second->last >= options_.forget_after && now >= found->second->locked_until) {
    erase(table, found->second);
    return nullptr;
  }
  return &*found->second;
}

void LoginGuard::erase(Table& table, std::list<Entry>::iterator entry) {
  table.index.erase(entry->name);
  table.entries.erase(entry);
}

std::optional<seconds> LoginGuard::locked(std::string_view account, std::string_view address, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  Clock::time_point until = now;
  if (const Entry* entry = account.empty() ? nullptr : find(accounts_, account, now))
    until = std::max(until, entry->locked_until);
  if (const Entry* entry = find(addresses_, address, now)) until = std::max(until, entry->locked_until);
  if (until <= now) return std::nullopt;
  return std::chrono::ceil<seconds>(until - now);
}

seconds LoginGuard::note(Table& table, std::string_view name, int64_t free_failures, Clock::time_point now) {
  if (free_failures == 0 || name.empty()) return {};
  if (Entry* entry = find(table, name, now)) {
    const auto at = table.index.at(entry->name);
    table.entries.splice(table.entries.begin(), table.entries, at);
  } else {
    if (table.entries.size() >= options_.entries_max) erase(table, std::prev(table.entries.end()));
    table.entries.push_front({.name = std::string(name), .failures = 0, .last = now, .locked_until = now});
    table.index.emplace(table.entries.front().name, table.entries.begin());
  }
  Entry& entry = table.entries.front();
  entry.last = now;
  if (++entry.failures < free_failures) return {};
  constexpr int64_t kDoublingsMax = 30;
  const int64_t doublings = std::min(entry.failures - free_failures, kDoublingsMax);
  const seconds wait = std::min(options_.wait_max, options_.first_wait * (int64_t{1} << doublings));
  entry.locked_until = now + wait;
  return wait;
}

void LoginGuard::failed(std::string_view account, std::string_view address, Clock::time_point now) {
  seconds account_wait{};
  seconds address_wait{};
  {
    const std::lock_guard lock(mutex_);
    account_wait = note(accounts_, account, options_.account_failures, now);
    address_wait = note(addresses_, address, options_.address_failures, now);
  }
  // The account's name is what somebody typed, perhaps a password in the wrong field: it is not logged.
  if (account_wait.count() > 0)
    log::warn("auth.account_locked", {{"address", address}, {"wait_s", account_wait.count()}});
  if (address_wait.count() > 0)
    log::warn("auth.address_locked", {{"address", address}, {"wait_s", address_wait.count()}});
}

void LoginGuard::succeeded(std::string_view account) {
  const std::lock_guard lock(mutex_);
  const auto found = accounts_.index.find(account);
  if (found != accounts_.index.end()) erase(accounts_, found->second);
}

size_t LoginGuard::entries() const {
  const std::lock_guard lock(mutex_);
  return accounts_.entries.size() + addresses_.entries.size();
}

}  // namespace cove::auth

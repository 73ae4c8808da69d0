// cove user add|list|passwd|set|disable|enable: the people of an installation. Works while `cove serve` runs on the
// same data.
#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "commands.h"
#include "identity_text.h"
#include "secret_input.h"
#include "serve_config.h"
#include "services/auth/users.h"

namespace cove::app {
namespace {

struct Arguments {
  StateFlags state;
  std::string action;
  std::string name;
  std::optional<std::string> role;
  std::optional<std::string> password_file;
  std::vector<std::string> limits;
  bool json = false;
};

json::object record_json(const auth::UserRecord& user) {
  return {{"id", user.id},
          {"name", user.name},
          {"role", auth::to_string(user.role)},
          {"created_s", user.created_s},
          {"disabled_s", time_json(user.disabled_s)},
          {"password_changed_s", user.password_changed_s},
          {"last_login_s", time_json(user.last_login_s)},
          {"limits", auth::limits_json(user.limits)}};
}

void print_users(const std::vector<auth::UserRecord>& users, bool as_json) {
  if (as_json) {
    json::array list;
    for (const auth::UserRecord& user : users) list.push_back(record_json(user));
    fmt::print("{}\n", json::serialize(list));
    return;
  }
  fmt::print("{:<20} {:<9} {:<11} {:<11} {:<11} {}\n", "NAME", "ROLE", "CREATED", "LAST LOGIN", "DISABLED", "LIMITS");
  for (const auth::UserRecord& user : users) {
    fmt::print("{:<20} {:<9} {:<11} {:<11} {:<11} {}\n", user.name, auth::to_string(user.role),
               day_text(user.created_s), day_text(user.last_login_s), day_text(user.disabled_s),
               limits_text(user.limits));
  }
}

Result<auth::UserRecord> add(auth::Users& users, const Arguments& arguments, int64_t now_s) {
  TRY_ASSIGN(const auth::Role role, auth::parse_role(arguments.role.value_or("user")));
  TRY_ASSIGN(const auth::LimitOverrides limits, parse_limits(arguments.limits));
  TRY(auth::user_name(arguments.name));
  TRY_ASSIGN(const std::string password, read_secret(arguments.password_file, "password"));
  return users.create({.name = arguments.name, .role = role, .password = password, .limits = limits}, now_s);
}

Result<auth::UserRecord> change(auth::Users& users, const Arguments& arguments) {
  TRY_ASSIGN(auth::UserRecord user, users.find(arguments.name));
  if (arguments.role) {
    TRY_ASSIGN(const auth::Role role, auth::parse_role(*arguments.role));
    TRY_ASSIGN(user, users.set_role(arguments.name, role));
  }
  if (!arguments.limits.empty()) {
    TRY_ASSIGN(const auth::LimitOverrides limits, parse_limits(arguments.limits, user.limits));
    TRY_ASSIGN(user, users.set_limits(arguments.name, limits));
  }
  return user;
}

Result<auth::UserRecord> new_password(auth::Users& users, const Arguments& arguments, int64_t now_s) {
  TRY(users.find(arguments.name));
  TRY_ASSIGN(const std::string password, read_secret(arguments.password_file, "new password"));
  return users.set_password(arguments.name, password, now_s);
}

Result<std::vector<auth::UserRecord>> run_action(const Arguments& arguments) {
  TRY_ASSIGN(const ServeConfig config, load_config(arguments.state, {}));
  TRY_ASSIGN(const auto database, storage::Database::open({.path = config.database}));
  auth::Users users(*database);
  const int64_t now_s = std::time(nullptr);
  const auto one = [](Result<auth::UserRecord> user) -> Result<std::vector<auth::UserRecord>> {
    if (!user) return user.error();
    return std::vector<auth::UserRecord>{std::move(*user)};
  };
  if (arguments.action == "list") return users.list();
  if (arguments.action == "add") return one(add(users, arguments, now_s));
  if (arguments.action == "passwd") return one(new_password(users, arguments, now_s));
  if (arguments.action == "set") return one(change(users, arguments));
  const auto state = arguments.action == "disable" ? auth::UserState::kDisabled : auth::UserState::kEnabled;
  return one(users.set_state(arguments.name, state, now_s));
}

int run(int argc, const char* const* argv) {
  Arguments arguments;
  Flags flags("user", "adds, lists, changes and disables users");
  flags.add("action", arguments.action, "add, list, passwd, set, disable or enable");
  flags.require("action");
  flags.add("name", arguments.name, "the user's name: a-z 0-9 . _ - @");
  flags.add("--role", arguments.role, "add, set: admin, operator, user (default) or auditor");
  flags.add("--limit", arguments.limits,
            "add, set: NAME=NUMBER, may be repeated: requests_per_minute, tokens_per_minute, requests_per_day, "
            "tokens_per_day, concurrent_requests; 0 = no limit");
  flags.add("--password-file", arguments.password_file,
            "add, passwd: its first line is the password; without it: standard input, or a prompt on a terminal");
  add_state_flags(flags, arguments.state);
  flags.add_switch("--json", arguments.json, "print JSON");
  flags.footer(
      "examples:\n  cove user add alice --role operator          asks for the password\n"
      "  cove user add bob --limit tokens_per_day=100000 < password.txt\n"
      "  cove user passwd alice\n  cove user disable bob      ends bob's sessions, tokens and keys at once");
  if (const auto code = flags.parse(argc, argv)) return *code;
  constexpr std::array<std::string_view, 6> kActions = {"add", "list", "passwd", "set", "disable", "enable"};
  const bool known = std::ranges::find(kActions, arguments.action) != kActions.end();
  if (!known || (arguments.action == "list") != arguments.name.empty()) {
    std::fprintf(stderr,
                 "cove user: use 'list', or 'add NAME', 'passwd NAME', 'set NAME', 'disable NAME', 'enable NAME'\n");
    return kWrongUsage;
  }
  const auto users = run_action(arguments);
  if (!users) return fail("user", users.error().message);
  print_users(*users, arguments.json);
  return kDone;
}

}  // namespace

extern const Command kUser{"user", "adds, lists, changes and disables users", run};

}  // namespace cove::app

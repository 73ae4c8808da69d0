// cove apikey new|list|revoke: the keys of an installation. Works while `cove serve` runs on the same data.
#include <cinttypes>
#include <cstdio>
#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <boost/json.hpp>

#include "commands.h"
#include "serve_config.h"
#include "services/auth/api_keys.h"

namespace cove::app {
namespace {

struct Arguments {
  StateFlags state;
  std::string action;
  std::string name;
  std::string role = "user";
  std::optional<int64_t> days;
  bool json = false;
};

json::value time_json(std::optional<int64_t> seconds) { return seconds ? json::value(*seconds) : json::value(nullptr); }

json::object record_json(const auth::KeyRecord& record) {
  return {{"id", record.id},
          {"name", record.name},
          {"role", auth::to_string(record.role)},
          {"hint", record.hint},
          {"created_s", record.created_s},
          {"expires_s", time_json(record.expires_s)},
          {"disabled_s", time_json(record.disabled_s)}};
}

std::string day(std::optional<int64_t> seconds) {
  return seconds ? fmt::format("{:%Y-%m-%d}", fmt::gmtime(static_cast<std::time_t>(*seconds))) : std::string("-");
}

void print_records(const std::vector<auth::KeyRecord>& records) {
  fmt::print("{:<5} {:<20} {:<6} {:<22} {:<11} {:<11} {}\n", "ID", "NAME", "ROLE", "KEY", "CREATED", "EXPIRES",
             "REVOKED");
  for (const auth::KeyRecord& record : records) {
    fmt::print("{:<5} {:<20} {:<6} {:<22} {:<11} {:<11} {}\n", record.id, record.name, auth::to_string(record.role),
               record.hint, day(record.created_s), day(record.expires_s), day(record.disabled_s));
  }
}

void print_list(const std::vector<auth::KeyRecord>& records, bool as_json) {
  if (!as_json) return print_records(records);
  json::array list;
  for (const auth::KeyRecord& record : records) list.push_back(record_json(record));
  fmt::print("{}\n", json::serialize(list));
}

Status create(auth::ApiKeys& keys, const Arguments& arguments, int64_t now_s) {
  TRY_ASSIGN(const auth::Role role, auth::parse_role(arguments.role));
  constexpr int64_t kDaySeconds = 86'400;
  if (arguments.days && (*arguments.days < 1 || *arguments.days > 36'500))
    return invalid_argument("--expires-days must be 1 to 36500");
  const auto expires = arguments.days ? std::optional(now_s + *arguments.days * kDaySeconds) : std::nullopt;
  TRY_ASSIGN(const auth::CreatedKey created,
             keys.create({.name = arguments.name, .role = role, .expires_s = expires}, now_s));
  if (arguments.json) {
    json::object object = record_json(created.record);
    object["key"] = created.secret;
    fmt::print("{}\n", json::serialize(object));
  } else {
    fmt::print("{}\n", created.secret);
    fmt::print(stderr, "key {} for '{}' ({}); it is shown only now\n", created.record.id, created.record.name,
               arguments.role);
  }
  return {};
}

Status run_action(const Arguments& arguments) {
  TRY_ASSIGN(const ServeConfig config, load_config(arguments.state, {}));
  TRY_ASSIGN(const auto database, storage::Database::open({.path = config.database}));
  auth::ApiKeys keys(*database);
  const int64_t now_s = std::time(nullptr);
  if (arguments.action == "new") return create(keys, arguments, now_s);
  if (arguments.action == "list") {
    TRY_ASSIGN(const auto records, keys.list());
    print_list(records, arguments.json);
    return {};
  }
  TRY_ASSIGN(const auto records, keys.revoke(arguments.name, now_s));
  print_list(records, arguments.json);
  return {};
}

int run(int argc, const char* const* argv) {
  Arguments arguments;
  Flags flags("apikey", "makes, lists and revokes API keys");
  flags.add("action", arguments.action, "new, list or revoke");
  flags.require("action");
  flags.add("name", arguments.name, "new: whose key it is; revoke: the key's id or name");
  flags.add("--role", arguments.role, "new: admin or user");
  flags.add("--expires-days", arguments.days, "new: how long the key is valid; without it, for ever");
  add_state_flags(flags, arguments.state);
  flags.add_switch("--json", arguments.json, "print JSON");
  flags.footer(
      "examples:\n  cove apikey new alice --expires-days 90\n  cove apikey list --json\n  cove apikey revoke alice");
  if (const auto code = flags.parse(argc, argv)) return *code;
  const bool known = arguments.action == "new" || arguments.action == "list" || arguments.action == "revoke";
  if (!known || (arguments.action == "list") != arguments.name.empty()) {
    std::fprintf(stderr, "cove apikey: use 'new NAME', 'list' or 'revoke ID-OR-NAME'\n");
    return kWrongUsage;
  }
  const Status status = run_action(arguments);
  return status ? kDone : fail("apikey", status.error().message);
}

}  // namespace

extern const Command kApikey{"apikey", "makes, lists and revokes API keys", run};

}  // namespace cove::app

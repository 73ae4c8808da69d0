// cove apikey new|list|revoke: the keys of an installation. Works while `cove serve` runs on the same data.
#include <charconv>
#include <cstdio>
#include <ctime>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "commands.h"
#include "identity_text.h"
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
  std::optional<std::string> expires;
  std::vector<std::string> scopes;
  std::vector<std::string> limits;
  std::string owner;
  bool json = false;
};

json::object record_json(const auth::KeyRecord& record) {
  return {{"id", record.id},
          {"name", record.name},
          {"role", auth::to_string(record.role)},
          {"hint", record.hint},
          {"created_s", record.created_s},
          {"expires_s", time_json(record.expires_s)},
          {"disabled_s", time_json(record.disabled_s)},
          {"scopes", json::value_from(record.scopes)},
          {"limits", auth::limits_json(record.limits)},
          {"user", record.owner.empty() ? json::value(nullptr) : json::value(json::string(record.owner))}};
}

std::string or_dash(std::string text) { return text.empty() ? "-" : text; }

void print_records(const std::vector<auth::KeyRecord>& records) {
  constexpr std::string_view kLine = "{:<5} {:<20} {:<9} {:<22} {:<11} {:<11} {:<11} {:<12} {:<20} {}\n";
  fmt::print(fmt::runtime(kLine), "ID", "NAME", "ROLE", "KEY", "CREATED", "EXPIRES", "REVOKED", "USER", "SCOPES",
             "LIMITS");
  for (const auth::KeyRecord& record : records) {
    fmt::print(fmt::runtime(kLine), record.id, record.name, auth::to_string(record.role), record.hint,
               day_text(record.created_s), day_text(record.expires_s), day_text(record.disabled_s),
               or_dash(record.owner), or_dash(auth::join_scopes(record.scopes)), limits_text(record.limits));
  }
}

void print_list(const std::vector<auth::KeyRecord>& records, bool as_json) {
  if (!as_json) return print_records(records);
  json::array list;
  for (const auth::KeyRecord& record : records) list.push_back(record_json(record));
  fmt::print("{}\n", json::serialize(list));
}

constexpr int64_t kDaySeconds = 86'400;

// "90d", "12h", "30m" or "600s" from now, or the first moment of a day, "2027-01-31" (UTC).
Result<int64_t> parse_expiry(const std::string& text, int64_t now_s) {
  const Error wrong =
      invalid_argument(fmt::format("'{}' is no expiry: write 90d, 12h, 30m, 600s, or a day such as 2027-01-31", text));
  std::tm day{};
  const char* day_end = ::strptime(text.c_str(), "%Y-%m-%d", &day);
  if (day_end != nullptr && *day_end == '\0') return static_cast<int64_t>(::timegm(&day));
  int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  constexpr int64_t kCountMax = 10'000'000;
  if (error != std::errc() || end + 1 != text.data() + text.size() || count < 1 || count > kCountMax) return wrong;
  switch (*end) {
    case 'd': return now_s + count * kDaySeconds;
    case 'h': return now_s + count * 3600;
    case 'm': return now_s + count * 60;
    case 's': return now_s + count;
    default: return wrong;
  }
}

Result<std::optional<int64_t>> expiry_of(const Arguments& arguments, int64_t now_s) {
  if (arguments.expires && arguments.days) return invalid_argument("give --expires or --expires-days, not both");
  if (arguments.expires) {
    TRY_ASSIGN(const int64_t expires_s, parse_expiry(*arguments.expires, now_s));
    return std::optional(expires_s);
  }
  if (!arguments.days) return std::optional<int64_t>();
  if (*arguments.days < 1 || *arguments.days > 36'500) return invalid_argument("--expires-days must be 1 to 36500");
  return std::optional(now_s + *arguments.days * kDaySeconds);
}

Status create(auth::ApiKeys& keys, const Arguments& arguments, int64_t now_s) {
  TRY_ASSIGN(const auth::Role role, auth::parse_role(arguments.role));
  TRY_ASSIGN(const auto expires_s, expiry_of(arguments, now_s));
  TRY_ASSIGN(const auth::LimitOverrides limits, parse_limits(arguments.limits));
  TRY_ASSIGN(const auth::CreatedKey created, keys.create({.name = arguments.name,
                                                          .role = role,
                                                          .expires_s = expires_s,
                                                          .scopes = arguments.scopes,
                                                          .limits = limits,
                                                          .owner = arguments.owner},
                                                         now_s));
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
  flags.add("--role", arguments.role, "new: admin, operator, user (default) or auditor");
  flags.add("--scope", arguments.scopes,
            "new: narrows the key, may be repeated: a right (infer, models, metrics, ...), route:/PATH, route:/PATH/*, "
            "model:NAME");
  flags.add("--limit", arguments.limits,
            "new: NAME=NUMBER, may be repeated: requests_per_minute, tokens_per_minute, requests_per_day, "
            "tokens_per_day, concurrent_requests; 0 = no limit");
  flags.add("--user", arguments.owner, "new: the user who owns the key; it ends when the user is disabled");
  flags.add("--expires", arguments.expires, "new: 90d, 12h, 30m, 600s, or the day 2027-01-31; without it, never");
  flags.add("--expires-days", arguments.days, "new: as --expires 90d");
  add_state_flags(flags, arguments.state);
  flags.add_switch("--json", arguments.json, "print JSON");
  flags.footer(
      "examples:\n  cove apikey new ci --expires 90d --scope infer --scope model:cove-mini --limit "
      "requests_per_minute=60\n  cove apikey list --json\n  cove apikey revoke ci");
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

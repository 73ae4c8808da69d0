// cove token keys|rotate: the keys that sign an installation's tokens. Works while `cove serve` runs on the same data.
#include <cstdio>
#include <ctime>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "commands.h"
#include "identity_text.h"
#include "serve_identity.h"

namespace cove::app {
namespace {

struct Arguments {
  StateFlags state;
  std::string action;
  bool drop_old = false;
  bool json = false;
};

void print_keys(const std::vector<auth::SigningKeyInfo>& keys, bool as_json) {
  if (as_json) {
    json::array list;
    for (const auth::SigningKeyInfo& key : keys) {
      list.push_back(json::object{{"kid", key.kid},
                                  {"created_s", key.created_s},
                                  {"retired_s", time_json(key.retired_s)},
                                  {"verifies_until_s", time_json(key.verifies_until_s)}});
    }
    fmt::print("{}\n", json::serialize(list));
    return;
  }
  fmt::print("{:<44} {:<11} {}\n", "KID", "CREATED", "STATE");
  for (const auth::SigningKeyInfo& key : keys) {
    const std::string state =
        key.verifies_until_s ? fmt::format("retired, verifies for {} s", *key.verifies_until_s - std::time(nullptr))
                             : std::string("signs");
    fmt::print("{:<44} {:<11} {}\n", key.kid, day_text(key.created_s), state);
  }
}

Result<std::vector<auth::SigningKeyInfo>> run_action(const Arguments& arguments) {
  TRY_ASSIGN(const ServeConfig config, load_config(arguments.state, {}));
  const int64_t now_s = std::time(nullptr);
  TRY_ASSIGN(const auto issuer, auth::TokenIssuer::open(token_options(config), now_s));
  if (arguments.action == "keys") return issuer->list(now_s);
  return issuer->rotate(arguments.drop_old ? auth::OldKeys::kDrop : auth::OldKeys::kOverlap, now_s);
}

int run(int argc, const char* const* argv) {
  Arguments arguments;
  Flags flags("token", "lists and rotates the keys that sign tokens");
  flags.add("action", arguments.action, "keys or rotate");
  flags.require("action");
  flags.add_switch("--drop-old", arguments.drop_old,
                   "rotate: forget the earlier keys at once, which ends every token issued so far; without it they "
                   "verify until those tokens have expired");
  add_state_flags(flags, arguments.state);
  flags.add_switch("--json", arguments.json, "print JSON");
  flags.footer(
      "examples:\n  cove token keys\n  cove token rotate               a running server uses the new key within a "
      "second");
  if (const auto code = flags.parse(argc, argv)) return *code;
  if (arguments.action != "keys" && arguments.action != "rotate") {
    std::fprintf(stderr, "cove token: use 'keys' or 'rotate'\n");
    return kWrongUsage;
  }
  const auto keys = run_action(arguments);
  if (!keys) return fail("token", keys.error().message);
  print_keys(*keys, arguments.json);
  return kDone;
}

}  // namespace

extern const Command kToken{"token", "lists and rotates the keys that sign tokens", run};

}  // namespace cove::app

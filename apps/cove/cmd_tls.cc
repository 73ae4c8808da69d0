// cove tls new: a self-signed certificate, for trying TLS before there is a real one.
#include <cstdio>
#include <ctime>
#include <filesystem>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "commands.h"
#include "services/certificates/self_signed.h"

namespace cove::app {
namespace {

constexpr int64_t kDayS = 86'400;
constexpr int64_t kClockSkewS = 3'600;

struct Arguments {
  std::string action;
  std::vector<std::string> hosts;
  std::string out = "tls";
  int64_t days = 365;
  bool force = false;
  bool json = false;
};

Status write_pair(const certificates::CertificateAndKey& made, const Arguments& arguments) {
  const std::filesystem::path folder(arguments.out);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return make_error(ErrorCode::kIo, fmt::format("{}: {}", arguments.out, error.message()));
  for (const char* name : {"key.pem", "cert.pem"}) {
    if (arguments.force || !std::filesystem::exists(folder / name)) continue;
    return make_error(
        ErrorCode::kFailedPrecondition,
        fmt::format("{} exists already; choose another --out, or replace it with --force", (folder / name).string()));
  }
  TRY(write_file_atomic(folder / "key.pem", made.key_pem, 0600));
  return write_file_atomic(folder / "cert.pem", made.certificate_pem, 0644);
}

void report(const Arguments& arguments) {
  const std::string cert = (std::filesystem::absolute(arguments.out) / "cert.pem").lexically_normal().string();
  const std::string key = (std::filesystem::absolute(arguments.out) / "key.pem").lexically_normal().string();
  if (arguments.json) {
    json::array hosts;
    for (const std::string& host : arguments.hosts) hosts.emplace_back(host);
    fmt::print("{}\n",
               json::serialize(json::object{{"cert", cert}, {"key", key}, {"hosts", hosts}, {"days", arguments.days}}));
    return;
  }
  fmt::print("{}\n{}\n", cert, key);
  fmt::print(stderr,
             "\nself-signed: clients must be told to trust it (curl --cacert {0}). To use it, in cove.yaml:\n"
             "  server: {{tls: {{cert: {0}, key: {1}}}}}\n",
             cert, key);
}

Status run_new(Arguments& arguments) {
  if (arguments.hosts.empty()) arguments.hosts = {"localhost", "127.0.0.1", "::1"};
  if (arguments.days < 1 || arguments.days > 3650) return invalid_argument("--days must be 1 to 3650");
  const int64_t now_s = std::time(nullptr);
  TRY_ASSIGN(const auto made, certificates::make_self_signed({.hosts = arguments.hosts,
                                                              .not_before_s = now_s - kClockSkewS,
                                                              .not_after_s = now_s + arguments.days * kDayS}));
  TRY(write_pair(made, arguments));
  report(arguments);
  return {};
}

int run(int argc, const char* const* argv) {
  Arguments arguments;
  Flags flags("tls", "makes a self-signed certificate for trying TLS");
  flags.add("action", arguments.action, "new");
  flags.require("action");
  flags.add("--host", arguments.hosts,
            "name or address that clients use; may be given several times (default: localhost, 127.0.0.1, ::1)");
  flags.add("--out", arguments.out, "folder for cert.pem and key.pem (default: tls)");
  flags.add("--days", arguments.days, "how long it is valid (default: 365)");
  flags.add_switch("--force", arguments.force, "replace what is there; a running 'cove serve' picks it up");
  flags.add_switch("--json", arguments.json, "print JSON");
  flags.footer(
      "example:\n  cove tls new --host cove.example.com --out /etc/cove/tls\n"
      "  cove serve --config cove.yaml     with server: {tls: {cert: /etc/cove/tls/cert.pem, key: ...}}\n"
      "A certificate of a real authority needs nothing but its two files: docs/operations/tls.md.");
  if (const auto code = flags.parse(argc, argv)) return *code;
  if (arguments.action != "new") {
    std::fprintf(stderr, "cove tls: use 'new'\n");
    return kWrongUsage;
  }
  const Status status = run_new(arguments);
  return status ? kDone : fail("tls", status.error().message);
}

}  // namespace

extern const Command kTls{"tls", "makes a self-signed certificate for trying TLS", run};

}  // namespace cove::app

#include "serve_banner.h"

#include <cstdio>

#include <fmt/format.h>

namespace cove::app {
namespace {

std::string parameters_text(int64_t count) {
  if (count >= 1'000'000'000) return fmt::format("{:.1f} G", static_cast<double>(count) / 1e9);
  if (count >= 1'000'000) return fmt::format("{:.1f} M", static_cast<double>(count) / 1e6);
  return std::to_string(count);
}

}  // namespace

void print_banner(const Banner& banner) {
  const engine::ModelInfo& model = banner.model;
  const bool open = banner.key_path.empty();
  fmt::print("\nCove {} serves {} ({}, {}, {} parameters, {} tokens of context)\non {}, loaded in {:.1f} s\n\n",
             COVE_VERSION, banner.model_name, model.family, model.weight_format, parameters_text(model.parameters),
             model.context_max, model.device, banner.loading_s);
  if (open) {
    fmt::print(
        "  chat page   {}/\n  no sign-in: auth.mode is off, whoever reaches this machine's loopback may use it\n",
        banner.base_url);
  } else {
    fmt::print("  chat page   {}/login?code={}\n              (this link signs in once, within 15 minutes)\n",
               banner.base_url, banner.login_code);
  }
  fmt::print("  API         {}/v1   described at {}/docs\n", banner.base_url, banner.base_url);
  if (banner.new_key)
    fmt::print("  admin key   {}\n              (shown only now; kept in {})\n", *banner.new_key, banner.key_path);
  const std::string key = banner.new_key ? *banner.new_key : fmt::format("$(cat {})", banner.key_path);
  const std::string header = open ? std::string() : fmt::format("    -H \"Authorization: Bearer {}\" \\\n", key);
  const std::string trust = banner.trust.empty() ? std::string() : fmt::format("--cacert {} ", banner.trust);
  fmt::print(
      "\ntry:\n  curl -s {}{}/v1/chat/completions \\\n{}    -H \"Content-Type: application/json\" \\\n"
      "    -d "
      "'{{\"messages\":[{{\"role\":\"user\",\"content\":\"小明有23个苹果，又买了48个，吃了17个，还剩几个？\"}}]}}'\n\n",
      trust, banner.base_url, header);
  if (!open)
    fmt::print("next: 'cove apikey new NAME --data {}' makes a key for somebody else; Ctrl-C stops\n", banner.data);
  std::fflush(stdout);
}

}  // namespace cove::app

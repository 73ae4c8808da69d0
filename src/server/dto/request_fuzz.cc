// Bodies of both generation endpoints: any bytes give a request or an error that names what is wrong, never a crash.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/json.h"
#include "server/dto/chat_request.h"
#include "server/dto/completion_request.h"

namespace {

void check(const cove::server::ApiError& error) {
  // What goes out must be JSON, whatever the message quotes of the body.
  if (error.message.empty() || !cove::parse_json(cove::server::to_json(error))) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  if (const auto chat = cove::server::parse_chat_request(body); !chat) {
    check(chat.error());
  } else if (chat->messages.empty() || chat->fields.choices < 1) {
    std::abort();
  }
  if (const auto completion = cove::server::parse_completion_request(body); !completion) {
    check(completion.error());
  } else if (completion->prompts.empty()) {
    std::abort();
  }
  return 0;
}

#include "server/generation/shown_text.h"

#include <iterator>
#include <utility>

namespace cove::server {

void append_shown(ShownTexts& to, ShownTexts&& more) {
  if (to.size() < more.size()) to.resize(more.size());
  for (size_t i = 0; i < more.size(); ++i) {
    to[i].reasoning += more[i].reasoning;
    to[i].content += more[i].content;
    std::move(more[i].calls.begin(), more[i].calls.end(), std::back_inserter(to[i].calls));
    if (!more[i].finish_reason.empty()) to[i].finish_reason = std::move(more[i].finish_reason);
  }
}

}  // namespace cove::server

#include "text/chat/prompt_bos.h"

#include "text/chat/tag_search.h"

namespace cove::text {

std::string with_one_bos(std::string prompt, std::string_view bos_text) {
  if (bos_text.empty()) return prompt;
  const size_t first = leading_space(prompt);
  if (!std::string_view(prompt).substr(first).starts_with(bos_text)) {
    prompt.insert(0, bos_text);
    return prompt;
  }
  const size_t after_first = first + bos_text.size();
  size_t end = after_first;
  while (std::string_view(prompt).substr(end).starts_with(bos_text)) end += bos_text.size();
  prompt.erase(after_first, end - after_first);
  return prompt;
}

}  // namespace cove::text

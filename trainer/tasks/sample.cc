#include "tasks/sample.h"

namespace cove::trainer {

bool held_out(std::string_view key) {
  if (key.starts_with("plain|")) return false;  // what every user types first must not be missing from training
  // The examples that the documentation shows must be answered, not remembered.
  for (std::string_view shown : {"running|23|+48|-17"}) {
    if (key == shown) return true;
  }
  return stable_hash(key) % 10 == 0;
}

std::string fill(std::string_view pattern, std::initializer_list<std::pair<std::string_view, std::string>> values) {
  std::string out;
  out.reserve(pattern.size() + 32);
  for (size_t i = 0; i < pattern.size();) {
    if (pattern[i] == '{') {
      size_t end = pattern.find('}', i);
      const std::string* value = nullptr;
      if (end != std::string_view::npos) {
        for (const auto& [name, text] : values) {
          if (name == pattern.substr(i + 1, end - i - 1)) value = &text;
        }
      }
      if (value != nullptr) {
        out += *value;
        i = end + 1;
        continue;
      }
    }
    out += pattern[i++];
  }
  return out;
}

Sample make_sample(const Draw& draw, std::string key, std::string prompt, std::string reasoning, std::string answer,
                   Check check) {
  Sample sample;
  sample.language = draw.language;
  sample.key = std::move(key);
  sample.messages.push_back({.role = Role::kUser, .content = std::move(prompt), .calls = {}});
  sample.reasoning = std::move(reasoning);
  sample.answer = std::move(answer);
  sample.check = std::move(check);
  return sample;
}

}  // namespace cove::trainer

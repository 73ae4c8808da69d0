#pragma once
// One exercise: the conversation up to the answer, the reasoning and answer to learn, and how an answer is judged.

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tasks/rng.h"
#include "text/chat/answer_check.h"

namespace cove::trainer {

enum class Language { kChinese, kEnglish };
enum class Split { kTrain, kHeldOut };
enum class Role { kSystem, kUser, kAssistant, kTool };

struct ToolCall {
  std::string name;
  std::string arguments;  // JSON text of an object
};

struct ToolParameter {
  std::string name, description;
};

// A function that the request offers; every parameter is a required string.
struct ToolDeclaration {
  std::string name, description;
  std::vector<ToolParameter> parameters;
};

struct Message {
  Role role = Role::kUser;
  std::string content;
  std::vector<ToolCall> calls;  // assistant only
};

using text::Check;
using text::CheckKind;

struct Sample {
  std::string task;
  Language language = Language::kChinese;
  std::string key;  // names the problem instance; its hash decides the split
  std::vector<Message> messages;
  std::vector<ToolDeclaration> tools;
  std::string reasoning;
  std::string answer;
  std::vector<ToolCall> calls;
  Check check;
};

// What a task draws from.
struct Draw {
  Rng& rng;
  Split split;
  Language language;

  bool chinese() const { return language == Language::kChinese; }
  // Picks the phrase of the sample's language.
  std::string_view say(std::string_view zh, std::string_view en) const { return chinese() ? zh : en; }
};

// One problem in ten is held out of training: that with a hash divisible by ten, and the three problems named in the
// documentation.
bool held_out(std::string_view key);

// Replaces each {name} of `pattern` by its value; unknown names stay.
std::string fill(std::string_view pattern, std::initializer_list<std::pair<std::string_view, std::string>> values);

inline std::string str(int64_t value) { return std::to_string(value); }

// A single-turn sample.
Sample make_sample(const Draw& draw, std::string key, std::string prompt, std::string reasoning, std::string answer,
                   Check check);

}  // namespace cove::trainer

#pragma once
// Names, objects and other words that the tasks put into their templates, in both languages.

#include <string>
#include <vector>

#include "tasks/sample.h"

namespace cove::trainer {

struct Thing {
  std::string name;    // zh: 苹果; en plural: apples
  std::string unit;    // zh measure word: 个; en: empty
  std::string single;  // en singular
  std::string kind;    // food, book, toy, money, plant
};

const std::vector<std::string>& person_names(Language language);
const std::vector<Thing>& things(Language language);
const std::vector<std::string>& cities(Language language);
const std::vector<std::string>& weekdays(Language language);  // Monday first
const std::vector<std::string>& months();                     // English names

// A made-up name that no list holds, so that the model must copy: 2-3 characters, or a capitalised word.
std::string invented_name(const Draw& draw);
std::string person(const Draw& draw);
// A second person different from `other`.
std::string another_person(const Draw& draw, const std::string& other);

}  // namespace cove::trainer

#include "text/chat/jinja/filters.h"

#include <unordered_map>

#include "text/chat/jinja/filter_functions.h"

namespace cove::text::jinja {

const FilterEntry* find_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, const FilterEntry*> kTable = [] {
    std::unordered_map<std::string_view, const FilterEntry*> table;
    for (const auto entries : {text_filters(), sequence_filters(), aggregate_filters(), number_filters()}) {
      for (const FilterEntry& entry : entries) table.emplace(entry.name, &entry);
    }
    return table;
  }();
  const auto found = kTable.find(name);
  return found == kTable.end() ? nullptr : found->second;
}

}  // namespace cove::text::jinja

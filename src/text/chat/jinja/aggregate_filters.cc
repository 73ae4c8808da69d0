// Filters that order or reduce a sequence: sort, dictsort, unique, groupby, min, max, sum.
#include <algorithm>

#include <fmt/format.h>

#include "text/chat/jinja/filter_functions.h"
#include "text/chat/jinja/interpreter.h"
#include "text/chat/jinja/operators.h"
#include "text/chat/jinja/unicode.h"

namespace cove::text::jinja {
namespace {

using Args = const Arguments&;

enum class Case { kSensitive, kIgnored };

Value fold(const Value& value, Case letters) {
  if (letters == Case::kSensitive || !value.is_string()) return value;
  return Value::string(to_lower(value.as_string()));
}

// The key to order an item by: an attribute, several ("a,b" gives a list), or the item itself.
Result<Value> key_of(Interpreter& in, const Value& item, const Value* path, Case letters) {
  if (path == nullptr || path->is_none()) return fold(item, letters);
  if (!path->is_string() || path->as_string().find(',') == std::string_view::npos) {
    TRY_ASSIGN(const Value value, get_by_path(in, item, *path, nullptr));
    return fold(value, letters);
  }
  std::vector<Value> keys;
  std::string_view rest = path->as_string();
  while (true) {
    const size_t comma = rest.find(',');
    TRY_ASSIGN(const Value value, get_by_path(in, item, Value::string(std::string(rest.substr(0, comma))), nullptr));
    keys.push_back(fold(value, letters));
    if (comma == std::string_view::npos) return Value::list(std::move(keys));
    rest.remove_prefix(comma + 1);
  }
}

struct Keyed {
  Value key;
  Value item;
};

Result<std::vector<Keyed>> keyed_items(Interpreter& in, const std::vector<Value>& items, const Value* path,
                                       Case letters) {
  std::vector<Keyed> out;
  out.reserve(items.size());
  for (const Value& item : items) {
    TRY_ASSIGN(Value key, key_of(in, item, path, letters));
    out.push_back({std::move(key), item});
  }
  return out;
}

// Stable merge sort by hand: a comparison can fail, which std::stable_sort cannot express.
Status sort_keyed(Interpreter& in, std::vector<Keyed>& items) {
  std::vector<Keyed> other(items.size());
  for (size_t width = 1; width < items.size(); width *= 2) {
    for (size_t begin = 0; begin < items.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, items.size());
      const size_t end = std::min(begin + 2 * width, items.size());
      size_t left = begin;
      size_t right = middle;
      for (size_t to = begin; to < end; ++to) {
        bool take_right = left == middle;
        if (!take_right && right < end) {
          TRY(in.charge());
          TRY_ASSIGN(take_right, holds(in, Op::kLt, items[right].key, items[left].key));
        }
        other[to] = std::move(items[take_right ? right++ : left++]);
      }
    }
    std::swap(items, other);
  }
  return {};
}

Result<std::vector<Keyed>> sorted(Interpreter& in, std::vector<Keyed> items, bool descending) {
  // Python reverses before and after, so that equal items keep their order.
  if (descending) std::reverse(items.begin(), items.end());
  TRY(sort_keyed(in, items));
  if (descending) std::reverse(items.begin(), items.end());
  return items;
}

Value values_of(const std::vector<Keyed>& items) {
  std::vector<Value> out;
  out.reserve(items.size());
  for (const Keyed& item : items) out.push_back(item.item);
  return Value::list(std::move(out));
}

Case case_of(const Parameters& p, size_t index) { return p.truthy(index, false) ? Case::kSensitive : Case::kIgnored; }

Result<Value> sort(Interpreter& in, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("sort", args, {"reverse", "case_sensitive", "attribute"}));
  TRY_ASSIGN(const std::vector<Value> items, in.iterate(subject));
  TRY_ASSIGN(std::vector<Keyed> keyed, keyed_items(in, items, p.get(2), case_of(p, 1)));
  // Jinja compares lists of keys, and lists compare their items by == first: two None or Undefined do not fail.
  for (Keyed& item : keyed) item.key = Value::list({item.key});
  TRY_ASSIGN(keyed, sorted(in, std::move(keyed), p.truthy(0, false)));
  return values_of(keyed);
}

Result<Value> dictsort(Interpreter& in, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("dictsort", args, {"case_sensitive", "by", "reverse"}));
  TRY_ASSIGN(const std::string_view by, p.string(1, "key"));
  if (by != "key" && by != "value") return invalid_argument("You can only sort by either \"key\" or \"value\"");
  TRY(Interpreter::require_defined(subject));
  if (!subject.is_dict())
    return invalid_argument(fmt::format("'{}' object has no attribute 'items'", subject.type_name()));
  std::vector<Keyed> keyed;
  for (const auto& [key, value] : subject.dict_object().entries) {
    TRY(in.charge(128));
    keyed.push_back({fold(by == "key" ? key : value, case_of(p, 0)), Value::tuple({key, value})});
  }
  TRY_ASSIGN(keyed, sorted(in, std::move(keyed), p.truthy(2, false)));
  return values_of(keyed);
}

Result<Value> unique(Interpreter& in, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("unique", args, {"case_sensitive", "attribute"}));
  TRY_ASSIGN(const std::vector<Value> items, in.iterate(subject));
  TRY_ASSIGN(const std::vector<Keyed> keyed, keyed_items(in, items, p.get(1), case_of(p, 0)));
  DictObject seen;
  std::vector<Value> out;
  for (const Keyed& item : keyed) {
    TRY(in.charge(64));
    TRY(check_hashable(item.key));
    if (seen.find(item.key, in.budget()) != nullptr) continue;
    seen.set(item.key, Value::none(), in.budget());
    out.push_back(item.item);
  }
  return Value::generator(std::move(out));
}

Result<Value> groupby(Interpreter& in, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("groupby", args, {"attribute", "default", "case_sensitive"}, 1));
  const Case letters = case_of(p, 2);
  const Value* fallback = p.has(1) && !p.get(1)->is_none() ? p.get(1) : nullptr;
  TRY_ASSIGN(const std::vector<Value> items, in.iterate(subject));
  std::vector<Keyed> keyed;
  for (const Value& item : items) {
    TRY_ASSIGN(const Value key, get_by_path(in, item, *p.get(0), fallback));
    keyed.push_back({fold(key, letters), item});
  }
  TRY_ASSIGN(keyed, sorted(in, std::move(keyed), false));
  std::vector<Value> groups;
  for (size_t begin = 0; begin < keyed.size();) {
    size_t end = begin;
    std::vector<Value> members;
    while (end < keyed.size() && equals(keyed[end].key, keyed[begin].key, in.budget()))
      members.push_back(keyed[end++].item);
    if (end == begin) break;  // a key that is not equal to itself, or no budget left
    TRY_ASSIGN(const Value grouper, get_by_path(in, keyed[begin].item, *p.get(0), fallback));
    TRY(in.charge(128));
    groups.push_back(Value::list({grouper, Value::list(std::move(members))}, Sequence::kGroup));
    begin = end;
  }
  return Value::list(std::move(groups));
}

template <Op kOp>
Result<Value> extreme(Interpreter& in, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("min", args, {"case_sensitive", "attribute"}));
  TRY_ASSIGN(const std::vector<Value> items, in.iterate(subject));
  if (items.empty()) return Value::undefined("No aggregated item, sequence was empty.");
  TRY_ASSIGN(const std::vector<Keyed> keyed, keyed_items(in, items, p.get(1), case_of(p, 0)));
  const Keyed* best = &keyed[0];
  for (size_t i = 1; i < keyed.size(); ++i) {
    TRY_ASSIGN(const bool better, holds(in, kOp, keyed[i].key, best->key));
    if (better) best = &keyed[i];
  }
  return best->item;
}

Result<Value> sum(Interpreter& in, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("sum", args, {"attribute", "start"}));
  TRY_ASSIGN(const std::vector<Value> items, in.iterate(subject));
  Value total = p.has(1) ? *p.get(1) : Value::integer(0);
  if (total.is_string()) return invalid_argument("sum() can't sum strings [use ''.join(seq) instead]");
  for (const Value& item : items) {
    Value value = item;
    if (p.has(0) && !p.get(0)->is_none()) {
      TRY_ASSIGN(value, get_by_path(in, item, *p.get(0), nullptr));
    }
    TRY_ASSIGN(total, arithmetic(in, Op::kAdd, total, value));
  }
  return total;
}

constexpr FilterEntry kFilters[] = {
    {"sort", sort}, {"dictsort", dictsort},    {"unique", unique},        {"groupby", groupby},
    {"sum", sum},   {"min", extreme<Op::kLt>}, {"max", extreme<Op::kGt>},
};

}  // namespace

std::span<const FilterEntry> aggregate_filters() { return kFilters; }

}  // namespace cove::text::jinja

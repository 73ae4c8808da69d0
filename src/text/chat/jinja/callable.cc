#include "text/chat/jinja/callable.h"

#include <fmt/format.h>

#include "base/check.h"

namespace cove::text::jinja {

Result<Parameters> Parameters::bind(std::string_view function, const Arguments& args,
                                    std::initializer_list<std::string_view> names, size_t required) {
  COVE_CHECK(names.size() <= kMax);
  Parameters bound;
  bound.function_ = function;
  size_t count = 0;
  for (const std::string_view name : names) bound.names_[count++] = name;
  if (args.positional.size() > count) {
    return invalid_argument(
        fmt::format("{}() takes at most {} arguments ({} given)", function, count, args.positional.size()));
  }
  for (size_t i = 0; i < args.positional.size(); ++i) bound.values_[i] = &args.positional[i];
  for (const auto& [name, value] : args.named) {
    size_t at = 0;
    while (at < count && bound.names_[at] != name) ++at;
    if (at == count)
      return invalid_argument(fmt::format("{}() got an unexpected keyword argument '{}'", function, name));
    if (bound.values_[at] != nullptr) {
      return invalid_argument(fmt::format("{}() got multiple values for argument '{}'", function, name));
    }
    bound.values_[at] = &value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (bound.values_[i] == nullptr) {
      return invalid_argument(fmt::format("{}() missing required argument '{}'", function, bound.names_[i]));
    }
  }
  return bound;
}

Result<int64_t> Parameters::integer(size_t index, int64_t fallback) const {
  if (!has(index)) return fallback;
  if (get(index)->is_integer()) return get(index)->as_int();
  return invalid_argument(
      fmt::format("{}(): '{}' must be an integer, not {}", function_, names_[index], get(index)->type_name()));
}

Result<std::string_view> Parameters::string(size_t index, std::string_view fallback) const {
  if (!has(index)) return fallback;
  if (get(index)->is_string()) return get(index)->as_string();
  return invalid_argument(
      fmt::format("{}(): '{}' must be a string, not {}", function_, names_[index], get(index)->type_name()));
}

Value CallableObject::attribute(std::string_view name) const {
  return Value::missing("function", Value::string(std::string(name)));
}

}  // namespace cove::text::jinja

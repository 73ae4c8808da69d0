#pragma once
// Macros and recursive loops as values that can be called.

#include "text/chat/jinja/ast.h"
#include "text/chat/jinja/value.h"

namespace cove::text::jinja {

struct Scope;

// Both borrow: the statement lives in the Program, the scope until the render ends.
Value make_macro_value(const MacroStmt& macro, Scope* closure);
Value make_loop_callable(const ForStmt& loop, Scope* scope, int depth0);
// loop.index, loop.last, ... ; undefined when there is no such attribute.
Value loop_attribute(const Value& loop, const Value& name);

}  // namespace cove::text::jinja

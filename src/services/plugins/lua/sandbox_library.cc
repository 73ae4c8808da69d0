// The globals of a sandboxed script: Lua's base, string, table, math and utf8 without what leaves the sandbox, and with
// versions of our own of what could loop inside C. Everything here may be left by a longjmp: no destructors.
#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include <lua.hpp>

#include "services/plugins/lua/pattern.h"
#include "services/plugins/lua/sandbox.h"

namespace cove::plugins {
namespace {

static_assert(std::is_trivially_destructible_v<PatternMatcher>);

constexpr int64_t kBytesPerStep = 16;  // a loop over bytes in C against an instruction

std::string_view check_text(lua_State* lua, int index) {
  size_t bytes = 0;
  const char* text = luaL_checklstring(lua, index, &bytes);
  return {text, bytes};
}

// Where a search begins: Lua's 1-based, from-the-end-if-negative index, as an offset.
size_t start_offset(lua_Integer init, size_t bytes) {
  if (init > 0) return static_cast<size_t>(init - 1);
  if (init == 0) return 0;
  return init < -static_cast<lua_Integer>(bytes) ? 0 : bytes - static_cast<size_t>(-init);
}

// The capture, or the whole match when there are none.
void push_capture(lua_State* lua, const PatternMatcher& matcher, int i, const char* subject, const char* s,
                  const char* e) {
  if (i >= matcher.captures()) {
    if (i != 0) luaL_error(lua, "invalid capture index %%%d", i + 1);
    lua_pushlstring(lua, s, static_cast<size_t>(e - s));
    return;
  }
  const PatternMatcher::Capture& capture = matcher.capture(i);
  if (capture.length == PatternMatcher::kUnclosed) luaL_error(lua, "unfinished capture");
  if (capture.length == PatternMatcher::kPosition) {
    lua_pushinteger(lua, capture.begin - subject + 1);
  } else {
    lua_pushlstring(lua, capture.begin, static_cast<size_t>(capture.length));
  }
}

int push_captures(lua_State* lua, const PatternMatcher& matcher, const char* subject, const char* s, const char* e) {
  const int count = matcher.captures() == 0 && s != nullptr ? 1 : matcher.captures();
  luaL_checkstack(lua, count, "too many captures");
  for (int i = 0; i < count; ++i) push_capture(lua, matcher, i, subject, s, e);
  return count;
}

void check_error(lua_State* lua, const PatternMatcher& matcher) {
  if (matcher.error() == nullptr) return;
  if (Sandbox::budget(lua).steps < 0) Sandbox::stop(lua, matcher.error());
  luaL_error(lua, "%s", matcher.error());
}

bool is_plain(std::string_view pattern) { return pattern.find_first_of("^$*+?.([%-") == std::string_view::npos; }

int find_plainly(lua_State* lua, std::string_view text, std::string_view what, size_t from) {
  Sandbox::charge(lua, static_cast<int64_t>(text.size() - from) / kBytesPerStep + 1);
  // memmem is linear whatever the texts are; std::string_view::find is not.
  const void* found = ::memmem(text.data() + from, text.size() - from, what.data(), what.size());
  if (found == nullptr) {
    lua_pushnil(lua);
    return 1;
  }
  const auto at = static_cast<const char*>(found) - text.data();
  lua_pushinteger(lua, at + 1);
  lua_pushinteger(lua, at + static_cast<ptrdiff_t>(what.size()));
  return 2;
}

enum class Wanted : uint8_t { kPositions, kCaptures };

int search(lua_State* lua, Wanted wanted) {
  const std::string_view text = check_text(lua, 1);
  std::string_view pattern = check_text(lua, 2);
  const size_t from = start_offset(luaL_optinteger(lua, 3, 1), text.size());
  if (from > text.size()) {
    lua_pushnil(lua);
    return 1;
  }
  if (wanted == Wanted::kPositions && (lua_toboolean(lua, 4) != 0 || is_plain(pattern)))
    return find_plainly(lua, text, pattern, from);
  const bool anchored = pattern.starts_with('^');
  if (anchored) pattern.remove_prefix(1);
  PatternMatcher matcher(text, pattern, Sandbox::budget(lua));
  const char* end_of_text = text.data() + text.size();
  for (const char* s = text.data() + from; s <= end_of_text; ++s) {
    const char* e = matcher.match(s);
    check_error(lua, matcher);
    if (e != nullptr) {
      if (wanted == Wanted::kCaptures) return push_captures(lua, matcher, text.data(), s, e);
      lua_pushinteger(lua, s - text.data() + 1);
      lua_pushinteger(lua, e - text.data());
      return 2 + push_captures(lua, matcher, text.data(), nullptr, nullptr);
    }
    if (anchored) break;
    Sandbox::budget(lua).steps -= 1;
  }
  lua_pushnil(lua);
  return 1;
}

int string_find(lua_State* lua) { return search(lua, Wanted::kPositions); }
int string_match(lua_State* lua) { return search(lua, Wanted::kCaptures); }

// Upvalues: text, pattern, where to go on, where the last match ended (-1 = none).
int gmatch_next(lua_State* lua) {
  const std::string_view text = check_text(lua, lua_upvalueindex(1));
  const std::string_view pattern = check_text(lua, lua_upvalueindex(2));
  const auto from = static_cast<size_t>(lua_tointeger(lua, lua_upvalueindex(3)));
  const lua_Integer last = lua_tointeger(lua, lua_upvalueindex(4));
  PatternMatcher matcher(text, pattern, Sandbox::budget(lua));
  for (size_t at = from; at <= text.size(); ++at) {
    const char* s = text.data() + at;
    const char* e = matcher.match(s);
    check_error(lua, matcher);
    Sandbox::budget(lua).steps -= 1;
    if (e == nullptr || e - text.data() == last) continue;
    lua_pushinteger(lua, e - text.data());
    lua_copy(lua, -1, lua_upvalueindex(3));
    lua_replace(lua, lua_upvalueindex(4));
    return push_captures(lua, matcher, text.data(), s, e);
  }
  return 0;
}

int string_gmatch(lua_State* lua) {
  const std::string_view text = check_text(lua, 1);
  check_text(lua, 2);
  const size_t from = start_offset(luaL_optinteger(lua, 3, 1), text.size());
  lua_settop(lua, 2);
  lua_pushinteger(lua, static_cast<lua_Integer>(from > text.size() ? text.size() + 1 : from));
  lua_pushinteger(lua, -1);
  lua_pushcclosure(lua, gmatch_next, 4);
  return 1;
}

struct Replacing {
  const PatternMatcher* matcher;
  const char* subject;
  const char* s;
  const char* e;
};

void add_text_replacement(lua_State* lua, luaL_Buffer* buffer, const Replacing& match) {
  size_t bytes = 0;
  const char* text = lua_tolstring(lua, 3, &bytes);
  for (size_t i = 0; i < bytes; ++i) {
    if (text[i] != '%') {
      luaL_addchar(buffer, text[i]);
      continue;
    }
    if (++i >= bytes) luaL_error(lua, "invalid use of '%%' in replacement string");
    if (text[i] == '%') {
      luaL_addchar(buffer, '%');
    } else if (text[i] == '0') {
      luaL_addlstring(buffer, match.s, static_cast<size_t>(match.e - match.s));
    } else if (text[i] >= '1' && text[i] <= '9') {
      push_capture(lua, *match.matcher, text[i] - '1', match.subject, match.s, match.e);
      luaL_tolstring(lua, -1, nullptr);  // a position becomes text
      lua_remove(lua, -2);
      luaL_addvalue(buffer);
    } else {
      luaL_error(lua, "invalid use of '%%' in replacement string");
    }
  }
}

// A table or a function says what to put in; false and nil keep the match.
void add_value_replacement(lua_State* lua, luaL_Buffer* buffer, const Replacing& match) {
  if (lua_type(lua, 3) == LUA_TFUNCTION) {
    lua_pushvalue(lua, 3);
    const int arguments = push_captures(lua, *match.matcher, match.subject, match.s, match.e);
    lua_call(lua, arguments, 1);
  } else {
    push_capture(lua, *match.matcher, 0, match.subject, match.s, match.e);
    lua_gettable(lua, 3);
  }
  if (lua_toboolean(lua, -1) == 0) {
    lua_pop(lua, 1);
    luaL_addlstring(buffer, match.s, static_cast<size_t>(match.e - match.s));
    return;
  }
  if (lua_isstring(lua, -1) == 0) luaL_error(lua, "invalid replacement value (a %s)", luaL_typename(lua, -1));
  luaL_addvalue(buffer);
}

int string_gsub(lua_State* lua) {
  const std::string_view text = check_text(lua, 1);
  std::string_view pattern = check_text(lua, 2);
  const int type = lua_type(lua, 3);
  const bool usable = type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TTABLE || type == LUA_TFUNCTION;
  luaL_argexpected(lua, usable, 3, "string/function/table");
  const bool is_text = type == LUA_TNUMBER || type == LUA_TSTRING;
  if (is_text) lua_tostring(lua, 3);  // a number becomes its text for good
  const lua_Integer count_max = luaL_optinteger(lua, 4, static_cast<lua_Integer>(text.size()) + 1);
  const bool anchored = pattern.starts_with('^');
  if (anchored) pattern.remove_prefix(1);
  PatternMatcher matcher(text, pattern, Sandbox::budget(lua));
  luaL_Buffer buffer;
  luaL_buffinit(lua, &buffer);
  const char* s = text.data();
  const char* end = s + text.size();
  const char* last = nullptr;
  lua_Integer count = 0;
  while (count < count_max) {
    const char* e = matcher.match(s);
    check_error(lua, matcher);
    Sandbox::budget(lua).steps -= 1;
    if (e != nullptr && e != last) {
      ++count;
      const Replacing match{&matcher, text.data(), s, e};
      Sandbox::charge(lua, 1);
      if (is_text) {
        add_text_replacement(lua, &buffer, match);
      } else {
        add_value_replacement(lua, &buffer, match);
      }
      s = last = e;
    } else if (s < end) {
      luaL_addchar(&buffer, *s);
      ++s;
    } else {
      break;
    }
    if (anchored) break;
  }
  luaL_addlstring(&buffer, s, static_cast<size_t>(end - s));
  luaL_pushresult(&buffer);
  lua_pushinteger(lua, count);
  return 2;
}

int string_rep(lua_State* lua) {
  const std::string_view text = check_text(lua, 1);
  const lua_Integer count = luaL_checkinteger(lua, 2);
  size_t separator_bytes = 0;
  const char* separator = luaL_optlstring(lua, 3, "", &separator_bytes);
  const size_t each = text.size() + separator_bytes;
  if (count <= 0 || each == 0) {
    lua_pushliteral(lua, "");
    return 1;
  }
  Sandbox::charge(lua, count > INT32_MAX ? INT64_MAX / 2 : count + count * static_cast<int64_t>(each) / kBytesPerStep);
  luaL_Buffer buffer;
  luaL_buffinit(lua, &buffer);
  for (lua_Integer i = 0; i < count; ++i) {
    luaL_addlstring(&buffer, text.data(), text.size());
    if (i + 1 < count) luaL_addlstring(&buffer, separator, separator_bytes);
  }
  luaL_pushresult(&buffer);
  return 1;
}

// Lua's own function behind a charge for the length of its first argument. Upvalue: the function.
int call_charged(lua_State* lua) {
  int64_t steps = 1;
  if (lua_type(lua, 1) == LUA_TSTRING) steps += static_cast<int64_t>(lua_rawlen(lua, 1)) / kBytesPerStep;
  if (lua_type(lua, 1) == LUA_TTABLE) {
    // With __index or __len a table can claim any length.
    if (lua_getmetatable(lua, 1) != 0) return luaL_error(lua, "this function takes no table with a metatable here");
    steps += static_cast<int64_t>(std::min<lua_Unsigned>(lua_rawlen(lua, 1), INT64_MAX / 2));
  }
  Sandbox::charge(lua, steps);
  lua_pushvalue(lua, lua_upvalueindex(1));
  lua_insert(lua, 1);
  lua_call(lua, lua_gettop(lua) - 1, LUA_MULTRET);
  return lua_gettop(lua);
}

// table.move(a, f, e, t [, b])
int table_move(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  const lua_Integer from = luaL_checkinteger(lua, 2);
  const lua_Integer last = luaL_checkinteger(lua, 3);
  const lua_Integer to = luaL_checkinteger(lua, 4);
  const int target = lua_isnoneornil(lua, 5) ? 1 : 5;
  luaL_checktype(lua, target, LUA_TTABLE);
  constexpr lua_Integer kRange = lua_Integer{1} << 40;
  luaL_argcheck(lua, from > -kRange && last < kRange && to > -kRange && to < kRange, 3, "too many elements to move");
  if (last >= from) {
    Sandbox::charge(lua, last - from + 1);
    const bool upwards = to > last || to <= from || target != 1;
    for (lua_Integer i = 0; i <= last - from; ++i) {
      const lua_Integer k = upwards ? i : last - from - i;
      lua_rawgeti(lua, 1, from + k);
      lua_rawseti(lua, target, to + k);
    }
  }
  lua_pushvalue(lua, target);
  return 1;
}

// Finalizers run with the limits off, so there are none.
int set_metatable(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  const int type = lua_type(lua, 2);
  luaL_argexpected(lua, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
  if (luaL_getmetafield(lua, 1, "__metatable") != LUA_TNIL)
    return luaL_error(lua, "cannot change a protected metatable");
  if (type == LUA_TTABLE) {
    lua_pushliteral(lua, "__gc");
    if (lua_rawget(lua, 2) != LUA_TNIL) return luaL_error(lua, "__gc is not available here");
    lua_pop(lua, 1);
  }
  lua_settop(lua, 2);
  lua_setmetatable(lua, 1);
  return 1;
}

void open_library(lua_State* lua, const char* name, lua_CFunction open) {
  luaL_requiref(lua, name, open, 1);
  lua_pop(lua, 1);
}

void charge_calls(lua_State* lua, const char* library, std::initializer_list<const char*> names) {
  lua_getglobal(lua, library);
  for (const char* name : names) {
    lua_getfield(lua, -1, name);
    lua_pushcclosure(lua, call_charged, 1);
    lua_setfield(lua, -2, name);
  }
  lua_pop(lua, 1);
}

void remove_fields(lua_State* lua, const char* library, std::initializer_list<const char*> names) {
  lua_getglobal(lua, library);
  for (const char* name : names) {
    lua_pushnil(lua);
    lua_setfield(lua, -2, name);
  }
  lua_pop(lua, 1);
}

}  // namespace

int open_sandbox_library(lua_State* lua) {
  open_library(lua, LUA_GNAME, luaopen_base);
  open_library(lua, LUA_STRLIBNAME, luaopen_string);
  open_library(lua, LUA_TABLIBNAME, luaopen_table);
  open_library(lua, LUA_MATHLIBNAME, luaopen_math);
  open_library(lua, LUA_UTF8LIBNAME, luaopen_utf8);
  remove_fields(lua, LUA_GNAME, {"dofile", "loadfile", "load", "collectgarbage", "print", "warn", "xpcall"});
  remove_fields(lua, "string", {"dump"});
  const luaL_Reg strings[] = {{"find", string_find}, {"match", string_match}, {"gmatch", string_gmatch},
                              {"gsub", string_gsub}, {"rep", string_rep},     {nullptr, nullptr}};
  lua_getglobal(lua, "string");
  luaL_setfuncs(lua, strings, 0);
  // Scripts reach string through the metatable of strings, but not that metatable.
  lua_pushliteral(lua, "");
  lua_getmetatable(lua, -1);
  lua_pushboolean(lua, 0);
  lua_setfield(lua, -2, "__metatable");
  lua_settop(lua, 1);
  charge_calls(lua, "string", {"upper", "lower", "reverse", "format", "byte", "pack", "unpack"});
  charge_calls(lua, "table", {"insert", "remove", "concat", "sort", "unpack"});
  charge_calls(lua, "utf8", {"len", "codepoint", "offset", "codes"});
  charge_calls(lua, LUA_GNAME, {"tonumber"});
  lua_getglobal(lua, "table");
  lua_pushcfunction(lua, table_move);
  lua_setfield(lua, -2, "move");
  lua_pushcfunction(lua, set_metatable);
  lua_setglobal(lua, "setmetatable");
  return 0;
}

}  // namespace cove::plugins

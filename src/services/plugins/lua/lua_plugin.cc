// A Lua script as a plugin. Every request gets a state of its own, made from the script's compiled code: what one
// request leaves behind cannot meet another.
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <lua.hpp>

#include "base/file.h"
#include "base/utf8.h"
#include "services/plugins/lua/sandbox.h"
#include "services/plugins/plugin_set.h"

namespace cove::plugins {
namespace {

constexpr size_t kScriptBytesMax = size_t{1} << 20;

struct Script {
  std::string name;
  std::string code;
  std::string settings;
  SandboxLimits limits;
};

void set_text(lua_State* lua, const char* name, std::string_view text) {
  lua_pushlstring(lua, text.data(), text.size());
  lua_setfield(lua, -2, name);
}

// Results of a script's function: (false, message) or (anything, "block") end it.
struct Answer {
  Decision decision = Decision::kPass;
  std::string message{};
  bool changed = false;
};

void copy_text(lua_State* lua, int index, std::string& out) {
  size_t bytes = 0;
  const char* text = lua_tolstring(lua, index, &bytes);
  if (text != nullptr) out.assign(text, bytes);
}

struct PromptWork {
  Input* input;
  Answer answer;
};

// preprocess(input): input.texts[i].role and .text, input.system; changes them; false, "why" refuses.
int call_preprocess(lua_State* lua) {
  auto* work = static_cast<PromptWork*>(lua_touserdata(lua, 1));
  if (lua_getglobal(lua, "preprocess") != LUA_TFUNCTION) return 0;
  lua_newtable(lua);
  set_text(lua, "system", work->input->system);
  lua_createtable(lua, static_cast<int>(work->input->texts.size()), 0);
  for (size_t i = 0; i < work->input->texts.size(); ++i) {
    lua_createtable(lua, 0, 2);
    set_text(lua, "role", work->input->texts[i].role);
    set_text(lua, "text", work->input->texts[i].text);
    lua_rawseti(lua, -2, static_cast<lua_Integer>(i) + 1);
  }
  lua_setfield(lua, -2, "texts");
  lua_pushvalue(lua, -1);
  lua_insert(lua, 2);  // kept: 1 work, 2 input
  lua_call(lua, 1, 2);
  if (lua_isboolean(lua, 3) && lua_toboolean(lua, 3) == 0) {
    work->answer.decision = Decision::kBlock;
    copy_text(lua, 4, work->answer.message);
    return 0;
  }
  lua_settop(lua, 2);
  if (lua_getfield(lua, 2, "system") != LUA_TSTRING) return luaL_error(lua, "input.system must stay a string");
  copy_text(lua, -1, work->input->system);
  if (lua_getfield(lua, 2, "texts") != LUA_TTABLE) return luaL_error(lua, "input.texts must stay a table");
  for (size_t i = 0; i < work->input->texts.size(); ++i) {
    lua_settop(lua, 4);
    if (lua_rawgeti(lua, 4, static_cast<lua_Integer>(i) + 1) != LUA_TTABLE ||
        lua_getfield(lua, -1, "text") != LUA_TSTRING)
      return luaL_error(lua, "input.texts[%d].text must stay a string", static_cast<int>(i) + 1);
    size_t bytes = 0;
    const char* text = lua_tolstring(lua, -1, &bytes);
    if (std::string_view(text, bytes) == work->input->texts[i].text) continue;
    work->input->texts[i].text.assign(text, bytes);
    work->answer.changed = true;
  }
  return 0;
}

struct PieceWork {
  const Piece* piece;
  std::string* out;
  Answer answer;
};

// postprocess(text, info): returns what takes the text's place; nil leaves it; a second value "block" ends the answer.
int call_postprocess(lua_State* lua) {
  auto* work = static_cast<PieceWork*>(lua_touserdata(lua, 1));
  const Piece& piece = *work->piece;
  if (lua_getglobal(lua, "postprocess") != LUA_TFUNCTION) {
    *work->out += piece.text;
    return 0;
  }
  lua_pushlstring(lua, piece.text.data(), piece.text.size());
  lua_createtable(lua, 0, 4);
  set_text(lua, "stage", to_string(piece.stage));
  lua_pushinteger(lua, static_cast<lua_Integer>(piece.choice));
  lua_setfield(lua, -2, "choice");
  lua_pushinteger(lua, static_cast<lua_Integer>(piece.text_id));
  lua_setfield(lua, -2, "id");
  lua_pushboolean(lua, piece.end == End::kLast ? 1 : 0);
  lua_setfield(lua, -2, "last");
  lua_call(lua, 2, 2);
  if (lua_isnil(lua, 2)) {
    *work->out += piece.text;
  } else if (lua_type(lua, 2) == LUA_TSTRING) {
    size_t bytes = 0;
    const char* text = lua_tolstring(lua, 2, &bytes);
    work->answer.changed = std::string_view(text, bytes) != piece.text;
    work->out->append(text, bytes);
  } else {
    return luaL_error(lua, "postprocess returned a %s; it returns a string or nil", luaL_typename(lua, 2));
  }
  if (lua_type(lua, 3) == LUA_TSTRING && std::strcmp(lua_tostring(lua, 3), "block") == 0)
    work->answer.decision = Decision::kBlock;
  return 0;
}

struct Globals {
  const Script* script;
  const RequestInfo* request;
};

int set_globals(lua_State* lua) {
  const auto* globals = static_cast<Globals*>(lua_touserdata(lua, 1));
  lua_pushlstring(lua, globals->script->settings.data(), globals->script->settings.size());
  lua_setglobal(lua, "settings");
  lua_newtable(lua);
  set_text(lua, "id", globals->request->request_id);
  set_text(lua, "route", globals->request->route);
  set_text(lua, "model", globals->request->model);
  set_text(lua, "identity", globals->request->identity);
  set_text(lua, "role", globals->request->role);
  lua_setglobal(lua, "request");
  return 0;
}

Result<std::unique_ptr<Sandbox>> start(const Script& script, const RequestInfo& request) {
  TRY_ASSIGN(auto sandbox, Sandbox::create(script.limits));
  Globals globals{&script, &request};
  TRY(sandbox->call(set_globals, &globals));
  TRY(sandbox->run(script.code, script.name));
  return sandbox;
}

class LuaPlugin final : public PluginBase {
 public:
  explicit LuaPlugin(std::unique_ptr<Sandbox> sandbox) : sandbox_(std::move(sandbox)) {}

  Result<Verdict> preprocess(Input& input) override {
    PromptWork work{&input, {}};
    TRY(sandbox_->call(call_preprocess, &work));
    changed_ += work.answer.changed ? 1 : 0;
    blocked_ += work.answer.decision == Decision::kBlock ? 1 : 0;
    return Verdict{work.answer.decision, replace_invalid_utf8(work.answer.message)};
  }

  Result<Verdict> postprocess(const Piece& piece, std::string& out) override {
    PieceWork work{&piece, &out, {}};
    TRY(sandbox_->call(call_postprocess, &work));
    if (!is_valid_utf8(out)) out = replace_invalid_utf8(out);
    changed_ += work.answer.changed ? 1 : 0;
    blocked_ += work.answer.decision == Decision::kBlock ? 1 : 0;
    return Verdict{work.answer.decision};
  }

  void take_notes(NoteTaker& notes) override {
    notes.add("changed", std::exchange(changed_, 0));
    notes.add("blocked", std::exchange(blocked_, 0));
  }

 private:
  std::unique_ptr<Sandbox> sandbox_;
  uint64_t changed_ = 0;
  uint64_t blocked_ = 0;
};

class LuaFactory final : public PluginFactory {
 public:
  explicit LuaFactory(Script script) : script_(std::move(script)) {}
  Result<std::unique_ptr<PluginBase>> open(const RequestInfo& request) override {
    TRY_ASSIGN(auto sandbox, start(script_, request));
    return std::unique_ptr<PluginBase>(std::make_unique<LuaPlugin>(std::move(sandbox)));
  }
  Pace pace() const override { return Pace::kMayWait; }

 private:
  Script script_;
};

int check_functions(lua_State* lua) {
  const bool before = lua_getglobal(lua, "preprocess") == LUA_TFUNCTION;
  const bool after = lua_getglobal(lua, "postprocess") == LUA_TFUNCTION;
  if (!before && !after) return luaL_error(lua, "defines neither preprocess nor postprocess");
  return 0;
}

}  // namespace

Result<std::unique_ptr<PluginFactory>> make_lua_plugin(const PluginOptions& options) {
  const LuaOptions& lua = options.lua;
  if (lua.file.empty()) return invalid_argument("needs 'file', the script");
  TRY_ASSIGN(const std::string source, read_file(lua.file, kScriptBytesMax));
  Script script{
      .name = lua.file.filename().string(),
      .code = {},
      .settings = lua.settings,
      .limits = {
          .memory_bytes = lua.memory_bytes, .instructions_max = lua.instructions_max, .timeout = options.timeout}};
  TRY_ASSIGN(auto compiler, Sandbox::create(script.limits));
  TRY_ASSIGN(script.code, compiler->compile(source, script.name));
  // A first run finds what is wrong before the first request does.
  TRY_ASSIGN(auto tried, start(script, {}));
  if (const Status usable = tried->call(check_functions, nullptr); !usable)
    return with_context(usable.error(), script.name);
  return std::unique_ptr<PluginFactory>(std::make_unique<LuaFactory>(std::move(script)));
}

}  // namespace cove::plugins

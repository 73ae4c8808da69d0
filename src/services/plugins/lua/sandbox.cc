#include "services/plugins/lua/sandbox.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>
#include <lua.hpp>

namespace cove::plugins {
namespace {

constexpr int kCountEvery = 100;  // instructions between two looks at the limits

int append_code(lua_State*, const void* data, size_t bytes, void* out) {
  static_cast<std::string*>(out)->append(static_cast<const char*>(data), bytes);
  return 0;
}

// Runs before any protected call can fail for lack of memory outside one.
int open_library(lua_State* lua) { return open_sandbox_library(lua); }

}  // namespace

Sandbox& Sandbox::of(lua_State* lua) { return **static_cast<Sandbox**>(lua_getextraspace(lua)); }
WorkBudget& Sandbox::budget(lua_State* lua) { return of(lua).budget_; }

void* Sandbox::allocate(void* context, void* block, size_t old_bytes, size_t new_bytes) {
  auto& self = *static_cast<Sandbox*>(context);
  if (block == nullptr) old_bytes = 0;  // then it tells the kind of object
  if (new_bytes == 0) {
    std::free(block);
    self.memory_used_ -= old_bytes;
    return nullptr;
  }
  if (new_bytes > old_bytes && self.memory_used_ + (new_bytes - old_bytes) > self.limits_.memory_bytes) return nullptr;
  void* moved = std::realloc(block, new_bytes);
  if (moved != nullptr) self.memory_used_ += new_bytes - old_bytes;
  return moved;
}

Result<std::unique_ptr<Sandbox>> Sandbox::create(const SandboxLimits& limits) {
  std::unique_ptr<Sandbox> sandbox(new Sandbox(limits));
  sandbox->state_ = lua_newstate(allocate, sandbox.get());
  if (sandbox->state_ == nullptr)
    return make_error(ErrorCode::kResourceExhausted, "the memory limit leaves no room for Lua itself");
  *static_cast<Sandbox**>(lua_getextraspace(sandbox->state_)) = sandbox.get();
  TRY(sandbox->call(open_library, nullptr));
  return sandbox;
}

Sandbox::~Sandbox() {
  if (state_ != nullptr) lua_close(state_);
}

void Sandbox::stop(lua_State* lua, const char* why) {
  Sandbox& self = of(lua);
  if (self.stopped_ == nullptr) self.stopped_ = why;
  // From now on every instruction raises the error again, so that no pcall can live with it.
  lua_sethook(lua, on_count, LUA_MASKCOUNT, 1);
  luaL_error(lua, "%s", self.stopped_);
  std::abort();  // luaL_error does not return
}

void Sandbox::charge(lua_State* lua, int64_t steps) {
  Sandbox& self = of(lua);
  self.budget_.steps -= steps;
  if (self.budget_.steps < 0) stop(lua, "the script takes too many instructions");
  if (std::chrono::steady_clock::now() > self.deadline_) stop(lua, "the script takes too long");
}

void Sandbox::on_count(lua_State* lua, lua_Debug*) { charge(lua, kCountEvery); }

Status Sandbox::call(int (*function)(lua_State*), void* context) {
  stopped_ = nullptr;
  budget_.steps = limits_.instructions_max;
  deadline_ = std::chrono::steady_clock::now() + limits_.timeout;
  lua_sethook(state_, on_count, LUA_MASKCOUNT, kCountEvery);
  lua_settop(state_, 0);
  // Neither needs memory beyond the stack's spare room.
  lua_pushcfunction(state_, function);
  lua_pushlightuserdata(state_, context);
  return outcome(lua_pcall(state_, 1, 0, 0));
}

Status Sandbox::outcome(int code) {
  if (code == LUA_OK) return {};
  std::string message = "an error that is no text";
  if (lua_type(state_, -1) == LUA_TSTRING) {
    size_t bytes = 0;
    const char* text = lua_tolstring(state_, -1, &bytes);
    message.assign(text, std::min<size_t>(bytes, 500));
  }
  lua_settop(state_, 0);
  if (stopped_ != nullptr) return make_error(ErrorCode::kResourceExhausted, stopped_);
  if (code == LUA_ERRMEM)
    return make_error(ErrorCode::kResourceExhausted, "the script needs more memory than it may have");
  return invalid_argument(std::move(message));
}

Result<std::string> Sandbox::compile(std::string_view source, std::string_view name) {
  struct Work {
    std::string_view source;
    std::string name;
    std::string code;
  } work{source, "@" + std::string(name), {}};
  const auto body = [](lua_State* lua) {
    auto* job = static_cast<Work*>(lua_touserdata(lua, 1));
    if (luaL_loadbufferx(lua, job->source.data(), job->source.size(), job->name.c_str(), "t") != LUA_OK)
      return lua_error(lua);
    lua_dump(lua, append_code, &job->code, 0);
    return 0;
  };
  TRY(call(body, &work));
  return std::move(work.code);
}

Status Sandbox::run(std::string_view code, std::string_view name) {
  struct Work {
    std::string_view code;
    std::string name;
  } work{code, "@" + std::string(name)};
  const auto body = [](lua_State* lua) {
    auto* job = static_cast<Work*>(lua_touserdata(lua, 1));
    if (luaL_loadbufferx(lua, job->code.data(), job->code.size(), job->name.c_str(), "b") != LUA_OK)
      return lua_error(lua);
    lua_call(lua, 0, 0);
    return 0;
  };
  return call(body, &work);
}

}  // namespace cove::plugins

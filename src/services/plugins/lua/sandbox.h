#pragma once
// A Lua 5.4 state that a script cannot get out of and cannot keep busy: memory limit, instruction limit, deadline. No
// io, os, require, load, debug, coroutines; no finalizers, which run without limits; the functions of string and table
// that may loop inside C count as instructions. One thread at a time.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "services/plugins/lua/pattern.h"

struct lua_Debug;
struct lua_State;

namespace cove::plugins {

struct SandboxLimits {
  size_t memory_bytes = size_t{16} << 20;
  int64_t instructions_max = 10'000'000;  // of one call
  std::chrono::milliseconds timeout{1000};
};

class Sandbox {
 public:
  // Errors: kResourceExhausted (not even the libraries fit).
  static Result<std::unique_ptr<Sandbox>> create(const SandboxLimits& limits);
  ~Sandbox();
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  // Compiles source text; the code can be run by any sandbox. Errors: kInvalidArgument "script.lua:3: ...".
  Result<std::string> compile(std::string_view source, std::string_view name);
  // Runs code of compile().
  Status run(std::string_view code, std::string_view name);

  // Calls `function` in protected mode with the limits set: pushes and results are its business. `context` comes back
  // as a light userdata at index 1. Errors: kInvalidArgument (the script's own), kResourceExhausted (a limit).
  Status call(int (*function)(lua_State*), void* context);
  lua_State* state() { return state_; }
  size_t memory_used() const { return memory_used_; }

  // For the functions that scripts call: counts `steps` as instructions; raises a Lua error when none are left.
  static void charge(lua_State* lua, int64_t steps);
  static WorkBudget& budget(lua_State* lua);
  [[noreturn]] static void stop(lua_State* lua, const char* why);

 private:
  explicit Sandbox(const SandboxLimits& limits) : limits_(limits) {}
  static Sandbox& of(lua_State* lua);
  static void* allocate(void* context, void* block, size_t old_bytes, size_t new_bytes);
  static void on_count(lua_State* lua, lua_Debug* event);
  Status outcome(int code);

  SandboxLimits limits_;
  lua_State* state_ = nullptr;
  size_t memory_used_ = 0;
  WorkBudget budget_;
  std::chrono::steady_clock::time_point deadline_;
  const char* stopped_ = nullptr;  // the limit that was met
};

// sandbox_library.cc: what a script finds in its globals.
int open_sandbox_library(lua_State* lua);

}  // namespace cove::plugins

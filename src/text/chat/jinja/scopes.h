#pragma once
// Guards of the interpreter's state while it descends. Included by interpreter.cc and evaluator.cc alone.

#include <string>
#include <utility>

#include "text/chat/jinja/interpreter.h"

namespace cove::text::jinja {

// Deepest value a template may build or be given: printing, comparing and freeing values recurse.
inline constexpr int kValueDepthMax = 200;

class Interpreter::ScopeGuard {
 public:
  explicit ScopeGuard(Interpreter& interpreter) : ScopeGuard(interpreter, interpreter.scope_) {}
  ScopeGuard(Interpreter& interpreter, Scope* parent) : interpreter_(interpreter), previous_(interpreter.scope_) {
    interpreter.scope_ = interpreter.acquire_scope(parent);
  }
  ~ScopeGuard() {
    interpreter_.release_scope(interpreter_.scope_);
    interpreter_.scope_ = previous_;
  }
  ScopeGuard(const ScopeGuard&) = delete;
  ScopeGuard& operator=(const ScopeGuard&) = delete;

 private:
  Interpreter& interpreter_;
  Scope* previous_;
};

class Interpreter::CaptureGuard {
 public:
  explicit CaptureGuard(Interpreter& interpreter) : interpreter_(interpreter), previous_(interpreter.out_) {
    interpreter.captured_bytes_ += previous_->size();
    interpreter.out_ = &text_;
  }
  ~CaptureGuard() {
    interpreter_.out_ = previous_;
    interpreter_.captured_bytes_ -= previous_->size();
  }
  CaptureGuard(const CaptureGuard&) = delete;
  CaptureGuard& operator=(const CaptureGuard&) = delete;
  std::string take() { return std::move(text_); }

 private:
  Interpreter& interpreter_;
  std::string* previous_;
  std::string text_;
};

class Interpreter::DepthGuard {
 public:
  explicit DepthGuard(int& depth) : depth_(depth) { ++depth_; }
  ~DepthGuard() { --depth_; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  int& depth_;
};

}  // namespace cove::text::jinja

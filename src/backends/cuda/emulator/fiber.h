#pragma once
// A stack and where to go on: how the emulator runs the threads of a block as coroutines of one thread. For tests.

#include <cstddef>
#include <cstdint>
#include <memory>

namespace cove::cuda::emulated {

class Fiber {
 public:
  using Entry = void (*)(void* argument);

  explicit Fiber(size_t stack_bytes);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // The next resume() begins entry(argument) on this stack. entry must end by suspending for good, never by returning.
  void prepare(Entry entry, void* argument);
  void resume();   // from outside: runs it until it suspends
  void suspend();  // from inside: back to who resumed it

 private:
  struct Platform;
  std::byte* stack_;
  size_t stack_bytes_;
  std::unique_ptr<Platform> platform_;
};

}  // namespace cove::cuda::emulated

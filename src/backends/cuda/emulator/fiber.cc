#include "backends/cuda/emulator/fiber.h"

#include <sys/mman.h>
#include <ucontext.h>

#include "base/check.h"

namespace cove::cuda::emulated {

#if defined(__x86_64__)

// Saves what the System V ABI says a call keeps, swaps stack pointers, and returns on the other stack. Two orders of
// magnitude faster than swapcontext, which asks the kernel about signals each time.
extern "C" void cove_fiber_switch(void** save, void* load);
__asm__(R"(
.text
.globl cove_fiber_switch
.type cove_fiber_switch, @function
cove_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  retq
.size cove_fiber_switch, .-cove_fiber_switch
.globl cove_fiber_start
.type cove_fiber_start, @function
cove_fiber_start:
  movq %r13, %rdi
  callq *%r12
  ud2
.size cove_fiber_start, .-cove_fiber_start
)");
extern "C" void cove_fiber_start();

struct Fiber::Platform {
  void* inside = nullptr;
  void* outside = nullptr;
};

void Fiber::prepare(Entry entry, void* argument) {
  auto** top = reinterpret_cast<void**>(stack_ + stack_bytes_);
  *--top = nullptr;  // keeps the stack aligned at the call, and ends back traces
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(&cove_fiber_start);
  *--top = nullptr;                         // rbp
  *--top = nullptr;                         // rbx
  *--top = reinterpret_cast<void*>(entry);  // r12
  *--top = argument;                        // r13
  *--top = nullptr;                         // r14
  *--top = nullptr;                         // r15
  platform_->inside = top;
}
void Fiber::resume() { cove_fiber_switch(&platform_->outside, platform_->inside); }
void Fiber::suspend() { cove_fiber_switch(&platform_->inside, platform_->outside); }

#else

struct Fiber::Platform {
  ucontext_t inside;
  ucontext_t outside;
  Entry entry = nullptr;
  void* argument = nullptr;
};

namespace {
void start(unsigned high, unsigned low) {
  auto* pair = reinterpret_cast<void**>((static_cast<uintptr_t>(high) << 32) | low);
  reinterpret_cast<Fiber::Entry>(pair[0])(pair[1]);
}
}  // namespace

void Fiber::prepare(Entry entry, void* argument) {
  auto** pair = reinterpret_cast<void**>(stack_ + stack_bytes_ - 2 * sizeof(void*));
  pair[0] = reinterpret_cast<void*>(entry);
  pair[1] = argument;
  getcontext(&platform_->inside);
  platform_->inside.uc_stack.ss_sp = stack_;
  platform_->inside.uc_stack.ss_size = stack_bytes_ - 64;
  platform_->inside.uc_link = nullptr;
  const auto address = reinterpret_cast<uintptr_t>(pair);
  makecontext(&platform_->inside, reinterpret_cast<void (*)()>(&start), 2, static_cast<unsigned>(address >> 32),
              static_cast<unsigned>(address));
}
void Fiber::resume() { swapcontext(&platform_->outside, &platform_->inside); }
void Fiber::suspend() { swapcontext(&platform_->inside, &platform_->outside); }

#endif

Fiber::Fiber(size_t stack_bytes) : stack_bytes_(stack_bytes), platform_(std::make_unique<Platform>()) {
  void* memory = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  COVE_CHECK(memory != MAP_FAILED);
  stack_ = static_cast<std::byte*>(memory);
}

Fiber::~Fiber() { munmap(stack_, stack_bytes_); }

}  // namespace cove::cuda::emulated

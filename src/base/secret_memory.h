#pragma once
// Memory for what must not leave the process: decrypted weights. Anonymous pages that stay out of core dumps and, where
// the limit on locked memory allows it, out of swap; wiped when released or destroyed. Used by tensor/io and, through
// FileBytes, by everything that reads a model.

#include <cstddef>
#include <span>

#include "base/result.h"

namespace cove {

class SecretMemory {
 public:
  // Zeroed. Errors: kFailedPrecondition when the machine has not that much memory available.
  static Result<SecretMemory> allocate(size_t bytes);
  SecretMemory() = default;
  SecretMemory(SecretMemory&& other) noexcept;
  SecretMemory& operator=(SecretMemory&& other) noexcept;
  SecretMemory(const SecretMemory&) = delete;
  SecretMemory& operator=(const SecretMemory&) = delete;
  ~SecretMemory();

  std::span<std::byte> bytes() const { return {data_, size_}; }
  // Locked into memory, so that it cannot be swapped out. Pages are locked as they are first written.
  bool locked() const { return locked_; }
  // Wipes a part that nobody reads any more and gives its whole pages back to the system.
  void release(std::span<const std::byte> part) const;

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  bool locked_ = false;
};

// Overwrites memory in a way that the compiler keeps.
void wipe(std::span<std::byte> bytes);

// True when this machine may swap memory out, so that unlocked secrets could reach a disk.
bool has_swap();

// From now on a crash writes no memory of this process into a core dump, whatever collects those.
void keep_out_of_core_dumps();

}  // namespace cove

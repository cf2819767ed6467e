// SPDX-License-Identifier: MIT
#pragma once
#include "core/memory.hpp"
#ifdef __linux__
#include <sys/mman.h>
#endif

namespace pydarts {

// Memory of one kind of number, not initialised; grows, never shrinks. Our own stands on a page boundary, a caller's on
// a cache line.
template <class T>
class Buffer {
 public:
  explicit Buffer(const MemoryHooks& hooks = {}) : hooks_(hooks) {}
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { clear(); }

  void reserve(std::size_t size) {
    if (size <= size_) return;
    clear();  // first free, then allocate: the peak is what is needed, not the sum
    data_ = static_cast<T*>(hooks_.take(size * sizeof(T), alignment()));
    size_ = size;
#ifdef __linux__
    // Passes run through all of it again and again, beyond what small pages' translations cover. A refusal is no error.
    if (!hooks_.given() && size * sizeof(T) >= kLargePage) (void)madvise(data_, size * sizeof(T), MADV_HUGEPAGE);
#endif
  }
  void clear() {
    if (data_) hooks_.give_back(data_, size_ * sizeof(T), alignment());
    data_ = nullptr;
    size_ = 0;
  }
  T* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  static constexpr std::size_t kLargePage = std::size_t(1) << 21;
  std::size_t alignment() const { return hooks_.given() ? kCacheLine : kLargePage; }

  MemoryHooks hooks_;
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace pydarts

// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <memory>
#include <new>
#ifdef __linux__
#include <sys/mman.h>
#endif

namespace pydarts {

// Memory of one kind of number on a page boundary, not initialised; grows, never shrinks.
template <class T>
class Buffer {
 public:
  void reserve(std::size_t size) {
    if (size <= size_) return;
    data_.reset();  // first free, then allocate: the peak is what is needed, not the sum
    size_ = 0;
    data_.reset(static_cast<T*>(::operator new(size * sizeof(T), std::align_val_t(kAlign))));
    size_ = size;
#ifdef __linux__
    // Passes run through all of it again and again, beyond what small pages' translations cover. A refusal is no error.
    if (size * sizeof(T) >= kAlign) (void)madvise(data_.get(), size * sizeof(T), MADV_HUGEPAGE);
#endif
  }
  T* data() const { return data_.get(); }
  std::size_t size() const { return size_; }

 private:
  static constexpr std::size_t kAlign = std::size_t(1) << 21;  // a large page
  struct Free {
    void operator()(T* p) const { ::operator delete(p, std::align_val_t(kAlign)); }
  };
  std::unique_ptr<T, Free> data_;
  std::size_t size_ = 0;
};

}  // namespace pydarts

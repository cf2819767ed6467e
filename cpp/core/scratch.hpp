// SPDX-License-Identifier: MIT
#pragma once
#include <cassert>
#include <cstddef>

#include "core/inline.hpp"

namespace pydarts {

// Cuts pieces off a thread's scratch, each on a cache line. The same code says how much there must be and where each
// piece stands: without memory it only counts.
template <class T>
class Scratch {
 public:
  PYDARTS_INLINE Scratch() = default;
  PYDARTS_INLINE Scratch(T* data, std::size_t size) : data_(data), size_(size) {}

  PYDARTS_INLINE T* take(std::size_t elements) {
    T* piece = data_ ? data_ + taken_ : nullptr;
    taken_ += (elements + kStep - 1) / kStep * kStep;
    assert(!data_ || taken_ <= size_);
    return piece;
  }
  // The same of a piece.
  PYDARTS_INLINE Scratch part(std::size_t elements) {
    T* piece = take(elements);
    return piece ? Scratch(piece, elements) : Scratch();
  }
  PYDARTS_INLINE std::size_t taken() const { return taken_; }

 private:
  static constexpr std::size_t kStep = 64 / sizeof(T);

  T* data_ = nullptr;
  std::size_t size_ = 0, taken_ = 0;
};

}  // namespace pydarts

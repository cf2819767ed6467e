// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <vector>

namespace pydarts {

// From time `birth` to time `death`, both included.
struct Lifetime {
  int birth, death;
};

// Places buffers of known size and lifetime into one arena, before anything runs.
class Planner {
 public:
  // A buffer of `size` elements that holds something during `lifetime`.
  int add(std::size_t size, Lifetime lifetime);

  // Chooses the offsets: largest first, each at the lowest place where no live buffer stands.
  void solve();

  std::size_t offset(int buffer) const { return buffers_[buffer].offset; }
  std::size_t arena_size() const { return arena_size_; }

 private:
  struct Buffer {
    std::size_t size;
    Lifetime lifetime;
    std::size_t offset;
  };
  std::vector<Buffer> buffers_;
  std::size_t arena_size_ = 0;
};

}  // namespace pydarts

// SPDX-License-Identifier: MIT
#include "core/planner.hpp"

#include <algorithm>
#include <numeric>

namespace pydarts {
namespace {

bool overlap(const Lifetime& a, const Lifetime& b) { return a.birth <= b.death && b.birth <= a.death; }

}  // namespace

int Planner::add(std::size_t size, Lifetime lifetime) {
  constexpr std::size_t kAlign = 16;  // elements: at least one cache line of float32
  // Planes of 32 x 32 pixels are whole pages long; without a shift all buffers would compete for one cache set.
  constexpr std::size_t kShift = 9 * kAlign;
  size = (size + kAlign - 1) / kAlign * kAlign + kShift;
  buffers_.push_back({size, lifetime, 0});
  return static_cast<int>(buffers_.size()) - 1;
}

void Planner::solve() {
  std::vector<int> order(buffers_.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return buffers_[a].size > buffers_[b].size; });
  std::vector<int> placed;  // by offset
  for (int index : order) {
    Buffer& buffer = buffers_[index];
    std::size_t place = 0;
    for (int other_index : placed) {
      const Buffer& other = buffers_[other_index];
      if (!overlap(other.lifetime, buffer.lifetime)) continue;
      if (other.offset >= place + buffer.size) break;
      place = std::max(place, other.offset + other.size);
    }
    buffer.offset = place;
    placed.insert(std::upper_bound(placed.begin(), placed.end(), index,
                                   [&](int a, int b) { return buffers_[a].offset < buffers_[b].offset; }),
                  index);
    arena_size_ = std::max(arena_size_, place + buffer.size);
  }
}

}  // namespace pydarts

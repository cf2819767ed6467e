// SPDX-License-Identifier: MIT
#include "core/planner.hpp"

#include <algorithm>
#include <numeric>

namespace pydarts {
namespace {

struct Interval {
  std::size_t begin, end;
};

// The places of an arena that are taken, in order: no two of these intervals touch.
struct Taken {
  Interval* intervals;
  std::size_t count;

  void add(Interval added) {
    Interval* const end = intervals + count;
    Interval* const first =
        std::lower_bound(intervals, end, added.begin, [](const Interval& i, std::size_t at) { return i.end < at; });
    Interval* last = first;  // behind those that the new one joins
    for (; last != end && last->begin <= added.end; ++last) {
      added.begin = std::min(added.begin, last->begin);
      added.end = std::max(added.end, last->end);
    }
    if (first == last)
      std::copy_backward(first, end, end + 1);
    else
      std::copy(last, end, first + 1);
    *first = added;
    count += 1 - std::size_t(last - first);
  }
  // Where the first interval that stands in the way of [place, place + size) ends; `place` if none does.
  std::size_t behind(std::size_t place, std::size_t size) const {
    const Interval* const end = intervals + count;
    const Interval* const next = std::upper_bound<const Interval*>(
        intervals, end, place, [](std::size_t at, const Interval& i) { return at < i.end; });
    return next != end && next->begin < place + size ? next->end : place;
  }
};

// What is taken at which time: a binary tree over the times, so that a lifetime is a few of its nodes and the time of
// planning grows little faster than the number of buffers.
class Occupancy {
 public:
  // What is allocated depends on the lifetimes alone, not on sizes.
  explicit Occupancy(const std::vector<Lifetime>& lifetimes) {
    for (const Lifetime& lifetime : lifetimes) times_ = std::max(times_, lifetime.death + 1);
    nodes_.resize(4 * std::size_t(times_));
    std::size_t most = 0, total = 0;
    for (const Lifetime& lifetime : lifetimes) {
      std::size_t visited = 0;
      visit(lifetime, [&](Node& node, bool whole) {
        ++node.within.count;
        if (whole) ++node.throughout.count;
        ++visited;
      });
      most = std::max(most, visited);
    }
    for (const Node& node : nodes_) total += node.within.count + node.throughout.count;
    intervals_.resize(total);
    ways_.reserve(most);
    Interval* free = intervals_.data();
    for (Node& node : nodes_)
      for (Taken* taken : {&node.within, &node.throughout}) {
        taken->intervals = free;
        free += taken->count;
        taken->count = 0;
      }
  }
  void add(const Interval& interval, const Lifetime& lifetime) {
    visit(lifetime, [&](Node& node, bool whole) {
      node.within.add(interval);
      if (whole) node.throughout.add(interval);
    });
  }
  // The lowest place for `size` elements that is free during the whole lifetime.
  std::size_t lowest(std::size_t size, const Lifetime& lifetime) {
    ways_.clear();
    visit(lifetime, [&](const Node& node, bool whole) {
      const Taken& taken = whole ? node.within : node.throughout;
      if (taken.count > 0) ways_.push_back(&taken);
    });
    std::size_t place = 0;
    for (bool moved = true; moved;) {
      moved = false;
      for (const Taken* taken : ways_)
        for (std::size_t next; (next = taken->behind(place, size)) != place; place = next) moved = true;
    }
    return place;
  }

 private:
  struct Node {
    Taken within;      // at any of its times
    Taken throughout;  // at all of them, by those whose lifetime is not all of its parent's times as well
  };

  // f(node, whether all of its times are within the lifetime) of the largest nodes that are, and of those above them.
  template <class F>
  void visit(const Lifetime& lifetime, const F& f) {
    visit(lifetime, 0, 0, times_, f);
  }
  template <class F>
  void visit(const Lifetime& lifetime, std::size_t node, int first, int last, const F& f) {
    if (lifetime.death < first || last <= lifetime.birth) return;
    const bool whole = lifetime.birth <= first && last <= lifetime.death + 1;
    f(nodes_[node], whole);
    if (whole) return;
    const int middle = first + (last - first) / 2;
    visit(lifetime, 2 * node + 1, first, middle, f);
    visit(lifetime, 2 * node + 2, middle, last, f);
  }

  int times_ = 1;
  std::vector<Node> nodes_;
  std::vector<Interval> intervals_;
  std::vector<const Taken*> ways_;  // of one search
};

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
  std::vector<Lifetime> lifetimes;
  lifetimes.reserve(buffers_.size());
  for (const Buffer& buffer : buffers_) lifetimes.push_back(buffer.lifetime);
  Occupancy occupancy(lifetimes);
  for (int index : order) {
    Buffer& buffer = buffers_[index];
    buffer.offset = occupancy.lowest(buffer.size, buffer.lifetime);
    occupancy.add({buffer.offset, buffer.offset + buffer.size}, buffer.lifetime);
    arena_size_ = std::max(arena_size_, buffer.offset + buffer.size);
  }
}

}  // namespace pydarts

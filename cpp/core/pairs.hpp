// SPDX-License-Identifier: MIT
// Sums by pairs, ((x0 + x1) + (x2 + x3)) + ...: along a tree that the number of summands alone determines, so that they
// are the same whoever adds which part of them.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace pydarts {

constexpr int kPairLevels = 8;  // of a tree: 2^7 leaves at most

// A part of the tree: the leaves first, first + 1, ..., as many as there are of 2^level.
struct PairNode {
  int first, level;
};

// The largest parts that the leaves first..last-1 of `count` make.
inline std::vector<PairNode> pair_nodes(int first, int last, int count) {
  std::vector<PairNode> nodes;
  while (first < last) {
    int level = 0;
    const auto fits = [&](int size) { return first % size == 0 && (first + size <= last || last == count); };
    while ((1 << level) < count && fits(2 << level)) ++level;
    nodes.push_back({first, level});
    first += 1 << level;
  }
  return nodes;
}

// out = the sum of `count` arrays of `size` elements; of array i, at(i) is the first. They are leaves from one on that
// is a multiple of their number's next power of two, or, with `levels`, parts of whole trees. `out` may be one of them.
template <std::size_t kPiece = 256, class T, class At>
void add_by_pairs(T* out, std::size_t size, int count, const std::uint8_t* levels, At at) {
  T sums[kPairLevels + 1][kPiece];  // of parts that wait for their partners
  int waiting[kPairLevels + 1];
  const auto add_piece = [&](std::size_t begin, auto here) {
    int top = 0;
    for (int i = 0; i < count;) {
      T* to = sums[top];
      const T* a = at(i) + begin;
      int level = levels ? levels[i] : 0;
      if (!levels && i + 7 < count) {
        const T *b = at(i + 1) + begin, *c = at(i + 2) + begin, *d = at(i + 3) + begin, *e = at(i + 4) + begin;
        const T *f = at(i + 5) + begin, *g = at(i + 6) + begin, *h = at(i + 7) + begin;
        for (std::size_t j = 0; j < here; ++j)
          to[j] = ((a[j] + b[j]) + (c[j] + d[j])) + ((e[j] + f[j]) + (g[j] + h[j]));
        level = 3;
        i += 8;
      } else {
        std::copy_n(a, std::size_t(here), to);
        ++i;
      }
      for (; top > 0 && waiting[top - 1] == level; --top, ++level)
        for (std::size_t j = 0; j < here; ++j) sums[top - 1][j] += sums[top][j];
      waiting[top++] = level;
    }
    for (; top > 1; --top)
      for (std::size_t j = 0; j < here; ++j) sums[top - 2][j] += sums[top - 1][j];
    if (count > 0) std::copy_n(sums[0], std::size_t(here), out + begin);
  };
  std::size_t begin = 0;  // a whole piece's length is known to the compiler
  for (; begin + kPiece <= size; begin += kPiece) add_piece(begin, std::integral_constant<std::size_t, kPiece>{});
  if (begin < size) add_piece(begin, size - begin);
}

}  // namespace pydarts

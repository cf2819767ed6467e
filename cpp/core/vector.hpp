// SPDX-License-Identifier: MIT
// Flat vectors, in pieces of fixed size: the same sums for any number of threads.
#pragma once
#include <algorithm>
#include <cstddef>
#include <vector>

#include "core/parallel.hpp"

namespace pydarts {

constexpr std::size_t kPiece = std::size_t(1) << 15;

// body(first, last) over pieces of 0..size-1
template <class Body>
void for_pieces(int threads, std::size_t size, Body body) {
  const int pieces = int((size + kPiece - 1) / kPiece);
  parallel_for(threads, pieces, [&](int piece, int) { body(piece * kPiece, std::min(size, (piece + 1) * kPiece)); });
}

template <class T>
double squared_norm(int threads, const T* v, std::size_t size) {
  std::vector<double> parts((size + kPiece - 1) / kPiece, 0);
  for_pieces(threads, size, [&](std::size_t first, std::size_t last) {
    double total = 0;
    for (std::size_t i = first; i < last; ++i) total += double(v[i]) * double(v[i]);
    parts[first / kPiece] = total;
  });
  double total = 0;
  for (double part : parts) total += part;
  return total;
}

// to += weight (from - to)
template <class T>
void blend(int threads, T* to, const T* from, std::size_t size, double weight) {
  for_pieces(threads, size, [&](std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) to[i] += T(weight) * (from[i] - to[i]);
  });
}

}  // namespace pydarts

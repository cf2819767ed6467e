// SPDX-License-Identifier: MIT
// Flat vectors, in pieces of fixed size: the same sums for any number of threads.
#pragma once
#include <algorithm>
#include <cstddef>

#include "core/parallel.hpp"

namespace pydarts {

constexpr std::size_t kVectorPiece = std::size_t(1) << 15;

// body(first, last) over pieces of 0..size-1
template <class Body>
void for_pieces(const Threads& threads, std::size_t size, Body body) {
  const int pieces = int((size + kVectorPiece - 1) / kVectorPiece);
  parallel_for(threads, pieces,
               [&](int piece, int) { body(piece * kVectorPiece, std::min(size, (piece + 1) * kVectorPiece)); });
}

template <class T>
double squared_norm(const Threads& threads, const T* v, std::size_t size) {
  constexpr std::size_t kParts = 256;  // at a time: they fit the stack
  double parts[kParts], total = 0;
  for (std::size_t begin = 0; begin < size; begin += kParts * kVectorPiece) {
    const std::size_t here = std::min(kParts * kVectorPiece, size - begin);
    for_pieces(threads, here, [&](std::size_t first, std::size_t last) {
      double part = 0;
      for (std::size_t i = begin + first; i < begin + last; ++i) part += double(v[i]) * double(v[i]);
      parts[first / kVectorPiece] = part;
    });
    for (std::size_t i = 0; i * kVectorPiece < here; ++i) total += parts[i];
  }
  return total;
}

// to += weight (from - to)
template <class T>
void blend(const Threads& threads, T* to, const T* from, std::size_t size, double weight) {
  for_pieces(threads, size, [&](std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) to[i] += T(weight) * (from[i] - to[i]);
  });
}

}  // namespace pydarts

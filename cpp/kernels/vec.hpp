// SPDX-License-Identifier: MIT
// N numbers as one value, in the namespace of the instruction set that the file is compiled for.
// Made of native vectors of PYDARTS_VECTOR_BYTES (compiler vector types; plain scalars where there are none).
#pragma once
#include <utility>

#include "kernels/compiler.hpp"
#include "kernels/kernels.hpp"

namespace pydarts {
namespace PYDARTS_ISA {

// Calls f(0), ..., f(N - 1) with compile-time arguments: unrolled before registers are assigned.
template <int I>
struct Index {
  static constexpr int value = I;
  constexpr operator int() const { return I; }
};
template <class F, int... I>
static PYDARTS_INLINE void unroll_each(F&& f, std::integer_sequence<int, I...>) {
  (f(Index<I>{}), ...);
}
template <int N, class F>
static PYDARTS_INLINE void unroll(F&& f) {
  unroll_each(f, std::make_integer_sequence<int, N>{});
}

template <class T>
struct Whole;  // the unsigned integer as wide as T: the bits of a NaN may overflow
template <>
struct Whole<float> {
  typedef std::uint32_t Type;
};
template <>
struct Whole<double> {
  typedef std::uint64_t Type;
};

#if PYDARTS_VECTOR_BYTES == 64
typedef float Half __attribute__((vector_size(32)));
typedef float Full __attribute__((vector_size(64)));

// A vector of 16 floats and its halves: two blocks of channels.
static PYDARTS_INLINE Full join(Half low, Half high) {
  return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
}
template <int At>
static PYDARTS_INLINE Half half(Full v, Index<At>) {
  if constexpr (At == 0)
    return _mm512_castps512_ps256(v);
  else
    return _mm512_extractf32x8_ps(v, 1);
}
// The second half of `a` and the first of `b`.
static PYDARTS_INLINE Full between(Full a, Full b) {
  return _mm512_castsi512_ps(_mm512_alignr_epi64(_mm512_castps_si512(b), _mm512_castps_si512(a), 4));
}
// Lane k of each half, all over that half.
template <int k>
static PYDARTS_INLINE Full lane_of_halves(Full v) {
  constexpr int m = k + 8;
  return _mm512_permutexvar_ps(_mm512_setr_epi32(k, k, k, k, k, k, k, k, m, m, m, m, m, m, m, m), v);
}
// The first halves of two vectors, and the second ones.
static PYDARTS_INLINE Full halves(Full a, Full b, Index<0>) { return join(half(a, Index<0>{}), half(b, Index<0>{})); }
static PYDARTS_INLINE Full halves(Full a, Full b, Index<1>) { return _mm512_shuffle_f32x4(a, b, 0xee); }
// Written past the caches: for what is read again only when it would have left them.
static PYDARTS_INLINE void stream(float* p, Full v) { _mm512_stream_ps(p, v); }
static PYDARTS_INLINE void finish_streams() { _mm_sfence(); }
#endif

template <class T, int N>
struct Lanes {
  static constexpr int kBytes = PYDARTS_VECTOR_BYTES < int(N * sizeof(T)) ? PYDARTS_VECTOR_BYTES : int(N * sizeof(T));
#if defined(__GNUC__) || defined(__clang__)
  typedef T Native __attribute__((vector_size(kBytes)));
  typedef T Unaligned __attribute__((vector_size(kBytes), aligned(sizeof(T)), may_alias));
  typedef typename Whole<T>::Type NativeWhole __attribute__((vector_size(kBytes)));
  static constexpr int kPer = kBytes / int(sizeof(T));
#else
  typedef T Native;
  typedef T Unaligned;
  typedef typename Whole<T>::Type NativeWhole;
  static constexpr int kPer = 1;
#endif
  static constexpr int kParts = N / kPer;
  Native part[kParts];

  static PYDARTS_INLINE Lanes load(const T* p) {
    Lanes v;
    for (int i = 0; i < kParts; ++i) v.part[i] = *reinterpret_cast<const Unaligned*>(p + i * kPer);
    return v;
  }
  // Blocks of kLanes that lie `distance` apart.
  static PYDARTS_INLINE Lanes load_blocks(const T* p, std::size_t distance) {
    Lanes v;
    if constexpr (kPer > kLanes) {
      for (int i = 0; i < kParts; ++i)
        v.part[i] = join(Lanes<T, kLanes>::load(p + 2 * i * distance).part[0],
                         Lanes<T, kLanes>::load(p + (2 * i + 1) * distance).part[0]);
    } else {
      for (int i = 0; i < kParts; ++i)
        v.part[i] = *reinterpret_cast<const Unaligned*>(p + i * kPer / kLanes * distance + i * kPer % kLanes);
    }
    return v;
  }
  static PYDARTS_INLINE Lanes fill(T value) {
    Lanes v;
    for (int i = 0; i < kParts; ++i) v.part[i] = value - Native{};
    return v;
  }
  static PYDARTS_INLINE Lanes zero() {
    Lanes v;
    for (int i = 0; i < kParts; ++i) v.part[i] = Native{};
    return v;
  }
  PYDARTS_INLINE void store(T* p) const {
    for (int i = 0; i < kParts; ++i) *reinterpret_cast<Unaligned*>(p + i * kPer) = part[i];
  }
  PYDARTS_INLINE void add_product(const Lanes& a, const Lanes& b) {
    for (int i = 0; i < kParts; ++i) part[i] += a.part[i] * b.part[i];
  }
  PYDARTS_INLINE void add_product(T a, const Lanes& b) {
    for (int i = 0; i < kParts; ++i) part[i] += a * b.part[i];
  }
  friend PYDARTS_INLINE Lanes operator+(const Lanes& a, const Lanes& b) {
    Lanes v;
    for (int i = 0; i < kParts; ++i) v.part[i] = a.part[i] + b.part[i];
    return v;
  }
  friend PYDARTS_INLINE Lanes operator-(const Lanes& a, const Lanes& b) {
    Lanes v;
    for (int i = 0; i < kParts; ++i) v.part[i] = a.part[i] - b.part[i];
    return v;
  }
  friend PYDARTS_INLINE Lanes operator*(const Lanes& a, const Lanes& b) {
    Lanes v;
    for (int i = 0; i < kParts; ++i) v.part[i] = a.part[i] * b.part[i];
    return v;
  }
  static PYDARTS_INLINE Lanes max(const Lanes& a, const Lanes& b) {  // of numbers
    Lanes v;
    for (int i = 0; i < kParts; ++i) v.part[i] = a.part[i] > b.part[i] ? a.part[i] : b.part[i];
    return v;
  }
  static PYDARTS_INLINE Lanes max_or_nan(const Lanes& a, const Lanes& b) {  // NaN if one of them is
    Lanes v = max(a, b);                                                    // b's stays there
    for (int i = 0; i < kParts; ++i) v.part[i] = a.part[i] == a.part[i] ? v.part[i] : a.part[i];
    return v;
  }
  PYDARTS_INLINE Lanes relu() const {
    Lanes v;
    for (int i = 0; i < kParts; ++i) v.part[i] = Native{} > part[i] ? Native{} : part[i];  // NaN stays NaN
    return v;
  }
  // value where x > 0 or NaN, else 0
  static PYDARTS_INLINE Lanes where_positive(const Lanes& x, const Lanes& value) {
    Lanes v;
    for (int i = 0; i < kParts; ++i) v.part[i] = x.part[i] <= Native{} ? Native{} : value.part[i];
    return v;
  }
  // value where x is the maximum y of some numbers that x is one of, or where there is a NaN; else 0
  static PYDARTS_INLINE Lanes where_maximum(const Lanes& x, const Lanes& y, const Lanes& value) {
    Lanes v;
    for (int i = 0; i < kParts; ++i) v.part[i] = x.part[i] < y.part[i] ? Native{} : value.part[i];
    return v;
  }
  PYDARTS_INLINE void add_to(double* sums) const {
    T lanes[N];
    store(lanes);
    for (int i = 0; i < N; ++i) sums[i] += double(lanes[i]);
  }
  // Lanes [At * kLanes, (At + 1) * kLanes).
  template <int At>
  PYDARTS_INLINE Lanes<T, kLanes> block() const {
    if constexpr (N == kLanes) {
      return *this;
    } else {
      Lanes<T, kLanes> v;
      if constexpr (kPer > kLanes) {
        v.part[0] = half(part[At / 2], Index<At % 2>{});
      } else {
        for (int i = 0; i < v.kParts; ++i) v.part[i] = part[At * v.kParts + i];
      }
      return v;
    }
  }
};

// kLanes channels of a pixel.
template <class T>
using Vec = Lanes<T, kLanes>;

// Pixels whose channels one native vector holds: 1, or 2 where it is wider than a block.
template <class T>
constexpr int kPixels = PYDARTS_VECTOR_BYTES >= 2 * kLanes * int(sizeof(T)) ? 2 : 1;

// kLanes channels of kPixels neighbouring pixels.
template <class T>
using Pixels = Lanes<T, kPixels<T> * kLanes>;

// The same channels for every pixel.
template <class T>
static PYDARTS_INLINE Pixels<T> repeated(const Vec<T>& channels) {
  if constexpr (kPixels<T> == 1) {
    return channels;
  } else {
    Pixels<T> v;
    v.part[0] = join(channels.part[0], channels.part[0]);
    return v;
  }
}

// One pixel beside zeros.
template <class T>
static PYDARTS_INLINE Pixels<T> alone(const Vec<T>& channels) {
  if constexpr (kPixels<T> == 1) {
    return channels;
  } else {
    Pixels<T> v;
    v.part[0] = join(channels.part[0], Vec<T>::zero().part[0]);
    return v;
  }
}

// Count pixels, 1 or kPixels.
template <class T, int Count>
static PYDARTS_INLINE Pixels<T> load_pixels(const T* p) {
  if constexpr (Count == kPixels<T>)
    return Pixels<T>::load(p);
  else
    return alone<T>(Vec<T>::load(p));
}

// Each channel's sum over the pixels.
template <class T>
static PYDARTS_INLINE Vec<T> folded(const Pixels<T>& v) {
  if constexpr (kPixels<T> == 1)
    return v;
  else
    return v.template block<0>() + v.template block<1>();
}

// What is known of each channel, in the width of one pixel and of kPixels.
template <class T>
struct PerChannel {
  Pixels<T> all;
  PYDARTS_INLINE PerChannel() = default;
  PYDARTS_INLINE PerChannel(const Vec<T>& channels) : all(repeated<T>(channels)) {}
  template <int Count>
  PYDARTS_INLINE Lanes<T, Count * kLanes> of() const {
    if constexpr (Count == kPixels<T>)
      return all;
    else
      return all.template block<0>();
  }
};

// Calls f(Index<pixels of a vector>, first pixel) over `count` pixels; what is left over goes one by one.
template <class T, class F>
static PYDARTS_INLINE void for_pixels(int count, F&& f) {
  int p = 0;
  for (; p + kPixels<T> <= count; p += kPixels<T>) f(Index<kPixels<T>>{}, p);
  if constexpr (kPixels<T> > 1)
    if (p < count) f(Index<1>{}, p);
}

// Numbers of a line of the cache.
template <class T>
constexpr int kLine = 64 / int(sizeof(T));

}  // namespace PYDARTS_ISA
}  // namespace pydarts

// SPDX-License-Identifier: MIT
// N numbers as one value. Included once per instruction set, inside its namespace.
// Made of native vectors of PYDARTS_VECTOR_BYTES (compiler vector types; plain scalars where there are none).

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
};

// kLanes channels.
template <class T>
using Vec = Lanes<T, kLanes>;

// Numbers of a line of the cache.
template <class T>
constexpr int kLine = 64 / int(sizeof(T));

// Calls f(0), ..., f(N - 1) with compile-time arguments: unrolled before registers are assigned.
template <int I>
struct Index {
  static constexpr int value = I;
  constexpr operator int() const { return I; }
};
template <int N, int I = 0, class F>
PYDARTS_INLINE void unroll(F&& f) {
  if constexpr (I < N) {
    f(Index<I>{});
    unroll<N, I + 1>(f);
  }
}

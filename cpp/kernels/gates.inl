// SPDX-License-Identifier: MIT
// The recurrent cell's gates and batch normalisation, one block of kUnits hidden units at a time.

// e^x for x <= 0: x = n ln 2 + r, e^r by its Taylor series, 2^n by the exponent's bits.
template <class T, int N>
static PYDARTS_INLINE Lanes<T, N> exp_negative(const Lanes<T, N>& x) {
  using V = Lanes<T, N>;
  using Native = typename V::Native;
  using Int = typename V::NativeWhole;
  constexpr bool kSingle = sizeof(T) == 4;
  constexpr T kLeast = kSingle ? T(-87) : T(-708);
  constexpr T kMagic = kSingle ? T(12582912.0) : T(6755399441055744.0);  // 1.5 * 2^mantissa: rounds to an integer
  constexpr T kHigh = kSingle ? T(0.693359375) : T(6.93147180369123816490e-01);  // of ln 2: n * kHigh is exact
  constexpr T kLow = kSingle ? T(-2.12194440e-4) : T(1.90821492927058770002e-10);
  constexpr int kMantissa = kSingle ? 23 : 52, kDegree = kSingle ? 7 : 13;
  V result;
  for (int i = 0; i < V::kParts; ++i) {
    const Native least = kLeast - Native{};
    const Native value = x.part[i] < least ? least : x.part[i];  // NaN stays NaN
    const Native shifted = value * T(1.44269504088896340736) + kMagic;
    const Native n = shifted - kMagic;
    const Native r = (value - n * kHigh) - n * kLow;
    T factor = 1;
    for (int k = 2; k <= kDegree; ++k) factor *= k;
    Native sum = T(1) / factor - Native{};
    for (int k = kDegree; k >= 1; --k) {
      factor /= k;
      sum = sum * r + T(1) / factor;
    }
    Int bits;
    __builtin_memcpy(&bits, &shifted, sizeof(bits));
    const T magic = kMagic, one = 1;
    typename Whole<T>::Type magic_bits, one_bits;
    __builtin_memcpy(&magic_bits, &magic, sizeof(magic));
    __builtin_memcpy(&one_bits, &one, sizeof(one));
    bits = ((bits - magic_bits) << kMantissa) + one_bits;
    Native power;
    __builtin_memcpy(&power, &bits, sizeof(power));
    result.part[i] = sum * power;
  }
  return result;
}

template <class T, int N>
struct Activations {
  Lanes<T, N> sigmoid, tanh;
};

// Both from e^-|x|.
template <class T, int N>
static PYDARTS_INLINE Activations<T, N> activations(const Lanes<T, N>& x) {
  using V = Lanes<T, N>;
  V size;
  for (int i = 0; i < V::kParts; ++i) size.part[i] = x.part[i] > typename V::Native{} ? -x.part[i] : x.part[i];
  const V e = exp_negative(size);
  Activations<T, N> f;
  for (int i = 0; i < V::kParts; ++i) {
    const auto one = T(1) - typename V::Native{};
    const auto positive = x.part[i] > typename V::Native{};
    const auto inverse = one / (one + e.part[i]);
    const auto square = e.part[i] * e.part[i];
    const auto t = (one - square) / (one + square);
    f.sigmoid.part[i] = positive ? inverse : e.part[i] * inverse;
    f.tanh.part[i] = positive ? t : -t;
  }
  return f;
}

// The activations of one edge's candidates, mixed.
template <class V, class T>
static PYDARTS_INLINE V mixed_activation(const V& h, const Activations<T, kUnits>& f, const T* p) {
  V mixed = f.tanh * V::fill(p[0]);
  mixed.add_product(p[1], h.relu());
  mixed.add_product(p[2], f.sigmoid);
  mixed.add_product(p[3], h);
  return mixed;
}

template <class T, int N>
static Lanes<T, N> reciprocal_deviation(const Lanes<T, N>& variance) {
  T lanes[N];
  variance.store(lanes);
  for (int i = 0; i < N; ++i) lanes[i] = T(1 / __builtin_sqrt(double(lanes[i]) + kNormEpsilon));
  return Lanes<T, N>::load(lanes);
}

template <class T>
static void gates_forward(const NodeBlock<T>& a) {
  using V = Lanes<T, kUnits>;
  const V zero = V::zero(), inverse = V::fill(T(1) / T(a.batch));
  V total[2] = {zero, zero};
  for (int b = 0; b < a.batch; ++b) {
    V sum = zero;
    for (int e = 0; e < a.edges; ++e) {
      T* gates = a.gates + (std::size_t(e) * a.batch + b) * kPanel;
      const T* p = a.mixing + e * kActivations;
      const V gate = activations(V::load(gates)).sigmoid, h = V::load(gates + kUnits);
      const Activations<T, kUnits> f = activations(h);
      gate.store(gates);
      const V mixed = mixed_activation(h, f, p);
      const V carried =
          V::load(a.sources + (std::size_t(e) * a.batch + b) * a.stride) * V::fill(p[0] + p[1] + p[2] + p[3]);
      sum = sum + carried;
      sum.add_product(gate, mixed - carried);
    }
    sum.store(a.state + b * a.stride);
    total[b % 2] = total[b % 2] + sum;
  }
  if (!a.mean) return;
  V mean, variance;
  if (a.given) {
    mean = V::load(a.mean);
    variance = V::load(a.variance);
  } else {
    mean = (total[0] + total[1]) * inverse;
    V squares[2] = {zero, zero};
    for (int b = 0; b < a.batch; ++b) {
      const V x = V::load(a.state + b * a.stride) - mean;
      squares[b % 2].add_product(x, x);
    }
    variance = (squares[0] + squares[1]) * inverse;
    mean.store(a.mean);
    variance.store(a.variance);
  }
  const V scale = reciprocal_deviation(variance);
  for (int b = 0; b < a.batch; ++b) {
    T* x = a.state + b * a.stride;
    ((V::load(x) - mean) * scale).store(x);
  }
}

template <class T>
static void gates_backward(const NodeBlock<T>& a) {
  using V = Lanes<T, kUnits>;
  constexpr int kAhead = 16;  // rows of gates, which the memory has
  const V zero = V::zero(), one = V::fill(1);
  V scale = one, level = zero, slope = zero;
  if (a.mean) {  // dsum = scale (g - mean g - x^ mean(g x^))
    V total[2] = {zero, zero}, moment[2] = {zero, zero};
    for (int b = 0; b < a.batch; ++b) {
      const V g = V::load(a.gradient + b * a.stride);
      total[b % 2] = total[b % 2] + g;
      moment[b % 2].add_product(g, V::load(a.state + b * a.stride));
    }
    const V inverse = V::fill(T(1) / T(a.batch));
    level = (total[0] + total[1]) * inverse;
    slope = (moment[0] + moment[1]) * inverse;
    scale = reciprocal_deviation(V::load(a.variance));
  }
  for (int e = 0; e < a.edges; ++e) {
    const T* p = a.mixing + e * kActivations;
    const T all = p[0] + p[1] + p[2] + p[3];
    V d_mixing[kActivations] = {zero, zero, zero, zero};
    V d_all = zero;
    for (int b = 0; b < a.batch; ++b) {
      V d = V::load(a.gradient + b * a.stride);
      if (a.mean) d = (d - level - V::load(a.state + b * a.stride) * slope) * scale;
      const std::size_t row = std::size_t(e) * a.batch + b;
      T* gates = a.gates + row * kPanel;
      for (int i = 0; i < kPanel; i += kLine<T>) PYDARTS_PREFETCH_NEAR(gates + kAhead * kPanel + i);
      const V gate = V::load(gates), h = V::load(gates + kUnits);
      const Activations<T, kUnits> f = activations(h);
      const V source = V::load(a.sources + row * a.stride);
      const V mixed = mixed_activation(h, f, p);
      V by_h = (one - f.tanh * f.tanh) * V::fill(p[0]);
      by_h = by_h + V::where_positive(h, V::fill(p[1]));
      by_h.add_product(p[2], f.sigmoid * (one - f.sigmoid));
      by_h = by_h + V::fill(p[3]);
      const V d_gated = d * gate;
      (d_gated * (one - gate) * (mixed - source * V::fill(all))).store(gates);
      (d_gated * by_h).store(gates + kUnits);
      T* to = a.d_sources + row * a.stride;
      V sum = V::load(to);
      sum.add_product(all, d - d_gated);
      sum.store(to);
      if (a.d_mixing) {
        d_all.add_product(d - d_gated, source);
        d_mixing[0].add_product(d_gated, f.tanh);
        d_mixing[1].add_product(d_gated, h.relu());
        d_mixing[2].add_product(d_gated, f.sigmoid);
        d_mixing[3].add_product(d_gated, h);
      }
    }
    if (!a.d_mixing) continue;
    for (int k = 0; k < kActivations; ++k) {
      double lanes[kUnits] = {};
      (d_mixing[k] + d_all).add_to(lanes);
      for (int i = 0; i < kUnits; ++i) a.d_mixing[e * kActivations + k] += lanes[i];
    }
  }
}

// Rows of logits in panels; in place the gradient of scale * sum over rows of -log softmax(logits + bias)[label].
template <class T>
static void softmax_rows(const SoftmaxRows<T>& a) {
  using V = Lanes<T, kPanel>;
  const int panels = (a.classes + kPanel - 1) / kPanel, tail = a.classes - (panels - 1) * kPanel;
  for (int r = 0; r < a.rows; ++r) {
    T* row = a.logits + r * kPanel;
    T* last = row + (panels - 1) * a.panel_stride;
    T lanes[kPanel];
    V largest;
    for (int p = 0; p < panels; ++p) {
      T* z = row + p * a.panel_stride;
      V value = V::load(z) + V::load(a.bias + p * kPanel);
      value.store(z);
      if (p + 1 == panels) {
        for (int i = tail; i < kPanel; ++i) last[i] = last[0];  // unused columns must not win
        value = V::load(z);
      }
      largest = p == 0 ? value : V::max(largest, value);
    }
    largest.store(lanes);
    T top = lanes[0];
    for (int i = 1; i < kPanel; ++i) top = lanes[i] > top ? lanes[i] : top;
    const auto logit = [&](int c) { return row + (c / kPanel) * a.panel_stride + c % kPanel; };
    const int label = a.labels ? a.labels[r] : -1;
    const T chosen = label < 0 ? top : *logit(label);
    bool hit = chosen == top;
    for (int c = 0; c < label && hit; ++c) hit = *logit(c) != top;
    V total = V::zero();
    for (int p = 0; p < panels; ++p) {
      T* z = row + p * a.panel_stride;
      exp_negative(V::load(z) - V::fill(top)).store(z);
      if (p + 1 == panels)
        for (int i = tail; i < kPanel; ++i) z[i] = 0;
      total = total + V::load(z);
    }
    total.store(lanes);
    double sum = 0;
    for (int i = 0; i < kPanel; ++i) sum += double(lanes[i]);
    a.losses[r] = __builtin_log(sum) + double(top) - double(chosen);
    a.hits[r] = hit;
    for (int p = 0; p < panels; ++p) {
      T* z = row + p * a.panel_stride;
      (V::load(z) * V::fill(T(a.scale / sum))).store(z);
    }
    if (label >= 0) *logit(label) -= T(a.scale);
  }
}

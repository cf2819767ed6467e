// SPDX-License-Identifier: MIT
// Node sums, their moments against the gradient, and the element-wise passes between units.
#include "kernels/set.hpp"

namespace pydarts {
namespace PYDARTS_ISA {

template <class T>
void load_tile(T* tile, View<const T> x, int samples, int blocks, int h, int w, Halo halo, const T* scale,
               const T* shift, bool relu) {
  const int pitch = (w + 2 * halo.w) * kLanes;
  const std::size_t size = std::size_t(h + 2 * halo.h) * pitch;
  clear_border(tile, samples * blocks, h, w, halo);
  for (int n = 0; n < samples; ++n)
    for (int b = 0; b < blocks; ++b, tile += size) {
      const T* in = x.data + n * x.stride + std::size_t(b) * h * w * kLanes;
      for (int y = 0; y < h; ++y, in += w * kLanes) {
        for (int i = 0; i < w * kLanes; i += kLine<T>) PYDARTS_PREFETCH(in + kPiece * kLanes + i);
        read_activation(tile + (y + halo.h) * pitch + halo.w * kLanes, in, w, scale ? scale + b * kLanes : nullptr,
                        scale ? shift + b * kLanes : nullptr, relu);
      }
    }
}

// s (+)= sum of Count summands over one plane: few streams at a time, which the hardware can follow. Those that come
// next are prefetched. A summand is shifted before it is added: the sum of unshifted ones would be far larger than the
// node.
template <class T, int Count, bool Accumulate>
static void node_sum_plane(T* s, const T* const* y, const T* const* ahead, const PerChannel<T>* scale,
                           const PerChannel<T>* shift, int plane) {
  auto vectors = [&](int p, auto count, auto size) PYDARTS_INLINED {
    using V = Lanes<T, size * kLanes>;
    unroll<Count>([&](auto t) PYDARTS_INLINED {
      for (int i = 0; i < int(count) * size * kLanes; i += kLine<T>) PYDARTS_PREFETCH(ahead[t] + p * kLanes + i);
    });
    unroll<decltype(count)::value>([&](auto u) PYDARTS_INLINED {
      const int at = (p + u * size) * kLanes;
      V sum = Accumulate ? V::load(s + at) : V::zero();
      unroll<Count>([&](auto t) PYDARTS_INLINED {
        V value = shift[t].template of<size>();
        value.add_product(scale[t].template of<size>(), V::load(y[t] + at));
        sum = sum + value;
      });
      sum.store(s + at);
    });
  };
  int p = 0;
  for (; p + 4 * kPixels<T> <= plane; p += 4 * kPixels<T>) vectors(p, Index<4>{}, Index<kPixels<T>>{});
  for (; p + kPixels<T> <= plane; p += kPixels<T>) vectors(p, Index<1>{}, Index<kPixels<T>>{});
  for (; p < plane; ++p) vectors(p, Index<1>{}, Index<1>{});
}

template <class T>
void node_sum(View<T> s, const Summand<T>* terms, int count, bool first, int samples, int blocks, int plane) {
  using V = Vec<T>;
  constexpr int kTogether = kFewSizes<T> ? 2 : 4;
  for (int n = 0; n < samples; ++n)
    for (int b = 0; b < blocks; ++b) {
      const std::size_t at = std::size_t(b) * plane * kLanes;
      T* out = s.data + n * s.stride + at;
      for (int t = 0; t < count; t += kTogether) {
        const T *y[kTogether], *ahead[kTogether];
        PerChannel<T> scale[kTogether], shift[kTogether];
        const int here = count - t < kTogether ? count - t : kTogether;
        for (int i = 0; i < here; ++i) {
          const Summand<T>& term = terms[t + i];
          const Summand<T>& next = terms[t + i + kTogether < count ? t + i + kTogether : t + i];
          y[i] = term.y.data + n * term.y.stride + at;
          ahead[i] = next.y.data + n * next.y.stride + at;
          const V factor = V::fill(term.factor ? term.factor[n] : T(1));
          scale[i] = V::load(term.scale + b * kLanes) * factor;
          shift[i] = (term.shift ? V::load(term.shift + b * kLanes) : V::zero()) * factor;
        }
        auto plane_of = [&](auto size) {
          if (first && t == 0)
            node_sum_plane<T, decltype(size)::value, false>(out, y, ahead, scale, shift, plane);
          else
            node_sum_plane<T, decltype(size)::value, true>(out, y, ahead, scale, shift, plane);
        };
        if constexpr (kTogether == 4) {
          if (here == 4) plane_of(Index<4>{});
          if (here == 3) plane_of(Index<3>{});
        }
        if (here == 2) plane_of(Index<2>{});
        if (here == 1) plane_of(Index<1>{});
      }
    }
}

// The sum of g (y - mean) over some pixels.
template <class T>
static Vec<T> centred_product(const T* g, const T* y, const PerChannel<T>& mean, int pixels) {
  using V = Pixels<T>;
  V sum[4];
  unroll<4>([&](auto u) PYDARTS_INLINED { sum[u] = V::zero(); });
  int p = 0;
  for (; p + 4 * kPixels<T> <= pixels; p += 4 * kPixels<T>) {
    for (int i = 0; i < 4 * kPixels<T> * kLanes; i += kLine<T>) PYDARTS_PREFETCH(y + (p + kPiece) * kLanes + i);
    unroll<4>([&](auto u) PYDARTS_INLINED {
      const int at = (p + u * kPixels<T>)*kLanes;
      sum[u].add_product(V::load(g + at), V::load(y + at) - mean.all);
    });
  }
  for (; p < pixels; ++p)
    sum[0].add_product(load_pixels<T, 1>(g + p * kLanes), load_pixels<T, 1>(y + p * kLanes) - mean.all);
  return folded<T>((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

template <class T>
void node_moments(View<const T> g, const Summand<T>* terms, int count, int samples, int blocks, int plane) {
  using V = Vec<T>;
  constexpr int kTogether = 8;
  for (; count > kTogether; count -= kTogether, terms += kTogether)
    node_moments(g, terms, kTogether, samples, blocks, plane);
  const int lanes = blocks * kLanes;
  for (int b = 0; b < blocks; ++b) {
    const std::size_t at = std::size_t(b) * plane * kLanes;
    PerChannel<T> mean[kTogether];
    V first[kTogether], second[kTogether];
    for (int t = 0; t < count; ++t) {
      mean[t] = terms[t].mean ? V::load(terms[t].mean + b * kLanes) : V::zero();
      first[t] = second[t] = V::zero();
    }
    auto give_moments = [&]() PYDARTS_INLINED {
      for (int t = 0; t < count; ++t) {
        first[t].add_to(terms[t].moments + b * kLanes);
        second[t].add_to(terms[t].moments + lanes + b * kLanes);
        first[t] = second[t] = V::zero();
      }
    };
    for (int n = 0; n < samples; ++n) {
      for (int begin = 0; begin < plane; begin += kSpan) {
        const int end = plane - begin < kSpan ? plane : begin + kSpan;
        V total = V::zero(), centred[kTogether];
        for (int t = 0; t < count; ++t) centred[t] = V::zero();
        for (int p = begin; p < end; p += kPiece) {
          const int pixels = end - p < kPiece ? end - p : kPiece;
          const T* gn = g.data + n * g.stride + at + p * kLanes;
          total = total + plane_sum(gn, pixels);
          for (int t = 0; t < count; ++t)
            centred[t] = centred[t] + centred_product(gn, terms[t].y.data + n * terms[t].y.stride + at + p * kLanes,
                                                      mean[t], pixels);
        }
        for (int t = 0; t < count; ++t) {
          const V factor = V::fill(terms[t].factor ? terms[t].factor[n] : T(1));
          first[t].add_product(factor, total);
          second[t].add_product(factor, centred[t]);
        }
        if (plane > kSpan) give_moments();
      }
    }
    if (plane <= kSpan) give_moments();
  }
}

template <class T>
void add_scaled(View<T> out, View<const T> x, const T* scale, bool first, int samples, int blocks, int plane) {
  for (int n = 0; n < samples; ++n)
    for (int b = 0; b < blocks; ++b) {
      const PerChannel<T> a = scale ? Vec<T>::load(scale + b * kLanes) : Vec<T>::fill(1);
      const T* in = x.data + n * x.stride + std::size_t(b) * plane * kLanes;
      T* to = out.data + n * out.stride + std::size_t(b) * plane * kLanes;
      for_pixels<T>(plane, [&](auto size, int p) PYDARTS_INLINED {
        using V = Lanes<T, size * kLanes>;
        V value = first ? V::zero() : V::load(to + p * kLanes);
        value.add_product(a.template of<size>(), V::load(in + p * kLanes));
        value.store(to + p * kLanes);
      });
    }
}

template <class T>
void relu_backward(View<T> g, View<const T> dx, View<const T> x, bool first, int samples, int blocks, int plane) {
  for (int n = 0; n < samples; ++n) {
    T* to = g.data + n * g.stride;
    const T* d = dx.data + n * dx.stride;
    const T* in = x.data + n * x.stride;
    for (int b = 0; b < blocks;
         ++b, to += std::size_t(plane) * kLanes, d += std::size_t(plane) * kLanes, in += std::size_t(plane) * kLanes)
      for_pixels<T>(plane, [&](auto size, int p) PYDARTS_INLINED {
        using V = Lanes<T, size * kLanes>;
        const int at = p * kLanes;
        const V before = first ? V::zero() : V::load(to + at);
        (before + V::where_positive(V::load(in + at), V::load(d + at))).store(to + at);
      });
  }
}

template <class T>
void activation_backward(View<T> g, View<const T> dx, View<const T> y, const T* scale, const T* shift, bool relu,
                         const T* mean, double* moments, int samples, int blocks, int plane) {
  using V = Vec<T>;
  const int lanes = blocks * kLanes;
  for (int b = 0; b < blocks; ++b) {
    const std::size_t at = std::size_t(b) * plane * kLanes;
    const PerChannel<T> a = V::load(scale + b * kLanes), c = V::load(shift + b * kLanes),
                        m = V::load(mean + b * kLanes);
    Pixels<T> first[2] = {Pixels<T>::zero(), Pixels<T>::zero()}, second[2] = {Pixels<T>::zero(), Pixels<T>::zero()};
    auto give_moments = [&]() PYDARTS_INLINED {
      folded<T>(first[0] + first[1]).add_to(moments + b * kLanes);
      folded<T>(second[0] + second[1]).add_to(moments + lanes + b * kLanes);
      first[0] = first[1] = second[0] = second[1] = Pixels<T>::zero();
    };
    for (int n = 0; n < samples; ++n) {
      const T* d = dx.data + n * dx.stride + at;
      const T* in = y.data + n * y.stride + at;
      T* to = g.data + n * g.stride + at;
      auto pixels = [&](int p, auto u, auto size) PYDARTS_INLINED {
        const auto value = load_pixels<T, decltype(size)::value>(in + p * kLanes);
        auto grad = load_pixels<T, decltype(size)::value>(d + p * kLanes);
        if (relu) grad = Pixels<T>::where_positive(value * a.all + c.all, grad);
        if constexpr (decltype(size)::value == kPixels<T>)
          grad.store(to + p * kLanes);
        else
          grad.template block<0>().store(to + p * kLanes);
        first[u] = first[u] + grad;
        second[u].add_product(grad, value - m.all);
      };
      for (int begin = 0; begin < plane; begin += kSpan) {
        const int end = plane - begin < kSpan ? plane : begin + kSpan;
        int p = begin;
        for (; p + 2 * kPixels<T> <= end; p += 2 * kPixels<T>) {
          pixels(p, Index<0>{}, Index<kPixels<T>>{});
          pixels(p + kPixels<T>, Index<1>{}, Index<kPixels<T>>{});
        }
        for (; p + kPixels<T> <= end; p += kPixels<T>) pixels(p, Index<0>{}, Index<kPixels<T>>{});
        for (; p < end; ++p) pixels(p, Index<0>{}, Index<1>{});
        if (plane > kSpan) give_moments();
      }
    }
    if (plane <= kSpan) give_moments();
  }
}

#define PYDARTS_INSTANTIATE(T)                          \
  template decltype(load_tile<T>) load_tile<T>;         \
  template decltype(node_sum<T>) node_sum<T>;           \
  template decltype(node_moments<T>) node_moments<T>;   \
  template decltype(add_scaled<T>) add_scaled<T>;       \
  template decltype(relu_backward<T>) relu_backward<T>; \
  template decltype(activation_backward<T>) activation_backward<T>;
PYDARTS_FOR_SCALARS(PYDARTS_INSTANTIATE)

}  // namespace PYDARTS_ISA
}  // namespace pydarts

// SPDX-License-Identifier: MIT
// Max and average pooling. Of equal maxima the first in row order takes the gradient, as in PyTorch.
#include "kernels/set.hpp"

namespace pydarts {
namespace PYDARTS_ISA {

// The usual pool: three by three or one by three, one apart, in a border that keeps the size.
static bool usual(const PoolShape& s) {
  return (s.window_h == 3 || s.window_h == 1) && s.window_w == 3 && s.stride_h == 1 && s.stride_w == 1 &&
         s.pad_h == s.window_h / 2 && s.pad_w == 1 && !s.relu && s.in_w >= 2;
}

// Whether all of these numbers are finite.
template <class T>
static bool all_finite(const T* x, int pixels) {
  using V = Vec<T>;
  const V zero = V::zero();
  V sum[4] = {zero, zero, zero, zero};
  int p = 0;
  for (; p + 4 <= pixels; p += 4)
    unroll<4>([&](auto u) PYDARTS_INLINED { sum[u].add_product(V::load(x + (p + u) * kLanes), zero); });
  for (; p < pixels; ++p) sum[0].add_product(V::load(x + p * kLanes), zero);
  T lanes[kLanes];
  ((sum[0] + sum[1]) + (sum[2] + sum[3])).store(lanes);
  bool finite = true;
  for (int i = 0; i < kLanes; ++i) finite &= lanes[i] == 0;
  return finite;
}

// One row of the usual pool: of each column that a window covers, the maximum or sum is taken once for the three
// windows that share it.
template <class T, Join How>
static void usual_pool_row(T* out, const T* in, const PoolShape& s, const Window& rows) {
  using V = Vec<T>;
  const int pitch = s.in_w * kLanes, height = rows.bottom - rows.top;
  auto join = [](const V& a, const V& b) PYDARTS_INLINED { return joined(How, a, b); };
  auto column = [&](int x) PYDARTS_INLINED {
    const T* at = in + rows.top * pitch + x * kLanes;
    V value = V::load(at);
    for (int i = 1; i < height; ++i) value = join(value, V::load(at + i * pitch));
    return value;
  };
  auto give = [&](int x, const V& value, const V& weight)
                  PYDARTS_INLINED { (How == Join::sum ? value * weight : value).store(out + x * kLanes); };
  const V edge = V::fill(T(1) / T(height * 2)), inner = V::fill(T(1) / T(height * 3));
  V left = column(0), middle = column(1);
  give(0, join(left, middle), edge);
  for (int x = 1; x + 1 < s.in_w; ++x) {
    const V right = column(x + 1);
    give(x, join(join(left, middle), right), inner);
    left = middle;
    middle = right;
  }
  give(s.in_w - 1, join(left, middle), edge);
}

template <class T>
void pool_forward(View<T> y, View<const T> x, int samples, const PoolShape& s, double* sums) {
  using V = Vec<T>;
  const int out_plane = s.out_h * s.out_w, lanes = s.blocks * kLanes;
  const bool is_usual = usual(s);
  for (int b = 0; b < s.blocks; ++b) {
    V sum = V::zero(), squares = V::zero(), pivot = V::zero();
    int pixels = 0;  // that are in these sums
    auto give_sums = [&]() PYDARTS_INLINED {
      T of_block[3][kLanes];
      sum.store(of_block[0]);
      squares.store(of_block[1]);
      pivot.store(of_block[2]);
      add_sums(sums + b * kLanes, sums + lanes + b * kLanes, of_block[0], of_block[1], of_block[2], pixels);
      sum = squares = V::zero();
      pixels = 0;
    };
    for (int n = 0; n < samples; ++n) {
      const T* in = x.data + n * x.stride + std::size_t(b) * s.in_h * s.in_w * kLanes;
      T* out = y.data + n * y.stride + std::size_t(b) * out_plane * kLanes;
      Join join = s.max ? Join::max : Join::sum;
      int rows_seen = 0;
      for (int oy = 0; oy < s.out_h; ++oy) {
        const Window rows = pool_window(s, oy, 0);
        if (join == Join::max && rows.bottom > rows_seen) {  // from a NaN on, if there is one, the slower maximum
          if (!all_finite(in + rows_seen * s.in_w * kLanes, (rows.bottom - rows_seen) * s.in_w))
            join = Join::max_or_nan;
          rows_seen = rows.bottom;
        }
        if (is_usual) {
          (join == Join::max          ? usual_pool_row<T, Join::max>
           : join == Join::max_or_nan ? usual_pool_row<T, Join::max_or_nan>
                                      : usual_pool_row<T, Join::sum>)(out, in, s, rows);
        } else {
          for (int ox = 0; ox < s.out_w; ++ox) {
            const Window w = pool_window(s, oy, ox);
            V value = s.max ? V::load(in + (w.top * s.in_w + w.left) * kLanes) : V::zero();
            for (int i = w.top; i < w.bottom; ++i)
              for (int j = w.left; j < w.right; ++j) {
                const V term = V::load(in + (i * s.in_w + j) * kLanes);
                value = joined(join, value, s.relu && !s.max ? term.relu() : term);
              }
            if (s.max && s.relu) value = value.relu();
            if (!s.max) value = value * V::fill(T(1) / T((w.bottom - w.top) * (w.right - w.left)));
            value.store(out + ox * kLanes);
          }
        }
        if (n == 0 && oy == 0) pivot = V::load(out);
        for (int ox = 0; ox < s.out_w; ++ox, out += kLanes) {
          const V distance = V::load(out) - pivot;
          sum = sum + distance;
          squares.add_product(distance, distance);
        }
        pixels += s.out_w;
        if (pixels >= kSpan) give_sums();
      }
    }
    give_sums();
  }
}

// dy of one row, between two pixels of zeros.
template <class T>
static void pool_gradient_row(T* row, const PoolShape& s, const T* y, std::size_t at, int n, int b,
                              const PoolUse<T>* uses, int count, const T* slope, const T* level) {
  using V = Vec<T>;
  const PerChannel<T> by = V::load(slope + b * kLanes), c = V::load(level + b * kLanes);
  V::zero().store(row - kLanes);
  V::zero().store(row + s.out_w * kLanes);
  for_pixels<T>(s.out_w, [&](auto size, int x) PYDARTS_INLINED {
    using W = Lanes<T, size * kLanes>;
    (by.template of<size>() * W::load(y + x * kLanes) + c.template of<size>()).store(row + x * kLanes);
  });
  for (int u = 0; u < count; ++u) {
    const PerChannel<T> a = V::load(uses[u].a + b * kLanes) * V::fill(uses[u].factor ? uses[u].factor[n] : T(1));
    const T* g = uses[u].g.data + n * uses[u].g.stride + at;
    for_pixels<T>(s.out_w, [&](auto size, int x) PYDARTS_INLINED {
      using W = Lanes<T, size * kLanes>;
      W value = W::load(row + x * kLanes);
      value.add_product(a.template of<size>(), W::load(g + x * kLanes));
      value.store(row + x * kLanes);
    });
  }
}

// Average: every place of the window takes its part of dy.
template <class T>
static void usual_average_backward(T* dx, T* row, const PoolShape& s, const Window& rows) {
  using V = Vec<T>;
  const int height = rows.bottom - rows.top, pitch = s.in_w * kLanes;
  const V edge = V::fill(T(1) / T(height * 2)), inner = V::fill(T(1) / T(height * 3));
  for (int x = 0; x < s.out_w; ++x)
    (V::load(row + x * kLanes) * (x == 0 || x + 1 == s.out_w ? edge : inner)).store(row + x * kLanes);
  for (int x = 0; x < s.in_w; ++x) {
    const V part = V::load(row + (x - 1) * kLanes) + V::load(row + x * kLanes) + V::load(row + (x + 1) * kLanes);
    T* to = dx + rows.top * pitch + x * kLanes;
    for (int i = 0; i < height; ++i, to += pitch) (V::load(to) + part).store(to);
  }
}

template <class T>
void pool_backward(View<T> dx, View<const T> x, View<const T> y, int samples, const PoolShape& s,
                   const PoolUse<T>* uses, int count, const T* slope, const T* level, T* scratch) {
  using V = Vec<T>;
  const int pitch = s.in_w * kLanes;
  const bool spreads_evenly = !s.max && usual(s);
  T* row = scratch + kLanes;
  for (int n = 0; n < samples; ++n)
    for (int b = 0; b < s.blocks; ++b) {
      const T* in = x.data + n * x.stride + std::size_t(b) * s.in_h * pitch;
      T* d = dx.data + n * dx.stride + std::size_t(b) * s.in_h * pitch;
      for (int oy = 0; oy < s.out_h; ++oy) {
        const std::size_t at = (std::size_t(b) * s.out_h + oy) * s.out_w * kLanes;
        const T* out = y.data + n * y.stride + at;
        pool_gradient_row(row, s, out, at, n, b, uses, count, slope, level);
        if (spreads_evenly) {
          usual_average_backward(d, row, s, pool_window(s, oy, 0));
          continue;
        }
        for (int ox = 0; ox < s.out_w; ++ox) {
          const Window w = pool_window(s, oy, ox);
          V dy = V::load(row + ox * kLanes);
          if (!s.max) dy = dy * V::fill(T(1) / T((w.bottom - w.top) * (w.right - w.left)));
          const V top = V::load(out + ox * kLanes);
          auto place = [&](int q) PYDARTS_INLINED {
            const V value = V::load(in + q);
            V part = dy;
            if (s.max) {  // give all to the first that equals the maximum, keep nothing for the others
              part = V::where_maximum(value, top, dy);
              dy = dy - part;
            }
            if (s.relu) part = V::where_positive(value, part);
            (V::load(d + q) + part).store(d + q);
          };
          const int corner = w.top * pitch + w.left * kLanes;
          if (w.bottom - w.top == 3 && w.right - w.left == 3) {
            unroll<9>([&](auto t) PYDARTS_INLINED { place(corner + t / 3 * pitch + t % 3 * kLanes); });
            continue;
          }
          if (w.bottom - w.top == 1 && w.right - w.left == 3) {
            unroll<3>([&](auto t) PYDARTS_INLINED { place(corner + t * kLanes); });
            continue;
          }
          for (int i = w.top; i < w.bottom; ++i)
            for (int j = w.left; j < w.right; ++j) place(i * pitch + j * kLanes);
        }
      }
    }
}

#define PYDARTS_INSTANTIATE(T)                        \
  template decltype(pool_forward<T>) pool_forward<T>; \
  template decltype(pool_backward<T>) pool_backward<T>;
PYDARTS_FOR_SCALARS(PYDARTS_INSTANTIATE)

}  // namespace PYDARTS_ISA
}  // namespace pydarts

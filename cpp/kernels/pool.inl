// SPDX-License-Identifier: MIT
// Max and average pooling. Of equal maxima the first in row order takes the gradient, as in PyTorch.

struct Window {
  int top, bottom, left, right;
};

static PYDARTS_INLINE Window pool_window(const PoolShape& s, int y, int x) {
  const int top = y * s.stride_h - s.pad, left = x * s.stride_w - s.pad;
  const int bottom = top + s.window_h, right = left + s.window_w;
  return {top < 0 ? 0 : top, bottom > s.in_h ? s.in_h : bottom, left < 0 ? 0 : left, right > s.in_w ? s.in_w : right};
}

// A whole window of the usual size: its loops are unrolled.
constexpr int kWindow = 9;
static PYDARTS_INLINE bool inner(const Window& w) { return w.bottom - w.top == 3 && w.right - w.left == 3; }

template <class T>
static void pool_forward(View<T> y, View<const T> x, int samples, const PoolShape& s, double* sums) {
  using V = Vec<T>;
  const int out_plane = s.out_h * s.out_w, lanes = s.blocks * kLanes;
  for (int n = 0; n < samples; ++n)
    for (int b = 0; b < s.blocks; ++b) {
      const T* in = x.data + n * x.stride + std::size_t(b) * s.in_h * s.in_w * kLanes;
      T* out = y.data + n * y.stride + std::size_t(b) * out_plane * kLanes;
      V sum = V::zero(), squares = V::zero();
      const int pitch = s.in_w * kLanes;
      for (int oy = 0; oy < s.out_h; ++oy)
        for (int ox = 0; ox < s.out_w; ++ox, out += kLanes) {
          const Window w = pool_window(s, oy, ox);
          V value = V::zero();
          if (inner(w) && !s.relu) {
            const T* corner = in + w.top * pitch + w.left * kLanes;
            V v[kWindow];
            unroll<kWindow>([&](auto t) PYDARTS_INLINED { v[t] = V::load(corner + t / 3 * pitch + t % 3 * kLanes); });
            unroll<3>([&](auto t) PYDARTS_INLINED {
              v[t] = s.max ? V::max(V::max(v[t], v[t + 3]), v[t + 6]) : v[t] + v[t + 3] + v[t + 6];
            });
            value = s.max ? V::max(V::max(v[0], v[1]), v[2]) : (v[0] + v[1] + v[2]) * V::fill(T(1) / kWindow);
          } else if (s.max) {
            value = V::load(in + (w.top * s.in_w + w.left) * kLanes);
            for (int i = w.top; i < w.bottom; ++i)
              for (int j = w.left; j < w.right; ++j) value = V::max(value, V::load(in + (i * s.in_w + j) * kLanes));
            if (s.relu) value = value.relu();
          } else {
            for (int i = w.top; i < w.bottom; ++i)
              for (int j = w.left; j < w.right; ++j) {
                const V term = V::load(in + (i * s.in_w + j) * kLanes);
                value = value + (s.relu ? term.relu() : term);
              }
            value = value * V::fill(T(1) / T((w.bottom - w.top) * (w.right - w.left)));
          }
          value.store(out);
          sum = sum + value;
          squares.add_product(value, value);
        }
      sum.add_to(sums + b * kLanes);
      squares.add_to(sums + lanes + b * kLanes);
    }
}

template <class T>
static void pool_backward(View<T> dx, View<const T> x, View<const T> y, int samples, const PoolShape& s,
                          const PoolUse<T>* uses, int count, const T* slope, const T* level, T* scratch) {
  using V = Vec<T>;
  const int in_plane = s.in_h * s.in_w, out_plane = s.out_h * s.out_w;
  T* dy_plane = scratch;
  for (int n = 0; n < samples; ++n)
    for (int b = 0; b < s.blocks; ++b) {
      const T* in = x.data + n * x.stride + std::size_t(b) * in_plane * kLanes;
      const std::size_t at = std::size_t(b) * out_plane * kLanes;
      const T* out = y.data + n * y.stride + at;
      T* d = dx.data + n * dx.stride + std::size_t(b) * in_plane * kLanes;
      const int pitch = s.in_w * kLanes;
      const V by = V::load(slope + b * kLanes), c = V::load(level + b * kLanes);
      for (int p = 0; p < out_plane; ++p) (by * V::load(out + p * kLanes) + c).store(dy_plane + p * kLanes);
      for (int u = 0; u < count; ++u) {
        V a = V::load(uses[u].a + b * kLanes);
        if (uses[u].factor) a = a * V::fill(uses[u].factor[n]);
        const T* g = uses[u].g.data + n * uses[u].g.stride + at;
        for (int p = 0; p < out_plane; ++p) {
          V value = V::load(dy_plane + p * kLanes);
          value.add_product(a, V::load(g + p * kLanes));
          value.store(dy_plane + p * kLanes);
        }
      }
      for (int oy = 0; oy < s.out_h; ++oy)
        for (int ox = 0; ox < s.out_w; ++ox) {
          const Window w = pool_window(s, oy, ox);
          const int p = (oy * s.out_w + ox) * kLanes;
          V dy = V::load(dy_plane + p);
          if (!s.max) dy = dy * V::fill(T(1) / T((w.bottom - w.top) * (w.right - w.left)));
          const V top = V::load(out + p);
          if (inner(w) && !s.relu) {
            const int corner = w.top * pitch + w.left * kLanes;
            unroll<kWindow>([&](auto t) PYDARTS_INLINED {
              const int q = corner + t / 3 * pitch + t % 3 * kLanes;
              V part = dy;
              if (s.max) {
                part = V::where_equal(V::load(in + q), top, dy);
                dy = dy - part;
              }
              (V::load(d + q) + part).store(d + q);
            });
            continue;
          }
          for (int i = w.top; i < w.bottom; ++i)
            for (int j = w.left; j < w.right; ++j) {
              const int q = (i * s.in_w + j) * kLanes;
              const V value = V::load(in + q);
              V part = dy;
              if (s.max) {  // give all to the first that equals the maximum, keep nothing for the others
                part = V::where_equal(value, top, dy);
                dy = dy - part;
              }
              if (s.relu) part = V::where_positive(value, part);
              (V::load(d + q) + part).store(d + q);
            }
        }
    }
}

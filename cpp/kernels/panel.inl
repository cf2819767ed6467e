// SPDX-License-Identifier: MIT
// The matrix product of the recurrent engine, one panel of kPanel columns at a time.

// Rows row .. row + Rows - 1 of c (+)= a * panel. What the next steps read is prefetched where the processor cannot
// foresee it: from one row of a to the next of a transposed product, and from block to block.
template <class T, int Rows, bool Accumulate>
static PYDARTS_INLINE void panel_tile(const PanelProduct<T>& p, int row) {
  using V = Lanes<T, kPanel>;
  constexpr int kAhead = 16;  // rows of a, if its columns are the product's rows
  V acc[Rows];
  T* c = p.c + row * p.c_stride;
  unroll<Rows>([&](auto r) PYDARTS_INLINED { acc[r] = Accumulate ? V::load(c + r * p.c_stride) : V::zero(); });
  const T* panel = p.panel;
  for (int block = 0; block < p.blocks; ++block) {
    const T* a = p.a + block * p.a_block + row * p.a_row;
    if (p.a_row == 1) {
      for (int k = 0; k < p.depth; ++k, panel += kPanel, a += p.a_depth) {
        PYDARTS_PREFETCH_NEAR(a + kAhead * p.a_depth);
        PYDARTS_PREFETCH_NEAR(a + kAhead * p.a_depth + Rows - 1);
        const V b = V::load(panel);
        unroll<Rows>([&](auto r) PYDARTS_INLINED { acc[r].add_product(a[r], b); });
      }
      continue;
    }
    if (block + 1 < p.blocks)
      unroll<Rows>([&](auto r) PYDARTS_INLINED {
        for (int k = 0; k < p.depth; k += kLine<T>) PYDARTS_PREFETCH_NEAR(a + p.a_block + r * p.a_row + k);
      });
    for (int k = 0; k < p.depth; ++k, panel += kPanel, a += p.a_depth) {
      const V b = V::load(panel);
      unroll<Rows>([&](auto r) PYDARTS_INLINED { acc[r].add_product(a[r * p.a_row], b); });
    }
  }
  unroll<Rows>([&](auto r) PYDARTS_INLINED { acc[r].store(c + r * p.c_stride); });
}

template <class T, bool Accumulate>
static void panel_rows(const PanelProduct<T>& p) {
  // Rows whose sums fit the registers beside a row of the panel and one value.
  constexpr int kParts = Lanes<T, kPanel>::kParts;
  constexpr int kFit = (PYDARTS_REGISTERS - 2 - kParts) / kParts;
  constexpr int kMain = kFit < 1 ? 1 : kFit > 14 ? 14 : kFit;
  int row = 0;
  auto tiles = [&](auto rows) {
    for (; row + rows <= p.rows; row += rows) panel_tile<T, decltype(rows)::value, Accumulate>(p, row);
  };
  tiles(Index<kMain>{});
  if constexpr (kMain > 8) tiles(Index<8>{});
  if constexpr (kMain > 4) tiles(Index<4>{});
  if constexpr (kMain > 2) tiles(Index<2>{});
  if constexpr (kMain > 1) tiles(Index<1>{});
}

template <class T>
static void panel_product(const PanelProduct<T>& p) {
  p.accumulate ? panel_rows<T, true>(p) : panel_rows<T, false>(p);
}

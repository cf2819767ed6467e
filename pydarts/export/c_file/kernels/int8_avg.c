/* SPDX-License-Identifier: MIT */
/* The average of what of each window lies inside: multiplier[n - 1] divides by n, or by all if there is one alone. */
static void NAME_avg(const int8_t *in, const int32_t *multiplier, const int8_t *shifts, int counts,
                     const NAME_layer *layer, int8_t *out)
{
  int o, y, begin, v, u, x;
  for (o = 0; o < layer->outputs; ++o) {
    for (y = 0; y < layer->out_height; ++y) {
      int8_t *row = out + ((size_t)o * layer->out_height + y) * layer->out_width;
      for (begin = 0; begin < layer->out_width; begin += 32) {
        const int count = layer->out_width - begin < 32 ? layer->out_width - begin : 32;
        int32_t sum[32], taps[32];
        for (x = 0; x < 32; ++x) sum[x] = taps[x] = 0;
        for (v = 0; v < layer->rows; ++v) {
          const int line = y * layer->down + v - layer->top;
          if (line < 0 || line >= layer->height) continue;
          const int8_t *from = in + ((size_t)o * layer->height + line) * layer->width;
          for (u = 0; u < layer->columns; ++u) {
            const int shift = begin * layer->right + u - layer->left;
            const int end = NAME_end(layer->width, shift, layer->right, count);
            for (x = NAME_first(shift, layer->right); x < end; ++x) {
              sum[x] += from[x * layer->right + shift] - layer->in_zero;
              ++taps[x];
            }
          }
        }
        for (x = 0; x < count; ++x) {
          const int k = counts > 1 ? taps[x] - 1 : 0;
          row[begin + x] = NAME_stored(NAME_scale(sum[x], multiplier[k], shifts[k]), layer, row[begin + x]);
        }
      }
    }
  }
}

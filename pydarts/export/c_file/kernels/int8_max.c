/* SPDX-License-Identifier: MIT */
/* The maximum of what of each window lies inside, 32 pixels of a row at a time. */
static void NAME_max(const int8_t *in, const int32_t *multiplier, const int8_t *shift_by, const NAME_layer *layer,
                     int8_t *out)
{
  int o, y, begin, v, u, x;
  for (o = 0; o < layer->outputs; ++o) {
    for (y = 0; y < layer->out_height; ++y) {
      int8_t *row = out + ((size_t)o * layer->out_height + y) * layer->out_width;
      for (begin = 0; begin < layer->out_width; begin += 32) {
        const int count = layer->out_width - begin < 32 ? layer->out_width - begin : 32;
        int8_t best[32];
        for (x = 0; x < 32; ++x) best[x] = -128;
        for (v = 0; v < layer->rows; ++v) {
          const int line = y * layer->down + v - layer->top;
          if (line < 0 || line >= layer->height) continue;
          const int8_t *from = in + ((size_t)o * layer->height + line) * layer->width;
          for (u = 0; u < layer->columns; ++u) {
            const int shift = begin * layer->right + u - layer->left;
            const int end = NAME_end(layer->width, shift, layer->right, count);
            for (x = NAME_first(shift, layer->right); x < end; ++x) {
              const int8_t value = from[x * layer->right + shift];
              best[x] = value > best[x] ? value : best[x];
            }
          }
        }
        for (x = 0; x < count; ++x)
          row[begin + x] = NAME_stored(NAME_scale(best[x] - layer->in_zero, *multiplier, *shift_by), layer,
                                       row[begin + x]);
      }
    }
  }
}

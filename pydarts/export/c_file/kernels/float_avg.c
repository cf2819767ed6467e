/* SPDX-License-Identifier: MIT */
/* The average of what of each window lies inside, 32 pixels of a row at a time. */
static void NAME_avg(const float *in, const NAME_layer *layer, float *out)
{
  int o, y, begin, v, u, x;
  for (o = 0; o < layer->outputs; ++o) {
    for (y = 0; y < layer->out_height; ++y) {
      float *row = out + ((size_t)o * layer->out_height + y) * layer->out_width;
      for (begin = 0; begin < layer->out_width; begin += 32) {
        const int count = layer->out_width - begin < 32 ? layer->out_width - begin : 32;
        float sum[32], taps[32];
        for (x = 0; x < 32; ++x) sum[x] = taps[x] = 0.0f;
        for (v = 0; v < layer->rows; ++v) {
          const int line = y * layer->down + v - layer->top;
          if (line < 0 || line >= layer->height) continue;
          const float *from = in + ((size_t)o * layer->height + line) * layer->width;
          for (u = 0; u < layer->columns; ++u) {
            const int shift = begin * layer->right + u - layer->left;
            const int end = NAME_end(layer->width, shift, layer->right, count);
            for (x = NAME_first(shift, layer->right); x < end; ++x) {
              sum[x] += from[x * layer->right + shift];
              taps[x] += 1.0f;
            }
          }
        }
        for (x = 0; x < count; ++x) sum[x] /= taps[x];
        NAME_store(sum, count, layer->flags, row + begin);
      }
    }
  }
}

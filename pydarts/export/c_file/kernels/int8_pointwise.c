/* SPDX-License-Identifier: MIT */
/* As with floats; the bias holds what the inputs' zero adds. */
static void NAME_pointwise(const int8_t *in, const int8_t *weight, const int32_t *bias, const int32_t *multiplier,
                           const int8_t *shifts, const NAME_layer *layer, int8_t *out)
{
  const int inputs = layer->inputs, outputs = layer->outputs, pixels = layer->height * layer->width;
  const int32_t low = layer->flags & NAME_RELU_IN ? layer->in_zero : -128;
  int o, p, k, x;
  for (o = 0; o < outputs; o += 4) {
    const int rows = outputs - o < 4 ? outputs - o : 4;
    for (p = 0; p < pixels; p += 16) {
      const int count = pixels - p < 16 ? pixels - p : 16;
      int32_t sum[4][16];
      NAME_sums(in + p, weight + (size_t)o * inputs, bias + o, low, inputs, pixels, rows, count, sum);
      for (k = 0; k < rows; ++k) {
        int8_t *to = out + (size_t)(o + k) * pixels + p;
        for (x = 0; x < count; ++x)
          to[x] = NAME_stored(NAME_scale(sum[k][x], multiplier[o + k], shifts[o + k]), layer, to[x]);
      }
    }
  }
}

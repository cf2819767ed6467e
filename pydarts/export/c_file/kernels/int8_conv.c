/* SPDX-License-Identifier: MIT */
/* As with floats: sums of weight * (max(in, low) - zero) in 32 bits, 32 pixels of a row at a time. */
static void NAME_conv(const int8_t *in, const int8_t *weight, const int32_t *bias, const int32_t *multiplier,
                      const int8_t *shifts, const NAME_layer *layer, int8_t *out)
{
  const int depthwise = layer->flags & NAME_DEPTHWISE, inputs = depthwise ? 1 : layer->inputs;
  const int32_t zero = layer->in_zero, low = layer->flags & NAME_RELU_IN ? zero : -128;
  int o, y, begin, i, v, u, x;
  for (o = 0; o < layer->outputs; ++o) {
    const int8_t *plane = in + (depthwise ? (size_t)o * layer->height * layer->width : 0);
    for (y = 0; y < layer->out_height; ++y) {
      int8_t *row = out + ((size_t)o * layer->out_height + y) * layer->out_width;
      for (begin = 0; begin < layer->out_width; begin += 32) {
        const int count = layer->out_width - begin < 32 ? layer->out_width - begin : 32;
        const int8_t *taps = weight + (size_t)o * inputs * layer->rows * layer->columns;
        int32_t sum[32];
        for (x = 0; x < 32; ++x) sum[x] = bias[o];
        for (i = 0; i < inputs; ++i) {
          for (v = 0; v < layer->rows; ++v) {
            const int line = y * layer->down + v * layer->dilation - layer->top;
            if (line < 0 || line >= layer->height) {
              taps += layer->columns;
              continue;
            }
            const int8_t *from = plane + ((size_t)i * layer->height + line) * layer->width;
            for (u = 0; u < layer->columns; ++u) {
              const int shift = begin * layer->right + u * layer->dilation - layer->left;
              const int end = NAME_end(layer->width, shift, layer->right, count);
              const int32_t tap = *taps++;
              for (x = NAME_first(shift, layer->right); x < end; ++x) {
                const int32_t value = from[x * layer->right + shift];
                sum[x] += tap * ((value < low ? low : value) - zero);
              }
            }
          }
        }
        for (x = 0; x < count; ++x)
          row[begin + x] = NAME_stored(NAME_scale(sum[x], multiplier[o], shifts[o]), layer, row[begin + x]);
      }
    }
  }
}

/* SPDX-License-Identifier: MIT */
/* out[x] += weight * max(in[x * step], low) */
static void NAME_add_row(float *NAME_RESTRICT out, const float *NAME_RESTRICT in, float weight, float low,
                         int count, int step)
{
  int x;
  if (step == 1) {
    for (x = 0; x < count; ++x) out[x] += weight * (in[x] < low ? low : in[x]);
  } else {
    for (x = 0; x < count; ++x) out[x] += weight * (in[x * step] < low ? low : in[x * step]);
  }
}

/* out[o][y][x] (+)= bias[o] + sum of weight[o][i][v][u] in[i][y down + v d - top][x right + u d - left] */
static void NAME_conv(const float *in, const float *weight, const float *bias, const NAME_layer *layer, float *out)
{
  const int depthwise = layer->flags & NAME_DEPTHWISE, inputs = depthwise ? 1 : layer->inputs;
  const float low = layer->flags & NAME_RELU_IN ? 0.0f : -HUGE_VALF;
  int o, y, i, v, u, x;
  for (o = 0; o < layer->outputs; ++o) {
    const float *plane = in + (depthwise ? (size_t)o * layer->height * layer->width : 0);
    for (y = 0; y < layer->out_height; ++y) {
      float *row = out + ((size_t)o * layer->out_height + y) * layer->out_width;
      const float *taps = weight + (size_t)o * inputs * layer->rows * layer->columns;
      for (x = 0; x < layer->out_width; ++x) row[x] = bias[o] + (layer->flags & NAME_ACCUMULATE ? row[x] : 0.0f);
      for (i = 0; i < inputs; ++i) {
        for (v = 0; v < layer->rows; ++v) {
          const int line = y * layer->down + v * layer->dilation - layer->top;
          if (line < 0 || line >= layer->height) {
            taps += layer->columns;
            continue;
          }
          const float *from = plane + ((size_t)i * layer->height + line) * layer->width;
          for (u = 0; u < layer->columns; ++u) {
            const int shift = u * layer->dilation - layer->left, first = NAME_first(shift, layer->right);
            const int count = NAME_end(layer->width, shift, layer->right, layer->out_width) - first;
            if (count > 0) NAME_add_row(row + first, from + first * layer->right + shift, *taps, low, count, layer->right);
            ++taps;
          }
        }
      }
      if (layer->flags & NAME_RELU)
        for (x = 0; x < layer->out_width; ++x) row[x] = row[x] < 0.0f ? 0.0f : row[x];
    }
  }
}

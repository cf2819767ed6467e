/* SPDX-License-Identifier: MIT */
/* sum[k][x] += weight[k][i] max(in[x], low), of four outputs */
static void NAME_add_four(float sum[4][16], const float *NAME_RESTRICT in, const float *const weight[4], int i,
                          float low, int count)
{
  const float a = weight[0][i], b = weight[1][i], c = weight[2][i], d = weight[3][i];
  int x;
  for (x = 0; x < count; ++x) {
    const float value = in[x] < low ? low : in[x];
    sum[0][x] += a * value;
    sum[1][x] += b * value;
    sum[2][x] += c * value;
    sum[3][x] += d * value;
  }
}

/* out[o][p] (+)= bias[o] + sum of weight[o][i] in[i][p], four outputs and sixteen pixels at a time */
static void NAME_pointwise(const float *in, const float *weight, const float *bias, const NAME_layer *layer,
                           float *out)
{
  const int inputs = layer->inputs, outputs = layer->outputs, pixels = layer->height * layer->width;
  const float low = layer->flags & NAME_RELU_IN ? 0.0f : -HUGE_VALF;
  int o, p, i, k, x;
  for (o = 0; o < outputs; o += 4) {
    const int rows = outputs - o < 4 ? outputs - o : 4;
    const float *taps[4]; /* beyond the last output those of the first, for sums that nobody reads */
    for (k = 0; k < 4; ++k) taps[k] = weight + (size_t)(k < rows ? o + k : o) * inputs;
    for (p = 0; p < pixels; p += 16) {
      const int count = pixels - p < 16 ? pixels - p : 16;
      const float *from = in + p;
      float sum[4][16];
      for (k = 0; k < 4; ++k)
        for (x = 0; x < 16; ++x) sum[k][x] = k < rows ? bias[o + k] : 0.0f;
      if (count == 16) { /* a number that compilers know */
        for (i = 0; i < inputs; ++i) NAME_add_four(sum, from + (size_t)i * pixels, taps, i, low, 16);
      } else {
        for (i = 0; i < inputs; ++i) NAME_add_four(sum, from + (size_t)i * pixels, taps, i, low, count);
      }
      for (k = 0; k < rows; ++k) {
        float *to = out + (size_t)(o + k) * pixels + p;
        for (x = 0; x < count; ++x) {
          const float value = sum[k][x] + (layer->flags & NAME_ACCUMULATE ? to[x] : 0.0f);
          to[x] = layer->flags & NAME_RELU && value < 0.0f ? 0.0f : value;
        }
      }
    }
  }
}

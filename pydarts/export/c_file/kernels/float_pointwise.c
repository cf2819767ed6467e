/* SPDX-License-Identifier: MIT */
/* out[o][p] (+)= bias[o] + sum of weight[o][i] in[i][p], four outputs and sixteen pixels at a time */
static void NAME_pointwise(const float *in, const float *weight, const float *bias, const NAME_layer *layer,
                           float *out)
{
  const int inputs = layer->inputs, outputs = layer->outputs, pixels = layer->height * layer->width;
  const float low = layer->flags & NAME_RELU_IN ? 0.0f : -HUGE_VALF;
  int o, p, i, k, x;
  for (o = 0; o < outputs; o += 4) {
    const int rows = outputs - o < 4 ? outputs - o : 4;
    const float *taps = weight + (size_t)o * inputs;
    for (p = 0; p < pixels; p += 16) {
      const int count = pixels - p < 16 ? pixels - p : 16;
      float sum[4][16];
      for (k = 0; k < 4; ++k)
        for (x = 0; x < 16; ++x) sum[k][x] = k < rows ? bias[o + k] : 0.0f;
      if (rows == 4 && count == 16) {
        for (i = 0; i < inputs; ++i) {
          const float *from = in + (size_t)i * pixels + p;
          const float a = taps[i], b = taps[inputs + i], c = taps[2 * inputs + i], d = taps[3 * inputs + i];
          for (x = 0; x < 16; ++x) {
            const float value = from[x] < low ? low : from[x];
            sum[0][x] += a * value;
            sum[1][x] += b * value;
            sum[2][x] += c * value;
            sum[3][x] += d * value;
          }
        }
      } else {
        for (i = 0; i < inputs; ++i) {
          const float *from = in + (size_t)i * pixels + p;
          for (x = 0; x < count; ++x) {
            const float value = from[x] < low ? low : from[x];
            for (k = 0; k < rows; ++k) sum[k][x] += taps[k * inputs + i] * value;
          }
        }
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

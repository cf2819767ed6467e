/* SPDX-License-Identifier: MIT */
/* sum[k][x] = bias[k] + sum over i of weight[k][i] max(in[i][x], low), of up to four outputs and 16 pixels */
static void NAME_sums(const int8_t *in, const int8_t *weight, const int32_t *bias, int32_t low, int inputs,
                      int pixels, int rows, int count, int32_t sum[4][16])
{
  int i, k, x;
  for (k = 0; k < 4; ++k)
    for (x = 0; x < 16; ++x) sum[k][x] = k < rows ? bias[k] : 0;
  if (rows == 4 && count == 16) {
    for (i = 0; i < inputs; ++i, in += pixels) {
      const int32_t a = weight[i], b = weight[inputs + i], c = weight[2 * inputs + i], d = weight[3 * inputs + i];
      for (x = 0; x < 16; ++x) {
        const int32_t value = in[x] < low ? low : in[x];
        sum[0][x] += a * value;
        sum[1][x] += b * value;
        sum[2][x] += c * value;
        sum[3][x] += d * value;
      }
    }
    return;
  }
  for (i = 0; i < inputs; ++i, in += pixels)
    for (x = 0; x < count; ++x) {
      const int32_t value = in[x] < low ? low : in[x];
      for (k = 0; k < rows; ++k) sum[k][x] += weight[k * inputs + i] * value;
    }
}

/* SPDX-License-Identifier: MIT */
/* sum[k][x] += weight[k][i] max(in[x], low), of four outputs */
static void NAME_add_four(int32_t sum[4][16], const int8_t *NAME_RESTRICT in, const int8_t *const weight[4], int i,
                          int32_t low, int count)
{
  const int32_t a = weight[0][i], b = weight[1][i], c = weight[2][i], d = weight[3][i];
  int x;
  for (x = 0; x < count; ++x) {
    const int32_t value = in[x] < low ? low : in[x];
    sum[0][x] += a * value;
    sum[1][x] += b * value;
    sum[2][x] += c * value;
    sum[3][x] += d * value;
  }
}

/* sum[k][x] = bias[k] + sum over i of weight[k][i] max(in[i][x], low), of up to four outputs and 16 pixels */
static void NAME_sums(const int8_t *in, const int8_t *weight, const int32_t *bias, int32_t low, int inputs,
                      int pixels, int rows, int count, int32_t sum[4][16])
{
  const int8_t *taps[4]; /* beyond the last output those of the first, for sums that nobody reads */
  int i, k, x;
  for (k = 0; k < 4; ++k) taps[k] = weight + (size_t)(k < rows ? k : 0) * inputs;
  for (k = 0; k < 4; ++k)
    for (x = 0; x < 16; ++x) sum[k][x] = k < rows ? bias[k] : 0;
  if (count == 16) { /* a number that compilers know */
    for (i = 0; i < inputs; ++i) NAME_add_four(sum, in + (size_t)i * pixels, taps, i, low, 16);
  } else {
    for (i = 0; i < inputs; ++i) NAME_add_four(sum, in + (size_t)i * pixels, taps, i, low, count);
  }
}

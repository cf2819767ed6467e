/* SPDX-License-Identifier: MIT */
/* The classifier: its sums are the only numbers that become floats. */
static void NAME_classify(const int8_t *in, const int8_t *weight, const int32_t *bias, const float *unit, int inputs,
                          int outputs, float *logits)
{
  int o, k;
  for (o = 0; o < outputs; o += 4) {
    const int rows = outputs - o < 4 ? outputs - o : 4;
    int32_t sum[4][16];
    NAME_sums(in, weight + (size_t)o * inputs, bias + o, -128, inputs, 1, rows, 1, sum);
    for (k = 0; k < rows; ++k) logits[o + k] = (float)sum[k][0] * unit[o + k];
  }
}

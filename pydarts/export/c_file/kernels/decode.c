/* SPDX-License-Identifier: MIT */
/* logits[v] = bias[v] + sum of state[k] encoder[v][k], in eight sums side by side */
static void NAME_decode(const float *state, float *logits)
{
  int v, k, j;
  for (v = 0; v < NAME_TOKENS; ++v) {
    const float *row = NAME_encoder + (size_t)v * NAME_HIDDEN;
    float sum[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f}, total = NAME_bias[v];
    for (k = 0; k + 8 <= NAME_HIDDEN; k += 8)
      for (j = 0; j < 8; ++j) sum[j] += row[k + j] * state[k + j];
    for (; k < NAME_HIDDEN; ++k) total += row[k] * state[k];
    for (j = 0; j < 8; ++j) total += sum[j];
    logits[v] = total;
  }
}

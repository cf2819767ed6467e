/* SPDX-License-Identifier: MIT */
/* product[k] = sum of in[i] weight[i][k] */
static void NAME_product(const float *in, const float *weight, int inputs, int outputs, float *product)
{
  int i, k;
  for (k = 0; k < outputs; ++k) product[k] = 0.0f;
  for (i = 0; i < inputs; ++i, weight += outputs)
    for (k = 0; k < outputs; ++k) product[k] += in[i] * weight[k];
}

/* to = carried + sigmoid(gate) * (activation(update) - carried); gate and update are halves of the product */
static void NAME_highway(const float *product, const float *carried, int activation, float *to)
{
  int k;
  for (k = 0; k < NAME_HIDDEN; ++k) {
    const float gate = 1.0f / (1.0f + expf(-product[k]));
    float update = product[NAME_HIDDEN + k];
    if (activation == NAME_TANH) update = tanhf(update);
    if (activation == NAME_RELU) update = update < 0.0f ? 0.0f : update;
    if (activation == NAME_SIGMOID) update = 1.0f / (1.0f + expf(-update));
    to[k] = carried[k] + gate * (update - carried[k]);
  }
}

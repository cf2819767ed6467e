/* SPDX-License-Identifier: MIT */
/* to[x] (+)= value[x], with what the layer's flags ask for */
static void NAME_store(const float *value, int count, int flags, float *to)
{
  int x;
  for (x = 0; x < count; ++x) {
    const float sum = value[x] + (flags & NAME_ACCUMULATE ? to[x] : 0.0f);
    to[x] = flags & NAME_RELU && sum < 0.0f ? 0.0f : sum;
  }
}

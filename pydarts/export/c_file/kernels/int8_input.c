/* SPDX-License-Identifier: MIT */
/* A product and a sum could become one rounding on some processors, a quotient and a sum cannot. */
static int8_t NAME_input(float value, int channel)
{
  const float level = floorf((value - NAME_mean[channel]) / NAME_unit[channel] + 0.5f) + (float)NAME_INPUT_ZERO;
  return (int8_t)(level > -128.0f ? (level < 127.0f ? level : 127.0f) : -128.0f);
}

/* SPDX-License-Identifier: MIT */
/* The first pixel of a row for which x * step + shift is not below 0. */
static int NAME_first(int shift, int step) { return shift < 0 ? (step - 1 - shift) / step : 0; }

/* The first pixel from which on x * step + shift is not below the width, at most count. */
static int NAME_end(int width, int shift, int step, int count)
{
  const int end = width > shift ? (width - shift + step - 1) / step : 0;
  return end < count ? end : count;
}

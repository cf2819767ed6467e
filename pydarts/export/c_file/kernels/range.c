/* SPDX-License-Identifier: MIT */
/* The first pixel of a row for which x * step + shift is not below 0. */
static int NAME_first(int shift, int step)
{
  if (shift >= 0) return 0;
  return step == 1 ? -shift : (step - 1 - shift) / step;
}

/* The first pixel from which on x * step + shift is not below the width, at most count. */
static int NAME_end(int width, int shift, int step, int count)
{
  const int left = width > shift ? width - shift : 0, end = step == 1 ? left : (left + step - 1) / step;
  return end < count ? end : count;
}

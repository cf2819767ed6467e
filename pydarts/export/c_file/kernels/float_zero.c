/* SPDX-License-Identifier: MIT */
static void NAME_zero(float *out, int count) { memset(out, 0, (size_t)count * sizeof *out); }

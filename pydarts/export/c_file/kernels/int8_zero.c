/* SPDX-License-Identifier: MIT */
static void NAME_zero(int8_t *out, int zero, int count) { memset(out, zero, (size_t)count); }

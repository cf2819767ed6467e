/* SPDX-License-Identifier: MIT */
static float NAME_input(float value, int channel) { return (value - NAME_mean[channel]) / NAME_unit[channel]; }

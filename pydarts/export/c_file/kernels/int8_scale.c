/* SPDX-License-Identifier: MIT */
/* value * multiplier / 2^shift, to the nearest; halves go up */
static int32_t NAME_scale(int32_t value, int32_t multiplier, int shift)
{
  const int64_t product = (int64_t)value * multiplier + ((int64_t)1 << (shift - 1));
  /* Shifted as what is not negative: C leaves open what becomes of a negative number. */
  const int64_t scaled = product < 0 ? ~(~product >> shift) : product >> shift;
  return scaled > 1024 ? 1024 : scaled < -1024 ? -1024 : (int32_t)scaled;
}

/* to (+)= what a scaled value stands for, cut off at the ends of 8 bits, with a ReLU at zero */
static int8_t NAME_stored(int32_t scaled, const NAME_layer *layer, int8_t to)
{
  const int32_t low = layer->flags & NAME_RELU ? layer->out_zero : -128;
  const int32_t value = scaled + (layer->flags & NAME_ACCUMULATE ? to : layer->out_zero);
  return (int8_t)(value < low ? low : value > 127 ? 127 : value);
}

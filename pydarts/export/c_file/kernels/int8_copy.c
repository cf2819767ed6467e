/* SPDX-License-Identifier: MIT */
static void NAME_copy(const int8_t *in, const int32_t *multiplier, const int8_t *shift, const NAME_layer *layer,
                      int8_t *out)
{
  const int count = layer->outputs * layer->out_height * layer->out_width;
  int x;
  for (x = 0; x < count; ++x)
    out[x] = NAME_stored(NAME_scale(in[x] - layer->in_zero, *multiplier, *shift), layer, out[x]);
}

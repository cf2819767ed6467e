/* SPDX-License-Identifier: MIT */
static void NAME_copy(const float *in, const NAME_layer *layer, float *out)
{
  NAME_store(in, layer->outputs * layer->out_height * layer->out_width, layer->flags, out);
}

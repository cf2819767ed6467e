/* SPDX-License-Identifier: MIT */
/* What is done to an input of (inputs, height, width), to give (outputs, out_height, out_width). */
typedef struct {
  NAME_size inputs, height, width;
  NAME_size outputs, out_height, out_width;
  NAME_size rows, columns;             /* of the window */
  NAME_size down, right;               /* strides */
  NAME_size dilation, top, left;       /* padding; negative: pixels that are left out */
  NAME_size flags, in_zero, out_zero;  /* what stands for zero in 8 bits */
} NAME_layer;
enum { NAME_DEPTHWISE = 1, NAME_RELU_IN = 2, NAME_ACCUMULATE = 4, NAME_RELU = 8 };

// SPDX-License-Identifier: MIT
// Candidate operations as data: a chain of stages, which the graph builder turns into units.
#pragma once
#include <string>
#include <vector>

namespace pydarts {

enum class StageKind {
  relu,
  depthwise,    // kernel x kernel, one filter a channel
  convolution,  // kernel_h x kernel_w over all channels; 1 x 1 is the pointwise product
  reduce,       // factorized reduce: two strided 1 x 1 convolutions, the second shifted by a pixel
  batch_norm,
  max_pool,  // 3 x 3
  avg_pool
};

struct Stage {
  StageKind kind;
  std::string tail;  // of the parameter names: after the operation's own name
  int kernel_h = 1, kernel_w = 1;
  int dilation = 1;
  int stride_h = 1, stride_w = 1;
};

struct Operation {
  std::string name;
  bool zero = false;          // contributes nothing
  std::vector<Stage> stages;  // empty: the identity
};

// The chain of a candidate operation at a stride of 1 or 2. In the search network pools end in a batch
// normalisation. Throws InvalidArgument for an unknown name.
Operation make_operation(const std::string& name, int stride, bool search);

// The fixed chains around the cells.
Operation factorized_reduce();
Operation relu_conv_bn();
Operation stem();

// Names in the order of the alpha columns.
const std::vector<std::string>& candidate_operations();

}  // namespace pydarts

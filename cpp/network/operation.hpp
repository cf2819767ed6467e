// SPDX-License-Identifier: MIT
// An operation on an edge of a given stride, in the search or in a derived network: a chain of links, which the graph
// builder turns into units and pools.
#pragma once
#include <string>
#include <vector>

#include "spaces/space.hpp"

namespace pydarts {

struct Link {
  enum class Kind : std::uint8_t {
    relu,
    depthwise,
    convolution,
    reduce,  // factorized reduce: two strided 1 x 1 convolutions, the second shifted by a pixel
    batch_norm,
    max_pool,
    avg_pool,
    shuffle  // channel q of C goes to q % (C / groups) * groups + q / (C / groups)
  };
  Kind kind;
  std::string tail;  // of the parameter names: after the operation's own name
  int kernel_h = 1, kernel_w = 1;
  int dilation = 1;
  int stride_h = 1, stride_w = 1;
  int channels = 0;        // of a convolution's output; 0: the node's
  bool bias = false;       // of a convolution
  bool rounds_up = false;  // of a pool: what is left at the end of a side has an output of its own
  int groups = 1;          // of a shuffle

  bool is_pool() const { return kind == Kind::max_pool || kind == Kind::avg_pool; }
  int pad_h() const { return padding(kernel_h); }
  int pad_w() const { return padding(kernel_w); }

 private:
  int padding(int side) const { return side % 2 == 1 ? dilation * (side - 1) / 2 : 0; }  // even ones are not padded
};

struct Chain {
  enum class Gives : std::uint8_t { output, nothing, noise };
  std::string name;         // of the operation
  std::vector<Link> links;  // none: the identity
  Gives gives = Gives::output;
  int stride_h = 1, stride_w = 1;  // of the edge
};

enum class Phase : std::uint8_t { search, derived };

// The chain of an operation at a stride of 1 or 2. InvalidArgument if it cannot take the stride.
Chain lowered(const Operation& operation, int stride, int dimensions, Phase phase, bool conv_bias);

// The fixed chains around the cells.
Chain factorized_reduce(int dimensions);
Chain relu_conv_bn();
// What passes the operations of an edge by: the input, or at a stride of 2 the maxima of two by two.
Chain bypass(int stride, int dimensions);
Chain channel_shuffle(int groups);
// A square convolution, or 1 x side.
Link convolution(const std::string& tail, int side, int stride, int dimensions, int channels = 0);

}  // namespace pydarts

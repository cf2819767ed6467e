// SPDX-License-Identifier: MIT
// A derived network for images of one size as steps over buffers: what is written in C. As
// pydarts/export/c_file/program.py, whose float files are the same to the byte.
//
// Batch normalisations are folded into convolutions, or are depthwise ones of a single tap. The edges of a node add to
// one buffer, and the nodes that a cell concatenates are slices of one.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "network/graph.hpp"
#include "spaces/genotype.hpp"

namespace pydarts {

// Planes of values, channel by channel.
struct CBuffer {
  int channels, height, width;
  std::int64_t plane() const { return std::int64_t(height) * width; }
  std::int64_t values() const { return channels * plane(); }
};

// Consecutive channels of a buffer.
struct CTensor {
  int buffer, first, channels;
};

// Reads a tensor and writes, or adds to, another one.
struct CStep {
  enum class Kind : std::uint8_t {
    convolution,  // over all channels, or of each by itself if it is depthwise
    max_pool,     // of what of a window lies inside
    avg_pool,
    copy,
    zero  // whatever is read
  };
  Kind kind;
  CTensor reads, writes;
  bool accumulate = false;
  bool relu = false;     // of what is written, the sum if it adds
  bool relu_in = false;  // of what is read
  bool depthwise = false;
  int rows = 1, columns = 1;  // of the window
  int down = 1, right = 1;    // strides
  int dilation = 1;
  int top = 0, left = 0;            // padding; negative where the first pixels are left out
  std::vector<float> weight, bias;  // (outputs, inputs, rows, columns), inputs 1 if it is depthwise; (outputs,)

  // Whether it is a product at each pixel.
  bool is_pointwise() const {
    return kind == Kind::convolution && !depthwise && rows == 1 && columns == 1 && down == 1 && right == 1 &&
           top == 0 && left == 0;
  }
};

// Steps from the first buffer, a normalised image, to the last one, the logits.
struct CProgram {
  std::vector<CBuffer> buffers;
  std::vector<CStep> steps;

  std::int64_t macs() const;  // of the convolutions and of the classifier; padding counts
};

// Gives the values of a named weight or running statistic of so many elements.
using TensorOf = std::function<std::vector<double>(const std::string& name, std::size_t count)>;

CProgram c_program(const Genotype& genotype, const NetworkConfig& config, int height, int width,
                   const TensorOf& tensor);

}  // namespace pydarts

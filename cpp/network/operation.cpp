// SPDX-License-Identifier: MIT
#include "network/operation.hpp"

#include "core/error.hpp"

namespace pydarts {
namespace {

using K = StageKind;

// Stages in the order of the original's Sequential, whose positions name the parameters.
void number(std::vector<Stage>& chain, const std::string& member) {
  for (std::size_t i = 0; i < chain.size(); ++i) chain[i].tail = text(member, ".", i);
}

// One half of a separable convolution, or a dilated convolution.
void add_depthwise_half(std::vector<Stage>& chain, int kernel, int dilation, int stride) {
  chain.push_back({K::relu});
  chain.push_back({K::depthwise, "", kernel, kernel, dilation, stride, stride});
  chain.push_back({K::convolution});
  chain.push_back({K::batch_norm});
}

}  // namespace

const std::vector<std::string>& candidate_operations() {
  static const std::vector<std::string> names = {"none",         "max_pool_3x3", "avg_pool_3x3", "skip_connect",
                                                 "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"};
  return names;
}

Operation make_operation(const std::string& name, int stride, bool search) {
  Operation op{name, false, {}};
  auto& chain = op.stages;
  if (name == "none") {
    op.zero = true;
  } else if (name == "max_pool_3x3" || name == "avg_pool_3x3") {
    chain.push_back({name[0] == 'm' ? K::max_pool : K::avg_pool, "", 3, 3, 1, stride, stride});
    if (search) chain.push_back({K::batch_norm});
    number(chain, "");
  } else if (name == "skip_connect") {
    if (stride > 1) return factorized_reduce();
  } else if (name == "sep_conv_3x3" || name == "sep_conv_5x5" || name == "sep_conv_7x7") {
    const int kernel = name.back() - '0';
    add_depthwise_half(chain, kernel, 1, stride);
    add_depthwise_half(chain, kernel, 1, 1);
    number(chain, ".op");
  } else if (name == "dil_conv_3x3" || name == "dil_conv_5x5") {
    add_depthwise_half(chain, name.back() - '0', 2, stride);
    number(chain, ".op");
  } else if (name == "conv_7x1_1x7") {
    chain = {
        {K::relu}, {K::convolution, "", 1, 7, 1, 1, stride}, {K::convolution, "", 7, 1, 1, stride, 1}, {K::batch_norm}};
    number(chain, "");
  } else {
    throw InvalidArgument(text("unknown operation '", name, "'"));
  }
  return op;
}

Operation factorized_reduce() {
  return {"factorized_reduce", false, {{K::relu}, {K::reduce, "", 1, 1, 1, 2, 2}, {K::batch_norm, ".bn"}}};
}

Operation relu_conv_bn() {
  Operation op{"relu_conv_bn", false, {{K::relu}, {K::convolution}, {K::batch_norm}}};
  number(op.stages, ".op");
  return op;
}

Operation stem() {
  Operation op{"stem", false, {{K::convolution, "", 3, 3}, {K::batch_norm}}};
  number(op.stages, "");
  return op;
}

}  // namespace pydarts

// SPDX-License-Identifier: MIT
#include "network/operation.hpp"

#include <algorithm>

#include "core/error.hpp"

namespace pydarts {
namespace {

using K = Link::Kind;

K link_kind(StageKind kind) {
  switch (kind) {
    case StageKind::relu:
      return K::relu;
    case StageKind::depthwise:
      return K::depthwise;
    case StageKind::convolution:
      return K::convolution;
    case StageKind::max_pool:
      return K::max_pool;
    case StageKind::avg_pool:
      return K::avg_pool;
    default:
      return K::batch_norm;
  }
}

}  // namespace

Chain lowered(const Operation& operation, int stride, int dimensions, Phase phase, bool conv_bias) {
  Chain chain{operation.name};
  chain.stride_h = dimensions == 1 ? 1 : stride;
  chain.stride_w = stride;
  if (operation.is_none() || (operation.is_noise() && phase == Phase::derived)) {
    chain.gives = Chain::Gives::nothing;
    return chain;
  }
  if (operation.is_noise()) {
    chain.gives = Chain::Gives::noise;
    return chain;
  }
  const auto& stages = operation.stages;
  if (stages.empty()) {
    if (stride > 1) {
      chain.links = factorized_reduce(dimensions).links;
    }
    return chain;
  }
  const bool by_axis =
      std::any_of(stages.begin(), stages.end(), [](const Stage& s) { return s.strides != StrideAxis::first; });
  bool strided = stride == 1;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const Stage& stage = stages[i];
    if (stage.kind == StageKind::search_batch_norm && phase == Phase::derived) continue;
    const std::string tail = operation.prefix.empty() ? text(".", i) : text(".", operation.prefix, ".", i);
    Link link{link_kind(stage.kind), tail, stage.kernel_h, stage.kernel_w, stage.dilation};
    if (stage.has_window() && (by_axis ? stage.strides != StrideAxis::first : !strided)) {
      if (stage.strides != StrideAxis::width) link.stride_h = chain.stride_h;
      if (stage.strides != StrideAxis::height) link.stride_w = chain.stride_w;
      strided = true;
    }
    link.bias = conv_bias && phase == Phase::search && stage.kind == StageKind::convolution && i + 1 < stages.size() &&
                stages[i + 1].is_norm();
    chain.links.push_back(std::move(link));
  }
  require(strided, "operation '", operation.name, "' has no stage that could take the stride ", stride);
  return chain;
}

Chain factorized_reduce(int dimensions) {
  Chain chain{"factorized_reduce"};
  chain.stride_h = dimensions == 1 ? 1 : 2;
  chain.stride_w = 2;
  Link reduce{K::reduce};
  reduce.stride_h = chain.stride_h;
  reduce.stride_w = chain.stride_w;
  chain.links = {{K::relu}, reduce, {K::batch_norm, ".bn"}};
  return chain;
}

Chain relu_conv_bn() {
  return {"relu_conv_bn", {{K::relu, ".op.0"}, {K::convolution, ".op.1"}, {K::batch_norm, ".op.2"}}};
}

Chain bypass(int stride, int dimensions) {
  Chain chain{"bypass"};
  chain.stride_h = dimensions == 1 ? 1 : stride;
  chain.stride_w = stride;
  if (stride == 1) return chain;
  Link pool{K::max_pool, "", chain.stride_h, stride};
  pool.stride_h = chain.stride_h;
  pool.stride_w = stride;
  pool.rounds_up = true;
  chain.links = {pool};
  return chain;
}

Chain channel_shuffle(int groups) {
  Link shuffle{K::shuffle};
  shuffle.groups = groups;
  return {"channel_shuffle", {shuffle}};
}

Link convolution(const std::string& tail, int side, int stride, int dimensions, int channels) {
  const int height = dimensions == 1 ? 1 : side, down = dimensions == 1 ? 1 : stride;
  return {K::convolution, tail, height, side, 1, down, stride, channels};
}

}  // namespace pydarts

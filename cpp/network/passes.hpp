// SPDX-License-Identifier: MIT
// Walks that the passes of a network share.
#pragma once
#include "core/parallel.hpp"
#include "network/network.hpp"

namespace pydarts {

// f(index of the weight, index in the packed [block][tap][lane])
template <class F>
void for_depthwise_weights(const Graph& graph, const Unit& unit, F f) {
  if (unit.depthwise < 0) return;
  const std::size_t first = graph.parameters[unit.depthwise].offset;
  const int taps = unit.taps();
  for (int c = 0; c < unit.in.count(); ++c) {
    const int lane = unit.in.lane(c);
    const std::size_t block = std::size_t(lane / kLanes) * taps * kLanes + lane % kLanes;
    for (int t = 0; t < taps; ++t) f(first + std::size_t(c) * taps + t, block + std::size_t(t) * kLanes);
  }
}

// f(index of the weight, row, column) of the packed product
template <class F>
void for_product_weights(const Graph& graph, const Unit& unit, F f) {
  const int in_lanes = unit.in.lanes();
  for (const ProductPart& part : unit.parts) {
    std::size_t weight = graph.parameters[part.parameter].offset;
    for (int o = 0; o < part.count; ++o) {
      const int column = unit.out.lane(part.first + o);
      for (int c = 0; c < unit.in.count(); ++c)
        for (int t = 0; t < part.taps; ++t) f(weight++, (part.first_tap + t) * in_lanes + unit.in.lane(c), column);
    }
  }
}

// f(index in an (N, C, H, W) array, element of the activation)
template <class T, class F>
void copy_channels(const Channels& channels, int plane, int samples, View<T> view, F f) {
  std::size_t at = 0;
  for (int n = 0; n < samples; ++n)
    for (int c = 0; c < channels.count(); ++c) {
      const int lane = channels.lane(c);
      T* p = view.data + n * view.stride + std::size_t(lane / kLanes) * plane * kLanes + lane % kLanes;
      for (int i = 0; i < plane; ++i) f(at++, p[std::size_t(i) * kLanes]);
    }
}

// Runs body(first sample, samples, shard, thread) over groups of at most `group` samples, in parallel by shard.
template <class T>
template <class Body>
void Network<T>::for_groups(int group, Body body) {
  const auto& shards = plan_->shards;
  parallel_for(threads_, int(shards.size()), [&](int shard, int thread) {
    for (int n = shards[shard].begin; n < shards[shard].end; n += group) {
      if (cancel_ && std::this_thread::get_id() == caller_ && cancel_()) stop_ = true;
      if (stop_) return;
      body(n, std::min(group, shards[shard].end - n), shard, thread);
    }
  });
}

template <class T>
View<const T> readable(View<T> view) {
  return {view.data, view.stride};
}

}  // namespace pydarts

// SPDX-License-Identifier: MIT
// Walks that the passes of a network share.
#pragma once
#include "core/parallel.hpp"
#include "network/network.hpp"

namespace pydarts {

// f(lane) of each channel in turn
template <class F>
void for_lanes(const Channels& channels, F f) {
  const int padded = blocks_of(channels.part) * kLanes;
  for (int part = 0; part < channels.parts; ++part)
    for (int i = 0; i < channels.part; ++i) f(part * padded + i);
}

// f(index of the weight, index in the packed [block][tap][lane])
template <class F>
void for_depthwise_weights(const Graph& graph, const Unit& unit, F f) {
  if (unit.depthwise < 0) return;
  std::size_t weight = graph.parameters[unit.depthwise].offset;
  const int taps = unit.taps();
  for_lanes(unit.in, [&](int lane) {
    const std::size_t block = std::size_t(lane / kLanes) * taps * kLanes + lane % kLanes;
    for (int t = 0; t < taps; ++t) f(weight++, block + std::size_t(t) * kLanes);
  });
}

// f(index of the weight, row, column) of the packed product
template <class F>
void for_product_weights(const Graph& graph, const Unit& unit, F f) {
  const int in_lanes = unit.in.lanes();
  for (const ProductPart& part : unit.parts) {
    std::size_t weight = graph.parameters[part.parameter].offset;
    for (int o = 0; o < part.count; ++o) {
      const int column = unit.out.lane(part.first + o);
      for_lanes(unit.in, [&](int lane) {
        for (int t = 0; t < part.taps; ++t) f(weight++, (part.first_tap + t) * in_lanes + lane, column);
      });
    }
  }
}

// f(index in an (N, C, H, W) array, element of the activation)
template <class T, class F>
void copy_channels(const Channels& channels, int plane, int samples, View<T> view, F f) {
  std::size_t at = 0;
  for (int n = 0; n < samples; ++n)
    for_lanes(channels, [&](int lane) {
      T* p = view.data + n * view.stride + std::size_t(lane / kLanes) * plane * kLanes + lane % kLanes;
      for (int i = 0; i < plane; ++i) f(at++, p[std::size_t(i) * kLanes]);
    });
}

// Runs body(first sample, samples, shard, thread) over groups of at most `group` samples, in parallel by shard.
template <class T>
template <class Body>
void Network<T>::for_groups(const Pass& pass, int group, Body body) {
  const auto& shards = pass.plan.shards;
  parallel_for(threads_, int(shards.size()), [&](int shard, int thread) {
    for (int n = shards[shard].begin; n < shards[shard].end; n += group) {
      if (cancel_ && std::this_thread::get_id() == pass.caller && cancel_()) stop_ = true;
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

// SPDX-License-Identifier: MIT
// Walks that the passes of a network share.
#pragma once
#include <algorithm>

#include "core/parallel.hpp"
#include "network/network.hpp"

namespace pydarts {

constexpr int kOwnWork = 16;  // of completing a channel, in additions

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

// f(index of the weight, row, column) of some blocks of rows of the packed product
template <class F>
void for_product_weights(const Graph& graph, const Unit& unit, int first_block, int last_block, F f) {
  const int in_blocks = unit.in.blocks(), inputs = unit.in.count(), padded = blocks_of(unit.in.part);
  for (const ProductPart& part : unit.parts)
    for (int o = 0; o < part.count; ++o) {
      const int column = unit.out.lane(part.first + o);
      const std::size_t weights = graph.parameters[part.parameter].offset + std::size_t(o) * inputs * part.taps;
      for (int t = 0; t < part.taps; ++t) {
        const int tap = (part.first_tap + t) * in_blocks;  // its first block
        for (int b = std::max(first_block - tap, 0); b < std::min(last_block - tap, in_blocks); ++b) {
          const int within = b % padded * kLanes, channel = b / padded * unit.in.part + within;
          for (int i = 0; i < std::min(kLanes, unit.in.part - within); ++i)
            f(weights + std::size_t(channel + i) * part.taps + t, (tap + b) * kLanes + i, column);
        }
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

// Runs body(first sample, samples, task, thread) over groups of samples of a state, in parallel by task.
template <class T>
template <class Body>
void Network<T>::for_groups(const Pass& pass, int v, Body body) {
  const int group = pass.plan.states[v].group;
  parallel_for(threads_, pass.plan.states[v].tasks, [&](int task, int thread) {
    const int end = pass.plan.first_sample(v, task + 1);
    for (int n = pass.plan.first_sample(v, task); n < end; n += group) {
      if (cancel_ && std::this_thread::get_id() == pass.caller && !stop_ && cancel_()) stop_ = true;
      if (stop_) return;
      body(n, std::min(group, end - n), task, thread);
    }
  });
}

// Completes the sums of what left state v in a phase: parts() gives those of all tasks. Those of the affine maps -1 are
// not needed.
template <class T>
template <class AffineOf>
void Network<T>::meet(const Pass& pass, int v, int count, AffineOf affine_of) {
  if (messages_.several()) {
    meeting_.clear();
    for (int i = 0; i < count; ++i)
      if (affine_of(i) >= 0) meeting_.push_back(affine_of(i));
    return exchange_sums(pass, v);
  }
  const int tasks = pass.plan.states[v].tasks;
  parts_.resize(tasks);
  for (int task = 0; task < tasks; ++task) parts_[task] = sums(v, task);
}

// f(block, its first channel, its channels): the blocks of an activation.
template <class F>
void for_blocks(const Channels& channels, F f) {
  const int padded = blocks_of(channels.part);
  for (int block = 0; block < channels.blocks(); ++block) {
    const int within = block % padded * kLanes;
    f(block, block / padded * channels.part + within, std::min(kLanes, channels.part - within));
  }
}

template <class T>
View<const T> readable(View<T> view) {
  return {view.data, view.stride};
}

}  // namespace pydarts

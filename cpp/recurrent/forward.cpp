// SPDX-License-Identifier: MIT
#include <algorithm>

#include "core/parallel.hpp"
#include "recurrent/recurrent.hpp"

namespace pydarts {

// x_t, and its product for all steps at once, into the gates of s_0.
template <class T>
void RecurrentNetwork<T>::embed() {
  const int rows = segment_.length * segment_.batch;
  const Matrix& matrix = matrices_[0];
  const T* encoder = pass_weights_ + parameters_[0].offset;
  const T *outer = mask(kEmbeddingMask), *inner = mask(kInputMask);
  parallel_for(threads_, (rows + kRowTask - 1) / kRowTask, [&](int task, int) {
    const int first = task * kRowTask, count = std::min(kRowTask, rows - first);
    T* embedded = arena_.data() + at_.embedded + std::size_t(first) * stride_;
    for (int r = 0; r < count; ++r) {
      T* to = embedded + std::size_t(r) * stride_;
      std::copy_n(encoder + std::size_t(segment_.x[first + r]) * hidden_, hidden_, to);
      const std::size_t b = std::size_t((first + r) % segment_.batch) * stride_;
      if (outer)
        for (int h = 0; h < hidden_; ++h) to[h] *= outer[b + h];
      if (inner)
        for (int h = 0; h < hidden_; ++h) to[h] *= inner[b + h];
    }
    for (int block = first_block(messages_.rank()); block < first_block(messages_.rank() + 1); ++block)
      kernels_.panel_product({gates(0, block, 0) + std::size_t(first) * kPanel, kPanel, embedded, std::size_t(stride_),
                              1, 0, panel(matrix, block), count, matrix.depth, 1, false});
  });
}

template <class T>
void RecurrentNetwork<T>::run_forward() {
  embed();
  const int batch = segment_.batch;
  T* states = arena_.data() + at_.states;
  T* masked = arena_.data() + at_.masked;
  const T* factor = mask(kHiddenMask);
  for (int b = 0; b < batch; ++b) {
    const std::size_t row = std::size_t(b) * stride_;
    const T* from = segment_.hidden + std::size_t(b) * hidden_;
    std::copy_n(from, hidden_, states + row);
    if (factor)
      for (int h = 0; h < hidden_; ++h) masked[row + h] = from[h] * factor[row + h];
  }
  for (int t = 0; t < segment_.length; ++t) {
    for (int node = 0; node < nodes(); ++node) {
      for_own_blocks(together(), [&](int first, int last) { forward_node(t, node, first, last); });
      if (messages_.several()) exchange_state(t, node);
    }
    check_cancelled();
  }
}

template <class T>
NodeBlock<T> RecurrentNetwork<T>::node_block(int t, int node, int block) {
  const std::size_t units = std::size_t(block) * kUnits;
  NodeBlock<T> call{};
  call.batch = segment_.batch;
  call.edges = edges(node);
  call.stride = stride_;
  call.gates = gates(node, block, t);
  call.sources = arena_.data() + at_.states + state_at(t, first_state(node)) + units;
  call.mixing = mixing_.data() + first_edge(node) * kActivations;
  call.state = arena_.data() + at_.states + state_at(t, node + 1) + units;
  if (cell_.search) {
    call.given = !training_;
    call.mean = training_ ? arena_.data() + at_.statistics + (std::size_t(step(t)) * nodes() + node) * 2 * stride_
                          : padded_running_.data();
    call.variance = call.mean + stride_ + units;
    call.mean += units;
  }
  return call;
}

// Some blocks of kUnits units of one node: product, gates, normalisation. The blocks take the same rows of the states
// one after the other, as many rows as stay in the cache.
template <class T>
void RecurrentNetwork<T>::forward_node(int t, int node, int first, int last) {
  const Matrix& matrix = matrices_[node + 1];
  const T* masked = arena_.data() + at_.masked + state_at(t, first_state(node));
  const int rows = edges(node) * segment_.batch, group = row_group(stride_);
  for (int row = 0; row < rows; row += group)
    for (int block = first; block < last; ++block)
      kernels_.panel_product({gates(node, block, t) + std::size_t(row) * kPanel, kPanel,
                              masked + std::size_t(row) * stride_, std::size_t(stride_), 1, 0, panel(matrix, block),
                              std::min(group, rows - row), matrix.depth, 1, node == 0});
  for (int block = first; block < last; ++block) {
    kernels_.gates_forward(node_block(t, node, block));
    finish_node(t, node, block);
  }
}

// What follows of kUnits units of a node's state: behind the mask; at the last node the mean of the outputs too.
template <class T>
void RecurrentNetwork<T>::finish_node(int t, int node, int block) {
  const int batch = segment_.batch;
  const std::size_t units = std::size_t(block) * kUnits;
  const T* factor = mask(kHiddenMask);
  auto copy_masked = [&](const T* state, T* to, const T* factors) {
    for (int b = 0; b < batch; ++b)
      for (int i = 0; i < kUnits; ++i) {
        const std::size_t at = std::size_t(b) * stride_ + i;
        to[at] = factors ? state[at] * factors[units + at] : state[at];
      }
  };
  if (factor)
    copy_masked(arena_.data() + at_.states + state_at(t, node + 1) + units,
                arena_.data() + at_.masked + state_at(t, node + 1) + units, factor);
  if (node + 1 < nodes()) return;
  const std::size_t next = hidden_at(t), first = state_at(t, 0), state_size = state_at(t, 1) - first;
  const T* states = arena_.data() + at_.states + first + units;
  T* hidden = arena_.data() + at_.states + next + units;
  const T share = T(1) / T(cell_.outputs.size());
  for (int b = 0; b < batch; ++b) {
    const std::size_t row = std::size_t(b) * stride_;
    T total[kUnits] = {};
    for (int output : cell_.outputs)
      for (int i = 0; i < kUnits; ++i) total[i] += states[(output + 2) * state_size + row + i];
    for (int i = 0; i < kUnits; ++i) hidden[row + i] = total[i] * share;
  }
  if (factor) copy_masked(hidden, arena_.data() + at_.masked + next + units, factor);
  copy_masked(hidden, arena_.data() + at_.outputs + std::size_t(t) * batch * stride_ + units, mask(kOutputMask));
}

template class RecurrentNetwork<float>;
template class RecurrentNetwork<double>;

}  // namespace pydarts

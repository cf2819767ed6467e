// SPDX-License-Identifier: MIT
#include <algorithm>

#include "core/parallel.hpp"
#include "recurrent/recurrent.hpp"

namespace pydarts {
namespace {

constexpr int kDepth = 256;  // rows of a weight gradient's product at a time: what they read stays in cache

}  // namespace

template <class T>
void RecurrentNetwork<T>::run_backward(T* d_weights, T* d_alphas, const Regularisation& regularisation) {
  d_mixing_.assign(std::size_t(blocks()) * mixing_.size(), 0);
  for (int t = segment_.length - 1; t >= 0; --t) {
    for_own_blocks([&](int block) { start_step(t, block, regularisation); });
    for (int node = nodes() - 1; node >= 0; --node) {
      for_own_blocks([&](int block) { backward_node(t, node, block, d_alphas != nullptr); });
      if (messages_.several()) {
        exchange_gates(t, node, d_weights != nullptr);
        continue;
      }
      if (t == 0 && node == 0) break;  // nobody asks for the gradient at the first hidden state
      const int panels = matrices_[node + 1].back_panels(), rows = edges(node) * segment_.batch;
      const int group = row_group(std::size_t(matrices_[node + 1].panels()) * kPanel);
      parallel_for(threads_, (rows + group - 1) / group * panels, [&](int task, int) {
        const int row = task / panels * group;  // all panels of a group, then the next
        backward_product(t, node, task % panels, row, std::min(group, rows - row));
      });
    }
    check_cancelled();
  }
  if (d_weights) weight_gradients();
  if (messages_.several()) exchange_gradients(d_weights, d_alphas != nullptr);
  if (d_weights) {
    parallel_for(threads_, int(matrices_.size()), [&](int index, int) { unpack(matrices_[index], d_weights); });
    embedding_gradient(d_weights);
  }
  if (d_alphas) alpha_gradient(d_alphas);
}

// The gradient at h_t, from the decoder, the next step and the regularisation, goes to the output nodes.
template <class T>
void RecurrentNetwork<T>::start_step(int t, int block, const Regularisation& regularisation) {
  const int batch = segment_.batch, length = segment_.length;
  const std::size_t units = std::size_t(block) * kUnits, state_size = std::size_t(batch) * stride_;
  T* d_states = arena_.data() + at_.d_states + units;
  T* d_masked = arena_.data() + at_.d_masked + units;
  const T* states = arena_.data() + at_.states + units;
  const T *hidden_mask = mask(kHiddenMask), *output_mask = mask(kOutputMask);
  const double numbers = double(batch) * hidden_;
  const T activation = T(2 * regularisation.activation / (numbers * length));
  const T slowness = length > 1 ? T(2 * regularisation.slowness / (numbers * (length - 1))) : T(0);
  const T share = T(1) / T(cell_.outputs.size());
  for (int b = 0; b < batch; ++b) {
    const std::size_t at = std::size_t(b) * stride_, row = std::size_t(t) * state_size + at + units;
    const T *outputs = arena_.data() + at_.outputs + row, *d_outputs = arena_.data() + at_.d_outputs + row;
    T d[kUnits];
    for (int i = 0; i < kUnits; ++i) d[i] = d_outputs[i] + activation * outputs[i];
    if (output_mask)
      for (int i = 0; i < kUnits; ++i) d[i] *= output_mask[units + at + i];
    if (t + 1 < length) {
      for (int i = 0; i < kUnits; ++i) d[i] += d_states[at + i];
      if (hidden_mask)
        for (int i = 0; i < kUnits; ++i) d[i] += d_masked[at + i] * hidden_mask[units + at + i];
    }
    for (int i = 0; slowness != 0 && i < kUnits; ++i) {
      const T h = states[hidden_at(t) + at + i];
      if (t > 0) d[i] += slowness * (h - states[hidden_at(t - 1) + at + i]);
      if (t + 1 < length) d[i] -= slowness * (states[hidden_at(t + 1) + at + i] - h);
    }
    for (int state = 0; state <= nodes(); ++state) {
      std::fill_n(d_states + state * state_size + at, kUnits, T(0));
      if (hidden_mask) std::fill_n(d_masked + state * state_size + at, kUnits, T(0));
    }
    for (int output : cell_.outputs)
      for (int i = 0; i < kUnits; ++i) d_states[(output + 2) * state_size + at + i] += d[i] * share;
  }
}

// kUnits units of one node: from the gradient at it to those by its gates.
template <class T>
void RecurrentNetwork<T>::backward_node(int t, int node, int block, bool wants_alphas) {
  const std::size_t units = std::size_t(block) * kUnits, state_size = std::size_t(segment_.batch) * stride_;
  T* d_states = arena_.data() + at_.d_states + units;
  T* d_state = d_states + (node + 1) * state_size;
  const T* d_masked = arena_.data() + at_.d_masked + units + (node + 1) * state_size;
  const T* factor = mask(kHiddenMask);
  for (int b = 0; factor && b < segment_.batch; ++b)
    for (int i = 0; i < kUnits; ++i) {
      const std::size_t at = std::size_t(b) * stride_ + i;
      d_state[at] += d_masked[at] * factor[units + at];
    }
  NodeBlock<T> call = node_block(t, node, block);
  call.gradient = d_state;
  call.d_sources = d_states + first_state(node) * state_size;
  if (wants_alphas && cell_.search && node > 0)
    call.d_mixing = d_mixing_.data() + block * mixing_.size() + first_edge(node) * kActivations;
  kernels_.gates_backward(call);
}

// The gradient at some rows of the masked states that a node reads, kPanel units of it.
template <class T>
void RecurrentNetwork<T>::backward_product(int t, int node, int panel, int row, int count) {
  const Matrix& matrix = matrices_[node + 1];
  T* to = arena_.data() + at_.d_masked + (std::size_t(first_state(node)) * segment_.batch + row) * stride_ +
          std::size_t(panel) * kPanel;
  kernels_.panel_product({to, std::size_t(stride_), gates(node, 0, t) + std::size_t(row) * kPanel, kPanel, 1,
                          gates_stride(node), back_panel(matrix, panel), count, kPanel, matrix.panels(), true});
}

template <class T>
void RecurrentNetwork<T>::weight_gradients() {
  const int length = segment_.length, batch = segment_.batch, rows = length * batch;
  const T* masked = arena_.data() + at_.masked;
  // Of x: the product goes where the gradient at the outputs was, which has been used.
  T* d_embedded = arena_.data() + at_.d_outputs;
  const int tasks_of_rows = messages_.several() ? 0 : (rows + kRowTask - 1) / kRowTask;  // else step by step
  parallel_for(threads_, tasks_of_rows, [&](int task, int) {
    const int first = task * kRowTask, count = std::min(kRowTask, rows - first);
    for (int p = 0; p < matrices_[0].back_panels(); ++p)
      kernels_.panel_product({d_embedded + std::size_t(first) * stride_ + std::size_t(p) * kPanel, std::size_t(stride_),
                              gates(0, 0, 0) + std::size_t(first) * kPanel, kPanel, 1, gates_stride(0),
                              back_panel(matrices_[0], p), count, kPanel, matrices_[0].panels(), false});
  });
  check_cancelled();
  // A task is some panels of one matrix; the decoder's gradient is there.
  const int first_own = first_block(messages_.rank()), end = first_own + own_blocks();
  const int parts = (own_blocks() + together() - 1) / together();
  parallel_for(threads_, (nodes() + 1) * parts, [&](int task, int) {
    const int index = task / parts, node = index == 0 ? 0 : index - 1;
    const int first = first_own + task % parts * together(), last = std::min(end, first + together());
    bool begins = true;
    auto add = [&](const T* a, int t, int count) {
      for (int r = 0; r < count; r += kDepth) {
        for (int panel = first; panel < last; ++panel)
          kernels_.panel_product({gradient_panel(matrices_[index], panel), kPanel, a + std::size_t(r) * stride_, 1,
                                  std::size_t(stride_), 0, gates(node, panel, t) + std::size_t(r) * kPanel, hidden_,
                                  std::min(kDepth, count - r), 1, !begins});
        begins = false;
      }
    };
    if (index == 0) return add(arena_.data() + at_.embedded, 0, rows);
    for (int t = 0; t < length; ++t) add(masked + state_at(t, first_state(node)), t, edges(node) * batch);
  });
  check_cancelled();
}

// The embedding's part, beside the decoder's: columns by task, so that each sum has one order.
template <class T>
void RecurrentNetwork<T>::embedding_gradient(T* d_weights) {
  const int batch = segment_.batch, rows = segment_.length * batch;
  const T* d_embedded = arena_.data() + at_.d_outputs;
  const T *outer = mask(kEmbeddingMask), *inner = mask(kInputMask);
  parallel_for(threads_, blocks(), [&](int task, int) {
    const int first = task * kUnits, last = std::min(hidden_, first + kUnits);
    for (int r = 0; r < rows; ++r) {
      const T* d = d_embedded + std::size_t(r) * stride_;
      const std::size_t b = std::size_t(r % batch) * stride_;
      T* to = d_weights + parameters_[0].offset + std::size_t(segment_.x[r]) * hidden_;
      for (int h = first; h < last; ++h) to[h] += d[h] * (outer ? outer[b + h] : T(1)) * (inner ? inner[b + h] : T(1));
    }
  });
}

// d alpha_k = p_k (q_k - sum_m p_m q_m); q is zero for `none`. Of given mixing weights it is q.
template <class T>
void RecurrentNetwork<T>::alpha_gradient(T* d_alphas) const {
  constexpr int kColumns = 1 + kActivations;
  for (std::size_t edge = 0; edge < alphas_.size() / kColumns; ++edge) {
    const double* p = probabilities_.data() + edge * kColumns;
    double q[kColumns] = {}, mean = 0;
    for (int block = 0; block < blocks(); ++block)
      for (int k = 0; k < kActivations; ++k)
        q[k + 1] += d_mixing_[block * mixing_.size() + (edge + 1) * kActivations + k];
    if (by_mixing_) {
      std::copy_n(q, kColumns, d_alphas + edge * kColumns);
      continue;
    }
    for (int k = 0; k < kColumns; ++k) mean += p[k] * q[k];
    for (int k = 0; k < kColumns; ++k) d_alphas[edge * kColumns + k] = T(p[k] * (q[k] - mean));
  }
}

template class RecurrentNetwork<float>;
template class RecurrentNetwork<double>;

}  // namespace pydarts

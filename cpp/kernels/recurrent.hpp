// SPDX-License-Identifier: MIT
// The kernels of the recurrent engine, one table per instruction set.
#pragma once
#include <cstddef>
#include <cstdint>

namespace pydarts {

constexpr int kUnits = 16;          // hidden units that one task takes through a node
constexpr int kPanel = 2 * kUnits;  // columns of a panel: their gates c, then their activations' inputs h
constexpr int kActivations = 4;     // tanh, relu, sigmoid, identity
constexpr double kNormEpsilon = 1e-5;

// c[r][0..kPanel) (+)= sum over blocks and k < depth of a[block * a_block + r * a_row + k * a_depth] * panel[block,
// k][0..kPanel)
template <class T>
struct PanelProduct {
  T* c;
  std::size_t c_stride;
  const T* a;
  std::size_t a_row, a_depth, a_block;
  const T* panel;
  int rows, depth, blocks;
  bool accumulate;
};

// One block of kUnits hidden units of one node, for a whole batch; edge e comes from the state at
// sources + e * batch * stride. With the gates (c, h) of each edge, its activations mixed by p:
//   sum = sum over edges of (sum_k p_k) s_j + sigmoid(c) (sum_k p_k f_k(h) - (sum_k p_k) s_j)
//   state = batch_norm(sum), or sum
// The cell: Liu, Simonyan, Yang, arXiv:1806.09055, section 2; Zilly et al., arXiv:1607.03474 (highway).
template <class T>
struct NodeBlock {
  int batch, edges;
  std::size_t stride;  // between rows of states and gradients
  T* gates;  // [edge][batch][kPanel]; forward: c becomes sigmoid(c); backward: become the gradients by c and h
  const T* sources;
  const T* mixing;  // [edge][kActivations]
  T* state;
  T *mean, *variance;  // of the batch, written unless `given`; null: no batch normalisation
  bool given;
  // backward
  const T* gradient;  // at the state
  T* d_sources;       // accumulates the direct part; the rest comes through the gates' product
  double* d_mixing;   // [edge][kActivations], accumulates; null: not wanted
};

template <class T>
struct SoftmaxRows {
  T* logits;  // [panel][row][kPanel], panels panel_stride apart
  std::size_t panel_stride;
  const T* bias;               // padded with anything
  const std::int32_t* labels;  // null: there are none, and what is left is softmax * scale
  int rows, classes;
  double scale;
  double* losses;  // -log softmax at the label, a row
  char* hits;      // whether the label is the first of the largest logits
};

template <class T>
struct RecurrentKernels {
  void (*panel_product)(const PanelProduct<T>&);
  void (*gates_forward)(const NodeBlock<T>&);
  void (*gates_backward)(const NodeBlock<T>&);
  // logits -> gradient in place, losses
  void (*softmax_rows)(const SoftmaxRows<T>&);
};

}  // namespace pydarts

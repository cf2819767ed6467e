// SPDX-License-Identifier: MIT
// A recurrent language model: embedding, one cell unrolled over a segment of text, decoder tied to the embedding.
// One class for the search cell (every edge a mixture, batch normalisation) and the derived cell.
//
//   states of step t: h_{t-1}, s_0, s_1, ..., s_nodes; [c, h] = (s_j * mask) W_i for edge j -> i
//   s_0 = h_{t-1} + sigmoid(c0) (tanh(h0) - h_{t-1}) with [c0, h0] = [x_t, h_{t-1}] W0: a node like the others, whose
//   gates also take x_t. h_t = mean of the output nodes.
// All edges into a node share its matrix, so the product of a node is one, of its inputs' states on top of each other.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/buffer.hpp"
#include "core/loss.hpp"
#include "core/messages.hpp"
#include "core/parallel.hpp"
#include "core/random.hpp"
#include "kernels/kernels.hpp"

namespace pydarts {

constexpr int kRowTask = 112;                         // rows of a segment that a task takes through a product
constexpr int kDecoderRows = 1024;                    // whose logits are in memory at a time
constexpr int kDecoderTask = 56;                      // of them, a task
constexpr int kDecoderPanels = 16;                    // that the gradient at the outputs takes at a time
constexpr std::size_t kGroup = std::size_t(1) << 17;  // elements that stay in a core's cache beside their products
constexpr std::size_t kClear = std::size_t(1) << 18;

// One node: its inputs are `inputs` states from s_first on.
struct RecurrentNode {
  int first, inputs;
  int activation;  // of the derived cell, as in kActivations; -1: all, mixed
};

struct RecurrentCell {
  std::vector<RecurrentNode> nodes;
  std::vector<int> outputs;  // nodes, from 0, whose mean is h_t; -1: s_0
  bool search;               // mixes the activations by alphas, and normalises every state

  static RecurrentCell supernet(int nodes);
};

struct Dropout {
  double output = 0, hidden = 0, input = 0, embedding = 0;
};
enum Mask { kOutputMask, kHiddenMask, kInputMask, kEmbeddingMask };

// Factors 0 or 1 / keep, (batch, hidden) each, the same at every step; null: 1.
template <class T>
struct DropoutMasks {
  const T *output, *hidden, *input, *embedding;
};

template <class T>
struct Segment {
  const std::int32_t *x, *y;  // (length, batch)
  const T* hidden;            // (batch, hidden)
  int length, batch;
};

// Added to the loss: activation * mean(output^2) after dropout, slowness * mean((h_t - h_{t-1})^2) before it.
struct Regularisation {
  double activation = 0, slowness = 0;
};

template <class T>
class RecurrentNetwork {
 public:
  struct Parameter {
    std::string name;
    int rows, columns;  // columns 0: a vector
    std::size_t offset, size;
  };

  // Matrices uniform in [-0.04, 0.04], decoder bias 0, alphas 1e-3 N(0, 1).
  RecurrentNetwork(RecurrentCell cell, int vocabulary, int hidden, Dropout dropout, std::uint64_t seed,
                   const Threads& threads, const MemoryHooks& memory = {});

  const RecurrentCell& cell() const { return cell_; }
  int vocabulary() const { return vocabulary_; }
  int hidden() const { return hidden_; }
  const Threads& threads() const { return threads_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  Vector<T>& weights() { return weights_; }
  Vector<T>& alphas() { return alphas_; }
  std::size_t num_weights() const { return weights_.size(); }
  std::size_t num_alphas() const { return alphas_.size(); }
  Vector<T>& running() { return running_; }  // mean, then variance
  Random& random() { return random_; }       // of the dropout masks

  // From now on every pass is computed by all ranks of `communicator` together, each a part of the hidden units and of
  // the decoder's rows, and its results are on all of them, the same as on one. They must give the same segments to the
  // same calls. Weights, alphas, running statistics and the stream of the masks become those of rank 0. A call that is
  // cancelled on one rank is cancelled on all. InvalidArgument if the ranks' networks differ, or the instruction sets
  // that they compute with.
  void use_communicator(const Communicator& communicator);

  // Asked often, by the calling thread; true stops the call with Cancelled. Must not throw.
  void set_cancel(std::function<bool()> cancel) { cancel_ = std::move(cancel); }

  // Loss, and the gradients of it and the regularisation at `weights`. A null gradient is not computed. Without
  // `masks` they are drawn. `mixing`: weights in place of the softmax of the alphas, by which `d_alphas` then is.
  Loss evaluate(const Segment<T>& segment, const T* weights, T* d_weights, T* d_alphas, const DropoutMasks<T>* masks,
                const Regularisation& regularisation, const T* mixing = nullptr);

  // Loss without dropout, with the running statistics.
  Loss test(const Segment<T>& segment, const T* mixing = nullptr);

  // Of the last pass: (batch, hidden).
  std::vector<T> last_hidden() const;
  void copy_last_hidden(T* hidden) const;
  // What follows a segment of at most kDecoderRows tokens, (batch, vocabulary), as test() computes it. `y` is not read.
  void next_probabilities(const Segment<T>& segment, T* probabilities);

  // Marks the batch statistics of the last evaluate() as those that update_running() takes, use after use.
  void keep_statistics();
  void update_running();

  // Bytes that a pass takes on this rank beside weights and gradients, with the masks that it draws.
  std::size_t memory(int length, int batch, bool backward) const;

 private:
  // A matrix in the order in which the products read it: panels of columns, and of rows for backward.
  struct Matrix {
    std::size_t offset;                       // in the weights
    std::size_t row_step, column_step;        // element (k, n) of it
    int depth, columns;                       // k < depth, n < columns
    bool gates;                               // a panel holds kUnits columns of c and the same of h
    std::size_t forward, backward, gradient;  // in their buffers
    int panels() const;
    int back_panels() const { return (depth + kPanel - 1) / kPanel; }
    int column(int panel, int lane) const;  // -1: none
  };
  // What a task of pack() takes: a panel of a matrix.
  struct Piece {
    int matrix, panel;
    bool transposed;
  };
  struct Sizes {
    std::size_t states, masked, gates, outputs, d_outputs, embedded, statistics, logits, d_states, d_masked, masks;
  };

  // recurrent.cpp
  void add_matrix(std::size_t offset, std::size_t row_step, std::size_t column_step, int depth, int columns,
                  bool gates);
  Sizes sizes(int length, int batch, bool backward, bool masked) const;
  void begin(const Segment<T>& segment, const T* weights, bool training, bool backward, const T* mixing,
             const DropoutMasks<T>* masks);
  void pack(bool backward);
  void mix(const T* given);
  void draw(const DropoutMasks<T>* given);
  void check_cancelled();
  void unpack(const Matrix& matrix, T* d_weights);

  // forward.cpp
  void embed();
  void run_forward();
  void forward_node(int t, int node, int first, int last);
  void finish_node(int t, int node, int block);

  // backward.cpp
  void run_backward(T* d_weights, T* d_alphas, const Regularisation& regularisation);
  void start_step(int t, int block, const Regularisation& regularisation);
  int first_edge(int node) const;
  void backward_node(int t, int node, int block, bool wants_alphas);
  void backward_product(int t, int node, int panel, int row, int count);
  void weight_gradients();
  void embedding_gradient(T* d_weights);
  void alpha_gradient(T* d_alphas) const;

  // decoder.cpp
  Loss decode(T* d_weights, bool backward);

  // ranks.cpp
  void exchange_state(int t, int node);
  void exchange_rows(int start, int here, bool gradients, bool logits);
  void exchange_gates(int t, int node, bool wants_weights);
  void exchange_gradients(T* d_weights, bool alphas);
  template <class Bytes, class Visit>
  void exchange(Bytes bytes, Visit visit);

  // Of the pass that runs:
  int blocks() const { return (hidden_ + kUnits - 1) / kUnits; }
  // The first panel of a matrix's rows, block of units and panel of the decoder that is a rank's.
  int first_back_panel(int rank) const { return part_of(stride_ / kPanel, rank, messages_.size()); }
  int first_block(int rank) const { return std::min(blocks(), first_back_panel(rank) * (kPanel / kUnits)); }
  int first_output(int rank) const { return part_of(matrices_.back().panels(), rank, messages_.size()); }
  std::size_t units_of(int rank) const { return std::size_t(first_block(rank + 1) - first_block(rank)) * kUnits; }
  int own_blocks() const { return first_block(messages_.rank() + 1) - first_block(messages_.rank()); }
  // f(block) of this rank's, in parallel.
  template <class F>
  void for_own_blocks(F f) {
    for_own_blocks(1, [&](int block, int) { f(block); });
  }
  // f(first, last) of this rank's, `together` blocks a task.
  template <class F>
  void for_own_blocks(int together, F f) {
    const int begin = first_block(messages_.rank()), end = begin + own_blocks();
    parallel_for(threads_, (end - begin + together - 1) / together, [&](int i, int) {
      const int first = begin + i * together;
      f(first, std::min(end, first + together));
    });
  }
  // Rows of so many elements that stay in a core's cache while several products take them.
  int row_group(std::size_t width) const { return kRowTask * std::max(1, int(kGroup / width / kRowTask)); }
  // Blocks or panels of this rank that a task takes: more than one where each thread has several tasks all the same.
  int together() const { return own_blocks() < 4 * threads_.count ? 1 : 2; }
  int step(int t) const { return backward_ ? t : 0; }  // where a step's states and gates are kept
  int edges(int node) const { return node == 0 ? 1 : cell_.nodes[node - 1].inputs; }
  int first_state(int node) const { return node == 0 ? 0 : 1 + cell_.nodes[node - 1].first; }
  int nodes() const { return int(cell_.nodes.size()) + 1; }  // s_0 among them
  std::size_t state_at(int t, int state) const;
  std::size_t gates_stride(int node) const;  // from one block to the next
  std::size_t hidden_at(int t) const;        // of h_t: before the states of step t + 1
  const T* panel(const Matrix& matrix, int index) const {
    return forward_.data() + matrix.forward + std::size_t(index) * matrix.depth * kPanel;
  }
  const T* back_panel(const Matrix& matrix, int index) const {
    return transposed_.data() + matrix.backward + std::size_t(index) * matrix.panels() * kPanel * kPanel;
  }
  T* gradient_panel(const Matrix& matrix, int index) {
    return gradient_.data() + matrix.gradient + std::size_t(index) * stride_ * kPanel;
  }
  T* gates(int node, int block, int t);  // of this rank's blocks
  NodeBlock<T> node_block(int t, int node, int block);
  const T* mask(int which) const { return masked_[which] ? masks_.data() + which * mask_size_ : nullptr; }

  RecurrentCell cell_;
  int vocabulary_, hidden_, stride_;
  Threads threads_;
  Dropout dropout_;
  const RecurrentKernels<T>& kernels_;
  std::function<bool()> cancel_;
  Messages messages_;
  bool stop_ = false;  // of several ranks: the next message says so
  std::vector<Parameter> parameters_;
  std::vector<Matrix> matrices_;  // x to s_0; then one a node; then the decoder
  Vector<Piece> pieces_;          // of all matrices: those of forward, then the transposed ones
  std::size_t forward_pieces_ = 0;
  Vector<T> weights_, alphas_, running_;
  Random random_;

  const T* pass_weights_ = nullptr;
  bool by_mixing_ = false;  // whether mixing weights are given
  Segment<T> segment_{};
  int kept_ = 0;                 // steps whose states and gates are kept
  std::size_t cleared_[3] = {};  // length, batch and kind of the passes that the arena's unused units are clear for
  bool training_ = true, backward_ = false;
  std::size_t forward_size_ = 0, backward_size_ = 0, gradient_size_ = 0, mask_size_ = 0;
  bool masked_[4] = {};  // output, hidden, input, embedding
  Sizes at_{};           // of the parts of the arena; without a mask of the states the masked ones are the states
  Buffer<T> arena_, forward_, transposed_, gradient_, masks_;
  std::vector<std::size_t> gates_at_;
  Vector<T> mixing_;  // [edge][kActivations]
  Vector<T> bias_, padded_running_;
  Vector<double> probabilities_;  // [edge][1 + kActivations], with `none`
  Vector<double> d_mixing_;       // [block][edge][kActivations]
  Vector<T> kept_statistics_;
  int kept_uses_ = 0, kept_batch_ = 0;
  Vector<double> losses_;
  Vector<char> hits_;
};

}  // namespace pydarts

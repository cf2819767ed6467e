// SPDX-License-Identifier: MIT
#include "recurrent/recurrent.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "core/parallel.hpp"

namespace pydarts {
namespace {

constexpr double kBound = 0.04;  // of the initial matrices
constexpr double kAlphaScale = 1e-3;
constexpr double kMomentum = 0.1;  // of the running statistics
constexpr int kColumns = 1 + kActivations;

std::size_t padded(std::size_t size, std::size_t to) { return (size + to - 1) / to * to; }

}  // namespace

RecurrentCell RecurrentCell::supernet(int nodes) {
  RecurrentCell cell{{}, {}, true};
  for (int i = 0; i < nodes; ++i) {
    cell.nodes.push_back({0, i + 1, -1});
    cell.outputs.push_back(i);
  }
  return cell;
}

template <class T>
RecurrentNetwork<T>::RecurrentNetwork(RecurrentCell cell, int vocabulary, int hidden, Dropout dropout,
                                      std::uint64_t seed, const Threads& threads, const MemoryHooks& memory)
    : cell_(std::move(cell)),
      vocabulary_(vocabulary),
      hidden_(hidden),
      stride_(int(padded(hidden, kPanel))),
      threads_(threads),
      dropout_(dropout),
      kernels_(recurrent_kernels<T>()),
      messages_(memory),
      pieces_(memory),
      weights_(memory),
      alphas_(memory),
      running_(memory),
      random_(seed),
      arena_(memory),
      forward_(memory),
      transposed_(memory),
      gradient_(memory),
      masks_(memory),
      mixing_(memory),
      bias_(memory),
      padded_running_(memory),
      probabilities_(memory),
      d_mixing_(memory),
      kept_statistics_(memory),
      losses_(memory),
      hits_(memory) {
  require(vocabulary >= 2, "`vocab` (=", vocabulary, ") must be at least 2");
  require(hidden >= 1, "`hidden` (=", hidden, ") must be at least 1");
  require(vocabulary <= (1 << 20) && hidden <= (1 << 14), "`vocab` (=", vocabulary, ") or `hidden` (=", hidden,
          ") is too large");
  require(!cell_.outputs.empty(), "a recurrent cell needs an output");
  for (std::size_t i = 0; i < cell_.nodes.size(); ++i) {
    const RecurrentNode& node = cell_.nodes[i];
    require(node.first >= 0 && node.inputs >= 1 && node.first + node.inputs <= int(i) + 1, "node ", i + 1,
            " reads a state that does not precede it");
    require(node.activation >= (cell_.search ? -1 : 0) && node.activation < kActivations, "node ", i + 1,
            " has no such activation");
  }
  for (int output : cell_.outputs)
    require(output >= -1 && output < int(cell_.nodes.size()), "output ", output, " is no node");
  for (double p : {dropout.output, dropout.hidden, dropout.input, dropout.embedding})
    require(p >= 0 && p < 1, "a dropout probability (=", p, ") must lie in [0, 1)");

  std::size_t offset = 0;
  auto add = [&](std::string name, int rows, int columns) {
    const std::size_t size = std::size_t(rows) * (columns ? columns : 1);
    parameters_.push_back({std::move(name), rows, columns, offset, size});
    offset += size;
    return offset - size;
  };
  const std::size_t h = hidden;
  const std::size_t encoder = add("encoder.weight", vocabulary, hidden);
  const std::size_t first = add("rnns.0._W0", 2 * hidden, 2 * hidden);
  add_matrix(first, 2 * h, 1, hidden, 2 * hidden, true);
  add_matrix(first + h * 2 * h, 2 * h, 1, hidden, 2 * hidden, true);
  for (std::size_t i = 0; i < cell_.nodes.size(); ++i)
    add_matrix(add("rnns.0._Ws." + std::to_string(i), hidden, 2 * hidden), 2 * h, 1, hidden, 2 * hidden, true);
  add_matrix(encoder, 1, h, hidden, vocabulary, false);
  const std::size_t bias = add("decoder.bias", vocabulary, 0);
  for (bool transposed : {false, true}) {
    for (int i = 0; i < int(matrices_.size()); ++i) {
      const int panels = transposed ? matrices_[i].back_panels() : matrices_[i].panels();
      for (int p = 0; p < panels; ++p) pieces_.push_back({i, p, transposed});
    }
    if (!transposed) forward_pieces_ = pieces_.size();
  }

  weights_.resize(offset);
  for (std::size_t i = 0; i < bias; ++i) weights_[i] = T(kBound * (2 * random_.uniform() - 1));
  int edge_count = 1;  // that into s_0
  for (const RecurrentNode& node : cell_.nodes) edge_count += node.inputs;
  mixing_.assign(std::size_t(edge_count) * kActivations, T(0));
  mixing_[0] = 1;
  if (cell_.search) {
    alphas_.resize(std::size_t(edge_count - 1) * kColumns);
    for (T& alpha : alphas_) alpha = T(kAlphaScale * random_.normal());
    running_.assign(2 * h, T(0));
    std::fill_n(running_.begin() + hidden, hidden, T(1));
  } else {
    for (std::size_t i = 0; i < cell_.nodes.size(); ++i)
      mixing_[(i + 1) * kActivations + cell_.nodes[i].activation] = 1;
  }
  probabilities_.assign(alphas_.size(), 0);
  gates_at_.resize(nodes());
}

template <class T>
int RecurrentNetwork<T>::Matrix::panels() const {
  return gates ? (columns / 2 + kUnits - 1) / kUnits : (columns + kPanel - 1) / kPanel;
}

template <class T>
int RecurrentNetwork<T>::Matrix::column(int panel, int lane) const {
  if (!gates) return panel * kPanel + lane < columns ? panel * kPanel + lane : -1;
  const int unit = panel * kUnits + lane % kUnits;
  return unit < columns / 2 ? unit + lane / kUnits * (columns / 2) : -1;
}

template <class T>
void RecurrentNetwork<T>::add_matrix(std::size_t offset, std::size_t row_step, std::size_t column_step, int depth,
                                     int columns, bool gates) {
  Matrix matrix{offset, row_step, column_step, depth, columns, gates, forward_size_, backward_size_, gradient_size_};
  forward_size_ += std::size_t(matrix.panels()) * depth * kPanel;
  gradient_size_ += std::size_t(matrix.panels()) * stride_ * kPanel;
  backward_size_ += std::size_t(matrix.back_panels()) * matrix.panels() * kPanel * kPanel;
  matrices_.push_back(matrix);
}

template <class T>
typename RecurrentNetwork<T>::Sizes RecurrentNetwork<T>::sizes(int length, int batch, bool backward,
                                                               bool masked) const {
  const std::size_t rows = std::size_t(length) * batch, states = nodes() + 1, kept = backward ? length : 1;
  std::size_t edge_count = 0;
  for (int n = 1; n < nodes(); ++n) edge_count += edges(n);
  Sizes s{};
  s.states = (kept * states + 1) * batch * stride_;  // and h behind the last step
  s.embedded = s.outputs = rows * stride_;
  s.d_outputs = backward ? rows * stride_ : 0;
  s.gates = std::size_t(own_blocks()) * kPanel * batch * (length + kept * edge_count);
  s.statistics = cell_.search ? 2 * kept * nodes() * stride_ : 0;
  s.logits = std::min<std::size_t>(rows, kDecoderRows) * padded(vocabulary_, kPanel);
  s.d_states = backward ? states * batch * stride_ : 0;
  if (masked) {
    s.masked = s.states;
    s.d_masked = s.d_states;
  }
  s.masks = std::size_t(batch) * stride_;
  return s;
}

template <class T>
std::size_t RecurrentNetwork<T>::memory(int length, int batch, bool backward) const {
  const Sizes s = sizes(length, batch, backward, dropout_.hidden > 0);
  const std::size_t arena = s.states + s.masked + s.gates + s.outputs + s.d_outputs + s.embedded + s.statistics +
                            s.logits + s.d_states + s.d_masked;
  return (arena + 4 * s.masks + forward_size_ + (backward ? backward_size_ + gradient_size_ : 0)) * sizeof(T);
}

template <class T>
void RecurrentNetwork<T>::check_cancelled() {
  if (!stop_ && cancel_ && cancel_()) stop_ = true;
  if (stop_ && !messages_.several()) throw Cancelled();  // else the next message says so to all ranks
}

template <class T>
std::size_t RecurrentNetwork<T>::state_at(int t, int state) const {
  return (std::size_t(step(t)) * (nodes() + 1) + state) * segment_.batch * stride_;
}

template <class T>
std::size_t RecurrentNetwork<T>::hidden_at(int t) const {
  return state_at(t, 0) + (backward_ ? std::size_t(nodes() + 1) * segment_.batch * stride_ : 0);
}

template <class T>
int RecurrentNetwork<T>::first_edge(int node) const {
  int edge = 0;
  for (int n = 0; n < node; ++n) edge += edges(n);
  return edge;
}

template <class T>
T* RecurrentNetwork<T>::gates(int node, int block, int t) {
  const std::size_t at = node == 0 ? t : step(t), rows = std::size_t(edges(node)) * segment_.batch;
  const int own = block - first_block(messages_.rank());
  return arena_.data() + gates_at_[node] + own * gates_stride(node) + at * rows * kPanel;
}

template <class T>
std::size_t RecurrentNetwork<T>::gates_stride(int node) const {
  return std::size_t(node == 0 ? segment_.length : kept_) * edges(node) * segment_.batch * kPanel;
}

template <class T>
void RecurrentNetwork<T>::begin(const Segment<T>& segment, const T* weights, bool training, bool backward,
                                const T* mixing, const DropoutMasks<T>* masks) {
  segment_ = segment;
  stop_ = false;
  pass_weights_ = weights;
  training_ = training;
  backward_ = backward;
  kept_ = backward ? segment.length : 1;
  draw(masks);
  const bool masked = mask(kHiddenMask) != nullptr;
  const Sizes size = sizes(segment.length, segment.batch, backward, masked);
  std::size_t offset = 0;
  auto part = [&](std::size_t elements) {
    offset += elements;
    return offset - elements;
  };
  at_ = {part(size.states),
         part(size.masked),
         part(size.gates),
         part(size.outputs),
         part(size.d_outputs),
         part(size.embedded),
         part(size.statistics),
         part(size.logits),
         part(size.d_states),
         part(size.d_masked),
         0};
  if (!masked) {
    at_.masked = at_.states;
    at_.d_masked = at_.d_states;
  }
  std::size_t gates_at = at_.gates;
  for (int n = 0; n < nodes(); ++n) {
    gates_at_[n] = gates_at;
    gates_at += own_blocks() * gates_stride(n);
  }
  if (offset > arena_.size()) cleared_[0] = 0;
  arena_.reserve(offset);
  forward_.reserve(forward_size_);
  if (backward) {
    transposed_.reserve(backward_size_);
    gradient_.reserve(gradient_size_);
  }
  // Units beyond the hidden size meet weights of zero: they must be numbers.
  const std::size_t kind = (backward ? 2 : 1) + (masked ? 2 : 0);
  const std::size_t now[3] = {std::size_t(segment.length), std::size_t(segment.batch), kind};
  if (!std::equal(now, now + 3, cleared_))
    parallel_for(threads_, int((offset + kClear - 1) / kClear), [&](int i, int) {
      const std::size_t first = std::size_t(i) * kClear;
      std::fill_n(arena_.data() + first, std::min(kClear, offset - first), T(0));
    });
  std::copy(now, now + 3, cleared_);
  if (cell_.search && !training) {
    padded_running_.assign(2 * stride_, T(1));
    std::copy_n(running_.begin(), hidden_, padded_running_.begin());
    std::copy_n(running_.begin() + hidden_, hidden_, padded_running_.begin() + stride_);
  }
  pack(backward);
  mix(mixing);
}

template <class T>
void RecurrentNetwork<T>::pack(bool backward) {
  parallel_for(threads_, int(backward ? pieces_.size() : forward_pieces_), [&](int i, int) {
    const Matrix& m = matrices_[pieces_[i].matrix];
    const int panel = pieces_[i].panel;
    const T* w = pass_weights_ + m.offset;
    if (!pieces_[i].transposed) {
      T* to = forward_.data() + m.forward + std::size_t(panel) * m.depth * kPanel;
      for (int k = 0; k < m.depth; ++k)
        for (int lane = 0; lane < kPanel; ++lane) {
          const int column = m.column(panel, lane);
          *to++ = column < 0 ? T(0) : w[k * m.row_step + column * m.column_step];
        }
      return;
    }
    T* to = transposed_.data() + m.backward + std::size_t(panel) * m.panels() * kPanel * kPanel;
    for (int p = 0; p < m.panels(); ++p)
      for (int lane = 0; lane < kPanel; ++lane) {
        const int column = m.column(p, lane);
        for (int j = 0; j < kPanel; ++j) {
          const int k = panel * kPanel + j;
          *to++ = column < 0 || k >= m.depth ? T(0) : w[k * m.row_step + column * m.column_step];
        }
      }
  });
  bias_.assign(padded(vocabulary_, kPanel), T(0));
  const Parameter& bias = parameters_.back();
  std::copy_n(pass_weights_ + bias.offset, bias.size, bias_.begin());
}

// The gradient of a matrix from its panels.
template <class T>
void RecurrentNetwork<T>::unpack(const Matrix& m, T* d_weights) {
  for (int panel = 0; panel < m.panels(); ++panel) {
    const T* from = gradient_.data() + m.gradient + std::size_t(panel) * stride_ * kPanel;
    for (int lane = 0; lane < kPanel; ++lane) {
      const int column = m.column(panel, lane);
      if (column < 0) continue;
      T* to = d_weights + m.offset + column * m.column_step;
      for (int k = 0; k < m.depth; ++k) to[k * m.row_step] = from[std::size_t(k) * kPanel + lane];
    }
  }
}

template <class T>
void RecurrentNetwork<T>::mix(const T* given) {
  by_mixing_ = given != nullptr;
  for (std::size_t edge = 0; edge < alphas_.size() / kColumns; ++edge) {
    const T* alpha = alphas_.data() + edge * kColumns;
    double* p = probabilities_.data() + edge * kColumns;
    if (given) {
      std::copy_n(given + edge * kColumns + 1, kActivations, mixing_.begin() + (edge + 1) * kActivations);
      continue;
    }
    double largest = alpha[0], total = 0;
    for (int k = 1; k < kColumns; ++k) largest = std::max(largest, double(alpha[k]));
    for (int k = 0; k < kColumns; ++k) total += p[k] = std::exp(alpha[k] - largest);
    for (int k = 0; k < kColumns; ++k) {
      p[k] /= total;
      if (k > 0) mixing_[(edge + 1) * kActivations + k - 1] = T(p[k]);
    }
  }
}

template <class T>
void RecurrentNetwork<T>::draw(const DropoutMasks<T>* given) {
  mask_size_ = std::size_t(segment_.batch) * stride_;
  masks_.reserve(4 * mask_size_);
  const double rate[4] = {dropout_.output, dropout_.hidden, dropout_.input, dropout_.embedding};
  const T* from[4] = {};
  if (given) {
    from[kOutputMask] = given->output;
    from[kHiddenMask] = given->hidden;
    from[kInputMask] = given->input;
    from[kEmbeddingMask] = given->embedding;
  }
  for (int which = 0; which < 4; ++which) {
    masked_[which] = given ? from[which] != nullptr : training_ && rate[which] > 0;
    if (!masked_[which]) continue;
    T* to = masks_.data() + which * mask_size_;
    for (int b = 0; b < segment_.batch; ++b)
      for (int h = 0; h < stride_; ++h) {
        const bool used = h < hidden_;
        to[std::size_t(b) * stride_ + h] = !used   ? T(0)
                                           : given ? from[which][std::size_t(b) * hidden_ + h]
                                                   : T(random_.uniform() < rate[which] ? 0 : 1 / (1 - rate[which]));
      }
  }
}

template <class T>
Loss RecurrentNetwork<T>::evaluate(const Segment<T>& segment, const T* weights, T* d_weights, T* d_alphas,
                                   const DropoutMasks<T>* masks, const Regularisation& regularisation,
                                   const T* mixing) {
  begin(segment, weights, true, d_weights || d_alphas, mixing, masks);
  run_forward();
  const Loss loss = decode(d_weights, backward_);
  if (backward_) run_backward(d_weights, d_alphas, regularisation);
  return loss;
}

template <class T>
Loss RecurrentNetwork<T>::test(const Segment<T>& segment, const T* mixing) {
  const DropoutMasks<T> none{};
  begin(segment, weights_.data(), false, false, mixing, &none);
  run_forward();
  return decode(nullptr, false);
}

template <class T>
void RecurrentNetwork<T>::copy_last_hidden(T* hidden) const {
  const T* from = arena_.data() + at_.states + hidden_at(segment_.length - 1);
  for (int b = 0; b < segment_.batch; ++b)
    std::copy_n(from + std::size_t(b) * stride_, hidden_, hidden + std::size_t(b) * hidden_);
}

template <class T>
std::vector<T> RecurrentNetwork<T>::last_hidden() const {
  std::vector<T> hidden(std::size_t(segment_.batch) * hidden_);
  copy_last_hidden(hidden.data());
  return hidden;
}

template <class T>
void RecurrentNetwork<T>::next_probabilities(const Segment<T>& segment, T* probabilities) {
  Segment<T> unlabelled = segment;
  unlabelled.y = nullptr;
  test(unlabelled);
  const int rows = segment_.length * segment_.batch, chunk = std::min(rows, kDecoderRows);
  if (messages_.several()) exchange_rows(0, rows, false, true);
  for (int b = 0; b < segment_.batch; ++b) {
    const int row = rows - segment_.batch + b;
    const T* from = arena_.data() + at_.logits + std::size_t(row % chunk) * kPanel;
    for (int v = 0; v < vocabulary_; ++v)
      probabilities[std::size_t(b) * vocabulary_ + v] = from[std::size_t(v / kPanel) * chunk * kPanel + v % kPanel];
  }
}

template <class T>
void RecurrentNetwork<T>::keep_statistics() {
  if (!cell_.search) return;
  const T* from = arena_.data() + at_.statistics;
  kept_uses_ = kept_ * nodes();
  kept_batch_ = segment_.batch;
  kept_statistics_.assign(from, from + std::size_t(kept_uses_) * 2 * stride_);
}

// One normalisation serves all states and steps; its running statistics blend each use.
template <class T>
void RecurrentNetwork<T>::update_running() {
  const double unbiased = kept_batch_ > 1 ? double(kept_batch_) / (kept_batch_ - 1) : 1;
  for (int use = 0; use < kept_uses_; ++use) {
    const T* mean = kept_statistics_.data() + std::size_t(use) * 2 * stride_;
    for (int h = 0; h < hidden_; ++h) {
      T &m = running_[h], &v = running_[hidden_ + h];
      m = T((1 - kMomentum) * m + kMomentum * mean[h]);
      v = T((1 - kMomentum) * v + kMomentum * unbiased * mean[stride_ + h]);
    }
  }
}

template class RecurrentNetwork<float>;
template class RecurrentNetwork<double>;

}  // namespace pydarts

// SPDX-License-Identifier: MIT
// What the ranks of a recurrent network tell each other. A rank has blocks of hidden units: it takes them through
// products, gates and normalisation for the whole batch, as a thread does, so that no sum is divided. Of the decoder it
// has rows, and for the gradient of its weights panels.
#include <cstring>
#include <type_traits>

#include "recurrent/recurrent.hpp"

namespace pydarts {
namespace {

constexpr std::size_t kWorthThreads = std::size_t(1) << 16;  // bytes

// What a rank tells, one thing behind the other: into its message, or out of it to where it has its place.
template <bool Telling>
struct Copy {
  std::conditional_t<Telling, unsigned char*, const unsigned char*> at;
  const Threads& threads;

  // `count` times `size` elements, which stand at of(0), of(1), ...
  template <class Of>
  void operator()(int count, std::size_t size, Of of) {
    const std::size_t bytes = size * sizeof(*of(0));
    parallel_for(bytes * count < kWorthThreads ? Threads(1) : threads, count, [&](int i, int) {
      if constexpr (Telling)
        std::memcpy(at + i * bytes, of(i), bytes);
      else
        std::memcpy(of(i), at + i * bytes, bytes);
    });
    at += count * bytes;
  }
};

}  // namespace

template <class T>
void RecurrentNetwork<T>::use_communicator(const Communicator& communicator) {
  std::uint64_t stream = random_.state();
  stop_ = false;
  cleared_[0] = 0;
  messages_.use(communicator, {instruction_set().name, sizeof(T), weights_.size(), alphas_.size(), running_.size()},
                [&] {
                  messages_.broadcast(weights_.data(), weights_.size() * sizeof(T));
                  messages_.broadcast(alphas_.data(), alphas_.size() * sizeof(T));
                  messages_.broadcast(running_.data(), running_.size() * sizeof(T));
                  messages_.broadcast(&stream, sizeof stream);
                });
  random_ = Random(stream);
}

// Tells what visit(rank, copy) names of this rank, `bytes(rank)` in all, and puts the others' where it names it of
// them.
template <class T>
template <class Bytes, class Visit>
void RecurrentNetwork<T>::exchange(Bytes bytes, Visit visit) {
  unsigned char* own = messages_.begin<unsigned char>(bytes);
  visit(messages_.rank(), Copy<true>{own, threads_});
  messages_.gather(stop_);
  for (int r = 0; r < messages_.size(); ++r)
    if (r != messages_.rank()) visit(r, Copy<false>{messages_.told<unsigned char>(r), threads_});
}

// The new state of a node, and the statistics by which it was normalised.
template <class T>
void RecurrentNetwork<T>::exchange_state(int t, int node) {
  const int batch = segment_.batch, statistics = cell_.search && training_ ? 2 : 0;
  T* state = arena_.data() + at_.states + state_at(t, node + 1);
  T* mean = arena_.data() + at_.statistics + (std::size_t(step(t)) * nodes() + node) * 2 * stride_;
  exchange([&](int r) { return std::size_t(batch + statistics) * units_of(r) * sizeof(T); },
           [&](int r, auto copy) {
             const std::size_t first = std::size_t(first_block(r)) * kUnits, units = units_of(r);
             copy(batch, units, [&](int b) { return state + std::size_t(b) * stride_ + first; });
             copy(statistics, units, [&](int i) { return mean + std::size_t(i) * stride_ + first; });
           });
  const int first = first_block(messages_.rank()), own = own_blocks();
  parallel_for(threads_, blocks() - own, [&](int i, int) { finish_node(t, node, i < first ? i : i + own); });
}

// Of a chunk of the decoder's rows: losses and hits; with `gradients` those at the outputs, with `logits` those too.
template <class T>
void RecurrentNetwork<T>::exchange_rows(int start, int here, bool gradients, bool logits) {
  const int panels = logits ? matrices_.back().panels() : 0;
  const std::size_t panel_stride = std::size_t(std::min(segment_.length * segment_.batch, kDecoderRows)) * kPanel;
  const std::size_t of_outputs = gradients ? std::size_t(stride_) : 0, of_logits = std::size_t(panels) * kPanel;
  const auto first = [&](int r) { return std::size_t(part_of(here, r, messages_.size())); };
  exchange(
      [&](int r) {
        return (first(r + 1) - first(r)) * (sizeof(double) + sizeof(char) + (of_outputs + of_logits) * sizeof(T));
      },
      [&](int r, auto copy) {
        const std::size_t rows = first(r + 1) - first(r), row = start + first(r);
        copy(1, rows, [&](int) { return losses_.data() + row; });
        copy(1, rows, [&](int) { return hits_.data() + row; });
        copy(1, rows * of_outputs, [&](int) { return arena_.data() + at_.d_outputs + row * stride_; });
        copy(panels, rows * kPanel,
             [&](int p) { return arena_.data() + at_.logits + p * panel_stride + first(r) * kPanel; });
      });
}

// The gradients by the gates of a node, and what follows of them for this rank's units: the gradient at the masked
// states that the node reads, and at x.
template <class T>
void RecurrentNetwork<T>::exchange_gates(int t, int node, bool wants_weights) {
  const bool states = t > 0 || node > 0;  // nobody asks for the gradient at the first hidden state
  const bool inputs = node == 0 && wants_weights;
  if (!states && !inputs) return;
  const int batch = segment_.batch, rows = edges(node) * batch, rank = messages_.rank();
  const std::size_t size = std::size_t(rows) * kPanel;  // of a block
  T* own = messages_.begin<T>([&](int r) { return (first_block(r + 1) - first_block(r)) * size; });
  for (int block = first_block(rank); block < first_block(rank + 1); ++block)
    own = std::copy_n(gates(node, block, t), size, own);
  messages_.gather(stop_);
  const int first = first_back_panel(rank);
  parallel_for(threads_, first_back_panel(rank + 1) - first, [&](int i, int) {
    const std::size_t panel = first + i;
    const auto add = [&](const Matrix& matrix, T* to, bool begun) {
      for (int r = 0; r < messages_.size(); ++r) {
        const int block = first_block(r), count = first_block(r + 1) - block;
        if (count == 0) continue;
        kernels_.panel_product({to + panel * kPanel, std::size_t(stride_), messages_.told<T>(r), kPanel, 1, size,
                                back_panel(matrix, int(panel)) + std::size_t(block) * kPanel * kPanel, rows, kPanel,
                                count, begun});
        begun = true;
      }
    };
    if (states)
      add(matrices_[node + 1], arena_.data() + at_.d_masked + std::size_t(first_state(node)) * batch * stride_, true);
    if (inputs) add(matrices_[0], arena_.data() + at_.d_outputs + std::size_t(t) * batch * stride_, false);
  });
}

// The end of a pass: gradients of weights by panels, at x, and by mixing weights. From here on no rank may be
// cancelled.
template <class T>
void RecurrentNetwork<T>::exchange_gradients(T* d_weights, bool alphas) {
  const int cell = d_weights ? int(matrices_.size()) - 1 : 0, rows = d_weights ? segment_.length * segment_.batch : 0;
  const std::size_t panel = std::size_t(stride_) * kPanel, mixing = alphas ? mixing_.size() : 0;
  const auto blocks_of = [&](int r) { return std::size_t(first_block(r + 1) - first_block(r)); };
  const auto outputs_of = [&](int r) { return d_weights ? std::size_t(first_output(r + 1) - first_output(r)) : 0; };
  const auto first_bias = [&](int r) { return std::size_t(std::min(vocabulary_, first_output(r) * kPanel)); };
  exchange(
      [&](int r) {
        return blocks_of(r) * (mixing * sizeof(double) + (cell * panel + std::size_t(rows) * kUnits) * sizeof(T)) +
               outputs_of(r) * (panel + kPanel) * sizeof(T);
      },
      [&](int r, auto copy) {
        copy(1, blocks_of(r) * mixing, [&](int) { return d_mixing_.data() + first_block(r) * mixing; });
        copy(cell, blocks_of(r) * panel, [&](int m) { return gradient_panel(matrices_[m], first_block(r)); });
        copy(rows, units_of(r), [&](int row) {
          return arena_.data() + at_.d_outputs + std::size_t(row) * stride_ + std::size_t(first_block(r)) * kUnits;
        });
        if (!d_weights) return;
        copy(1, outputs_of(r) * panel, [&](int) { return gradient_panel(matrices_.back(), first_output(r)); });
        copy(1, first_bias(r + 1) - first_bias(r),
             [&](int) { return d_weights + parameters_.back().offset + first_bias(r); });
      });
}

template class RecurrentNetwork<float>;
template class RecurrentNetwork<double>;

}  // namespace pydarts

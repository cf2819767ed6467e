// SPDX-License-Identifier: MIT
#include <algorithm>

#include "core/parallel.hpp"
#include "recurrent/recurrent.hpp"

namespace pydarts {

// logits = output * encoder^T + bias; loss = mean over steps and sequences of -log softmax(logits)[y]. A chunk of
// rows at a time: forward and the gradient at the outputs by rows, then the gradient of the weights by panels.
template <class T>
Loss RecurrentNetwork<T>::decode(T* d_weights, bool backward) {
  const Matrix& matrix = matrices_.back();
  const int rows = segment_.length * segment_.batch, panels = matrix.panels();
  const int chunk = std::min(rows, kDecoderRows);
  const std::size_t panel_stride = std::size_t(chunk) * kPanel;
  T* logits = arena_.data() + at_.logits;
  const T* outputs = arena_.data() + at_.outputs;
  T* d_bias = d_weights ? d_weights + parameters_.back().offset : nullptr;
  // Without labels the logits become the probabilities themselves.
  const double scale = segment_.y ? 1.0 / rows : 1;
  losses_.resize(rows);
  hits_.resize(rows);
  for (int start = 0; start < rows; start += chunk) {
    const int here = std::min(chunk, rows - start);
    const int begin = part_of(here, messages_.rank(), messages_.size());
    const int end = part_of(here, messages_.rank() + 1, messages_.size());
    parallel_for(threads_, (end - begin + kDecoderTask - 1) / kDecoderTask, [&](int task, int) {
      const int first = begin + task * kDecoderTask, count = std::min(kDecoderTask, end - first);
      T* own = logits + std::size_t(first) * kPanel;
      const std::size_t at = std::size_t(start + first) * stride_;
      for (int p = 0; p < panels; ++p)
        kernels_.panel_product({own + p * panel_stride, kPanel, outputs + at, std::size_t(stride_), 1, 0,
                                panel(matrix, p), count, matrix.depth, 1, false});
      kernels_.softmax_rows({own, panel_stride, bias_.data(), segment_.y ? segment_.y + start + first : nullptr, count,
                             vocabulary_, scale, losses_.data() + start + first, hits_.data() + start + first});
      if (!backward) return;
      T* d_outputs = arena_.data() + at_.d_outputs + at;
      for (int from = 0; from < panels; from += kDecoderPanels)
        for (int p = 0; p < matrix.back_panels(); ++p)
          kernels_.panel_product({d_outputs + std::size_t(p) * kPanel, std::size_t(stride_), own + from * panel_stride,
                                  kPanel, 1, panel_stride, back_panel(matrix, p) + std::size_t(from) * kPanel * kPanel,
                                  count, kPanel, std::min(kDecoderPanels, panels - from), from > 0});
    });
    check_cancelled();
    if (messages_.several()) exchange_rows(start, here, backward, d_weights != nullptr);
    if (!d_weights) continue;
    const int output = first_output(messages_.rank());
    parallel_for(threads_, first_output(messages_.rank() + 1) - output, [&](int i, int) {
      const int p = output + i;
      const T* d = logits + p * panel_stride;
      kernels_.panel_product({gradient_panel(matrix, p), kPanel, outputs + std::size_t(start) * stride_, 1,
                              std::size_t(stride_), 0, d, hidden_, here, 1, start > 0});
      for (int lane = 0; lane < kPanel && p * kPanel + lane < vocabulary_; ++lane) {
        T total = start > 0 ? d_bias[p * kPanel + lane] : T(0);
        for (int r = 0; r < here; ++r) total += d[std::size_t(r) * kPanel + lane];
        d_bias[p * kPanel + lane] = total;
      }
    });
    check_cancelled();
  }
  Loss loss;
  for (int r = 0; r < rows; ++r) {
    loss.value += losses_[r] / rows;
    loss.correct += hits_[r];
  }
  return loss;
}

template class RecurrentNetwork<float>;
template class RecurrentNetwork<double>;

}  // namespace pydarts

// SPDX-License-Identifier: MIT
#pragma once

namespace pydarts {

// What a network's outputs z are compared with, and how. A sample's loss, with K outputs and targets t:
//   softmax: -sum_k t_k log softmax(z)_k
//   sigmoid: the mean over k of log(1 + exp(z_k)) - t_k z_k, cross-entropy of independent labels
//   squared: the mean over k of (z_k - t_k)^2
//   huber:   the mean over k of e^2 / 2 where e = |z_k - t_k| <= delta, else delta (e - delta / 2)
enum class LossKind { softmax, sigmoid, squared, huber };

struct LossFunction {
  LossKind kind = LossKind::softmax;
  double delta = 1;  // of huber
};

// Of a batch: the mean over its samples, or sum_n w_n loss_n / sum_n w_n with weights of the samples.
struct Loss {
  double value = 0;  // auxiliary head included
  int correct = 0;   // softmax: samples whose largest logit is their label's; sigmoid: those with every label right
};

}  // namespace pydarts

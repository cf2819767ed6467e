// SPDX-License-Identifier: MIT
// Bilevel optimisation over a gradient oracle: min over alpha of L_valid(w*(alpha), alpha). Knows no network.
#pragma once
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "core/loss.hpp"
#include "core/memory.hpp"
#include "core/parallel.hpp"
#include "core/range.hpp"

namespace pydarts {

// Loss at weights w, and whichever gradients are asked for (null: not wanted).
template <class T>
using LossGradient = std::function<Loss(const T* w, T* d_weights, T* d_alphas)>;

template <class T>
struct Oracle {
  std::size_t num_weights, num_alphas;
  LossGradient<T> train, valid;
  std::function<std::string(std::size_t)> weight_name;  // for error texts
  std::function<void()> keep_statistics;                // of the last pass: the weight step is made with it
  Threads threads;
  LossGradient<T> descent = nullptr;  // what the weights descend, if more than the training loss: regularisation
  // The weights that the last pass depended on; a step leaves the others as they are. Null: all.
  const std::vector<Range>* used_weights = nullptr;
};

// Vectors that last from call to call, so that a step allocates nothing after the first.
template <class T>
struct Workspace {
  explicit Workspace(const MemoryHooks& memory = {})
      : moved(memory), v(memory), other(memory), implicit(memory), train_gradient(memory) {}
  Vector<T> moved, v, other, implicit, train_gradient;
};

// out = (gradient(w + eps v) - gradient(w - eps v)) / (2 eps), eps = epsilon / ||v||. `gradient` may have any
// length m: with a gradient by alpha this is the mixed derivative times v. w is only read.
template <class T>
void hessian_vector_product(const std::function<void(const T* w, T* out)>& gradient, const T* w, const T* v,
                            std::size_t n, std::size_t m, double epsilon, T* out, const Threads& threads,
                            Workspace<T>& workspace);

enum class Difference { central, forward };  // forward: from w, where the gradient is known, to w + eps v

struct UnrolledStep {
  int order = 2;
  double eta = 0.025, momentum = 0.9, weight_decay = 3e-4, epsilon = 0.01;
  Difference difference = Difference::central;
  double clip = std::numeric_limits<double>::infinity();  // of the norm of the unrolled step's gradient, and of v's
  bool capped = true;                                     // see arch_gradient
  std::size_t fixed = 0;                                  // so many first weights stay in the unrolled step
};

struct ArchLosses {
  Loss train, valid;  // train: only of the second order
};

// Second order, with w' = w - eta (momentum buffer + grad_w L_train(w) + weight_decay w) and v = grad_w' L_valid(w'):
//   out = grad_alpha L_valid(w') - eta (grad_alpha L_train(w + eps v) - grad_alpha L_train(w - eps v)) / (2 eps)
// With a bound on the norms, g = grad_w L_train(w) is scaled by min(1, coefficient) before the unrolled step,
// coefficient = clip / (||g|| + 1e-6); v likewise; and the implicit term by eta * coefficient, or by eta * min(1,
// coefficient) if `capped`. First order: out = grad_alpha L_valid(w). `buffer` may be null for zero. The second order
// leaves grad_w L_train(w) in workspace.train_gradient.
template <class T>
ArchLosses arch_gradient(const Oracle<T>& oracle, const T* w, const T* buffer, const UnrolledStep& options, T* out,
                         Workspace<T>& workspace);

// A step of the weights by SGD with momentum, weight decay and a bound on the gradient's norm, as PyTorch's SGD
// after clip_grad_norm_: weights that the loss does not depend on neither decay nor move on by their momentum.
template <class T>
struct WeightStep {
  double momentum = 0.9, weight_decay = 3e-4, clip = 5;
  Vector<T> buffer;

  WeightStep(double momentum, double weight_decay, double clip, std::size_t weights, const MemoryHooks& memory = {})
      : momentum(momentum),
        weight_decay(weight_decay),
        clip(clip),
        buffer(weights, memory),
        gradient_(weights, memory) {}

  // Changes w only after everything that can fail has succeeded. Throws NonFinite, naming the first weight tensor whose
  // gradient is not finite.
  Loss operator()(const Oracle<T>& oracle, T* w, double lr, double* gradient_norm = nullptr);

  // The same with a gradient that is known. Gives its norm.
  double apply(const Oracle<T>& oracle, T* w, const T* gradient, double lr);

 private:
  Vector<T> gradient_;
};

// Adam with the weight decay added to the gradient. Kingma & Ba, arXiv:1412.6980.
template <class T>
struct Adam {
  double lr = 3e-4, beta1 = 0.5, beta2 = 0.999, weight_decay = 1e-3;
  Vector<T> first, second;
  long long steps = 0;

  void update(T* alphas, const T* gradient);
};

// One whole search step: alpha by Adam, then w by SGD at the new alpha. With `reuse_gradient` the step of w takes the
// gradient that the unrolled step was made with, at the old alpha: one pass of five less.
template <class T>
class BilevelStep {
 public:
  BilevelStep(UnrolledStep unrolled, bool reuse_gradient, WeightStep<T> weights, Adam<T> adam,
              const MemoryHooks& memory = {})
      : unrolled_(unrolled),
        reuse_gradient_(reuse_gradient),
        weights_(std::move(weights)),
        adam_(std::move(adam)),
        adam_before_(adam_),
        alphas_before_(memory),
        alpha_gradient_(memory),
        workspace_(memory) {}

  struct Info {
    Loss train, valid;
    double gradient_norm = 0;  // of w, before clipping
    double alpha_gradient_norm = 0;
  };
  // The gradient with respect to the alphas that a step gives to Adam.
  ArchLosses gradient(const Oracle<T>& oracle, const T* w, double lr, T* d_alphas);

  // Changes w and alphas only after everything that can fail has succeeded.
  Info operator()(const Oracle<T>& oracle, T* w, T* alphas, double lr);

  WeightStep<T>& weights() { return weights_; }
  Adam<T>& adam() { return adam_; }

 private:
  UnrolledStep unrolled_;
  bool reuse_gradient_;
  WeightStep<T> weights_;
  Adam<T> adam_, adam_before_;
  Vector<T> alphas_before_, alpha_gradient_;
  Workspace<T> workspace_;
};

}  // namespace pydarts

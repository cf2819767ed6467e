// SPDX-License-Identifier: MIT
#include "bilevel/bilevel.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "core/vector.hpp"

namespace pydarts {
namespace {

constexpr double kClipEpsilon = 1e-6;  // added to the norm that is clipped, as in PyTorch

void check_loss(const Loss& loss, const char* what) {
  if (!std::isfinite(loss.value)) throw NonFinite(text(what, " is ", loss.value));
}

template <class T>
double checked_norm(const Oracle<T>& oracle, const T* gradient, const char* what) {
  const double norm = std::sqrt(squared_norm(oracle.threads, gradient, oracle.num_weights));
  if (std::isfinite(norm)) return norm;
  for (std::size_t i = 0; i < oracle.num_weights; ++i)
    if (!std::isfinite(gradient[i]))
      throw NonFinite(text(what, " by `", oracle.weight_name(i), "` is ", double(gradient[i])));
  throw NonFinite(text("the norm of ", what, " is ", norm));
}

}  // namespace

template <class T>
void hessian_vector_product(const std::function<void(const T*, T*)>& gradient, const T* w, const T* v, std::size_t n,
                            std::size_t m, double epsilon, T* out, const Threads& threads, Workspace<T>& workspace) {
  const double norm = std::sqrt(squared_norm(threads, v, n));
  if (!(norm > 0) || !std::isfinite(norm))
    throw NonFinite(text("the norm of v is ", norm, ": the finite difference has no direction"));
  const double step = epsilon / norm;
  Vector<T>&moved = workspace.moved, &other = workspace.other;
  moved.resize(n);
  other.resize(m);
  auto at = [&](double sign, T* to) {
    for_pieces(threads, n, [&](std::size_t first, std::size_t last) {
      const T scaled = T(sign * step);
      for (std::size_t i = first; i < last; ++i) moved[i] = w[i] + scaled * v[i];
    });
    gradient(moved.data(), to);
  };
  at(1, out);
  at(-1, other.data());
  for (std::size_t i = 0; i < m; ++i) out[i] = T((double(out[i]) - double(other[i])) / (2 * step));
}

template <class T>
ArchLosses arch_gradient(const Oracle<T>& oracle, const T* w, const T* buffer, const UnrolledStep& options, T* out,
                         Workspace<T>& workspace) {
  ArchLosses losses;
  if (options.order == 1) {
    losses.valid = oracle.valid(w, nullptr, out);
    check_loss(losses.valid, "the validation loss");
    return losses;
  }
  const std::size_t n = oracle.num_weights, m = oracle.num_alphas;
  const bool central = options.difference == Difference::central;
  Vector<T>&moved = workspace.moved, &v = workspace.v, &gradient = workspace.train_gradient;
  Vector<T>&implicit = workspace.implicit, &at_w = workspace.other;
  moved.resize(n);
  v.resize(n);
  gradient.resize(n);
  implicit.resize(m);
  at_w.resize(m);
  losses.train = oracle.train(w, gradient.data(), central ? nullptr : at_w.data());
  check_loss(losses.train, "the training loss");
  const double coefficient =
      options.clip / (checked_norm(oracle, gradient.data(), "the gradient of the training loss") + kClipEpsilon);
  oracle.keep_statistics();
  for_pieces(oracle.threads, n, [&](std::size_t first, std::size_t last) {
    const T eta = T(options.eta), momentum = T(options.momentum), decay = T(options.weight_decay);
    const T scale = T(std::min(1.0, coefficient));
    for (std::size_t i = first; i < last; ++i)
      moved[i] = i < options.fixed
                     ? w[i]
                     : w[i] - eta * ((buffer ? momentum * buffer[i] : T(0)) + scale * gradient[i] + decay * w[i]);
  });
  losses.valid = oracle.valid(moved.data(), v.data(), out);
  check_loss(losses.valid, "the validation loss after the unrolled step");
  double norm = checked_norm(oracle, v.data(), "the gradient of the validation loss");
  if (norm == 0) throw NonFinite("the gradient of the validation loss by all weights is zero");
  const double shortened = std::min(1.0, options.clip / (norm + kClipEpsilon));
  if (shortened < 1) {
    for_pieces(oracle.threads, n, [&](std::size_t first, std::size_t last) {
      for (std::size_t i = first; i < last; ++i) v[i] *= T(shortened);
    });
    norm *= shortened;
  }
  auto alpha_gradient = [&](const T* at, T* to) {
    check_loss(oracle.train(at, nullptr, to), "a perturbed training loss");
  };
  if (central) {
    hessian_vector_product<T>(alpha_gradient, w, v.data(), n, m, options.epsilon, implicit.data(), oracle.threads,
                              workspace);
  } else {
    const double step = options.epsilon / norm;
    for_pieces(oracle.threads, n, [&](std::size_t first, std::size_t last) {
      for (std::size_t i = first; i < last; ++i) moved[i] = w[i] + T(step) * v[i];
    });
    alpha_gradient(moved.data(), implicit.data());
    for (std::size_t i = 0; i < m; ++i) implicit[i] = T((double(implicit[i]) - double(at_w[i])) / step);
  }
  const double scale = std::isinf(options.clip) ? 1 : options.capped ? std::min(1.0, coefficient) : coefficient;
  for (std::size_t i = 0; i < m; ++i) out[i] = T(out[i] - options.eta * scale * double(implicit[i]));
  return losses;
}

template <class T>
Loss WeightStep<T>::operator()(const Oracle<T>& oracle, T* w, double lr, double* gradient_norm) {
  const Loss loss = (oracle.descent ? oracle.descent : oracle.train)(w, gradient_.data(), nullptr);
  check_loss(loss, "the training loss");
  oracle.keep_statistics();
  const double norm = apply(oracle, w, gradient_.data(), lr);
  if (gradient_norm) *gradient_norm = norm;
  return loss;
}

template <class T>
double WeightStep<T>::apply(const Oracle<T>& oracle, T* w, const T* gradient, double lr) {
  const double norm = checked_norm(oracle, gradient, "the gradient of the training loss");
  const double scale = std::min(1.0, clip / (norm + kClipEpsilon));
  for_pieces(oracle.threads, buffer.size(), [&](std::size_t first, std::size_t last) {
    const T coefficient = T(scale), decay = T(weight_decay), mu = T(momentum), rate = T(lr);
    const auto move = [&](std::size_t from, std::size_t to) {
      for (std::size_t i = from; i < to; ++i) {
        buffer[i] = mu * buffer[i] + (coefficient * gradient[i] + decay * w[i]);
        w[i] -= rate * buffer[i];
      }
    };
    if (!oracle.used_weights) return move(first, last);
    for (const Range& used : *oracle.used_weights) move(std::max(first, used.first), std::min(last, used.last));
  });
  return norm;
}

template <class T>
void Adam<T>::update(T* alphas, const T* gradient) {
  ++steps;
  const double step = lr / (1 - std::pow(beta1, double(steps)));
  const double root = std::sqrt(1 - std::pow(beta2, double(steps)));
  for (std::size_t i = 0; i < first.size(); ++i) {
    const double g = gradient[i] + weight_decay * alphas[i];
    first[i] = T(beta1 * first[i] + (1 - beta1) * g);
    second[i] = T(beta2 * second[i] + (1 - beta2) * g * g);
    alphas[i] = T(alphas[i] - step * first[i] / (std::sqrt(double(second[i])) / root + 1e-8));
  }
}

template <class T>
ArchLosses BilevelStep<T>::gradient(const Oracle<T>& oracle, const T* w, double lr, T* d_alphas) {
  UnrolledStep unrolled = unrolled_;
  unrolled.eta = lr;
  const ArchLosses losses = arch_gradient(oracle, w, weights_.buffer.data(), unrolled, d_alphas, workspace_);
  if (!std::isfinite(squared_norm(1, d_alphas, oracle.num_alphas)))
    throw NonFinite("the gradient with respect to the alphas is not finite");
  return losses;
}

template <class T>
typename BilevelStep<T>::Info BilevelStep<T>::operator()(const Oracle<T>& oracle, T* w, T* alphas, double lr) {
  alpha_gradient_.resize(oracle.num_alphas);
  Info info;
  const ArchLosses losses = gradient(oracle, w, lr, alpha_gradient_.data());
  info.valid = losses.valid;
  info.alpha_gradient_norm = std::sqrt(squared_norm(1, alpha_gradient_.data(), oracle.num_alphas));
  if (reuse_gradient_) {
    info.train = losses.train;
    info.gradient_norm = weights_.apply(oracle, w, workspace_.train_gradient.data(), lr);
    adam_.update(alphas, alpha_gradient_.data());
    return info;
  }
  alphas_before_.assign(alphas, alphas + oracle.num_alphas);
  adam_before_ = adam_;
  adam_.update(alphas, alpha_gradient_.data());
  try {
    info.train = weights_(oracle, w, lr, &info.gradient_norm);
  } catch (...) {
    std::copy(alphas_before_.begin(), alphas_before_.end(), alphas);
    adam_ = adam_before_;
    throw;
  }
  return info;
}

#define PYDARTS_INSTANTIATE(T)                                                                                        \
  template void hessian_vector_product<T>(const std::function<void(const T*, T*)>&, const T*, const T*, std::size_t,  \
                                          std::size_t, double, T*, const Threads&, Workspace<T>&);                    \
  template ArchLosses arch_gradient<T>(const Oracle<T>&, const T*, const T*, const UnrolledStep&, T*, Workspace<T>&); \
  template struct WeightStep<T>;                                                                                      \
  template struct Adam<T>;                                                                                            \
  template class BilevelStep<T>;
PYDARTS_INSTANTIATE(float)
PYDARTS_INSTANTIATE(double)

}  // namespace pydarts

// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>

#include "network/passes.hpp"

namespace pydarts {
namespace {

constexpr int kColumns = 256;  // of a weight's gradient at a time: their sums fit the stack

// Of one sample, whose logits `z` become the gradient by them. `target` is null where there is a label.
template <class T>
double softmax_loss(int classes, const T* target, int label, double* z, bool* hit) {
  if (target) label = int(std::max_element(target, target + classes) - target);
  const int best = int(std::max_element(z, z + classes) - z);
  const double largest = z[best];
  *hit = best == label;
  double total = 0;
  for (int k = 0; k < classes; ++k) total += std::exp(z[k] - largest);
  const double at_zero = std::log(total) + largest;  // the loss of a class whose logit is 0
  double mass = 1, loss = 0;
  if (target) {
    mass = 0;
    for (int k = 0; k < classes; ++k) {
      mass += target[k];
      loss += target[k] * (at_zero - z[k]);
    }
  } else {
    loss = at_zero - z[label];
  }
  for (int k = 0; k < classes; ++k)
    z[k] = std::exp(z[k] - largest) / total * mass - (target ? target[k] : T(k == label));
  return loss;
}

// Right is a sample with every label on the side of its target.
template <class T>
double sigmoid_loss(int labels, const T* target, double* z, bool* hit) {
  double loss = 0;
  *hit = true;
  for (int k = 0; k < labels; ++k) {
    const double small = std::exp(-std::fabs(z[k])), t = double(target[k]);  // neither form can overflow
    loss += std::max(z[k], 0.0) - t * z[k] + std::log1p(small);
    if (std::isnan(z[k])) loss = z[k];  // the maximum drops it
    *hit = *hit && (z[k] > 0) == (t > 0.5);
    z[k] = ((z[k] >= 0 ? 1 : small) / (1 + small) - t) / labels;
  }
  return loss / labels;
}

template <class T>
double distance_loss(const LossFunction& function, int outputs, const T* target, double* z) {
  double loss = 0;
  for (int k = 0; k < outputs; ++k) {
    const double e = z[k] - double(target[k]), size = std::fabs(e), delta = function.delta;
    if (function.kind == LossKind::squared) {
      loss += e * e;
      z[k] = 2 * e / outputs;
    } else if (size <= delta) {
      loss += e * e / 2;
      z[k] = e / outputs;
    } else {
      loss += delta * (size - delta / 2);  // NaN stays NaN
      z[k] = std::isnan(e) ? e : std::copysign(delta, e) / outputs;
    }
  }
  return loss / outputs;
}

template <class T>
double sample_loss(const LossFunction& function, int outputs, const T* target, int label, double* z, bool* hit) {
  switch (function.kind) {
    case LossKind::softmax:
      return softmax_loss(outputs, target, label, z, hit);
    case LossKind::sigmoid:
      return sigmoid_loss(outputs, target, z, hit);
    case LossKind::squared:
    case LossKind::huber:
      return distance_loss(function, outputs, target, z);
  }
  return 0;
}

}  // namespace

// features[n][c] = mean over the plane of (relu) x; logits = features * weight^T + bias; the loss is the mean over n of
// `LossFunction`, where a label's target is 1 at the label; with weights of samples sum w_n loss_n / sum w_n.
template <class T>
Loss Network<T>::run_head(const Pass& pass, const Head& head, const Batch<T>* truth, T* logits, T* d_weights,
                          bool backward) {
  const Channels& channels = graph_.states[head.state].channels;
  const int plane = pass.plan.states[head.state].plane(), inputs = channels.count(), classes = graph_.classes;
  const int samples = pass.plan.samples;
  const T* importance = truth ? truth->sample_weights : nullptr;
  double mass = samples;  // of all samples
  if (importance) {
    mass = 0;
    for (int n = 0; n < samples; ++n) mass += double(importance[n]);
  }
  const T* weight = pass.weights + graph_.parameters[head.weight].offset;
  const T* bias = pass.weights + graph_.parameters[head.bias].offset;
  features_.resize(std::size_t(samples) * inputs);
  d_logits_.resize(std::size_t(samples) * classes);
  losses_.assign(samples, 0);
  hits_.assign(samples, 0);
  auto value_of = [&](T x) { return head.relu && x <= 0 ? T(0) : x; };  // NaN stays NaN

  parallel_for(threads_, pass.plan.held, [&](int own, int) {
    const int n = pass.plan.first + own;
    const T* x = activation(pass, head.state, own).data;
    double* f = features_.data() + std::size_t(n) * inputs;
    for (int c = 0; c < inputs; ++c) {
      const int lane = channels.lane(c);
      const T* p = x + std::size_t(lane / kLanes) * plane * kLanes + lane % kLanes;
      double total = 0;
      for (int i = 0; i < plane; ++i) total += value_of(p[std::size_t(i) * kLanes]);
      f[c] = total / plane;
    }
    double* z = d_logits_.data() + std::size_t(n) * classes;
    for (int k = 0; k < classes; ++k) {
      double total = bias[k];
      for (int c = 0; c < inputs; ++c) total += f[c] * weight[std::size_t(k) * inputs + c];
      z[k] = total;
      if (logits) logits[std::size_t(n) * classes + k] = T(total);
    }
    if (!truth) return;
    const T* target = truth->targets ? truth->targets + std::size_t(n) * classes : nullptr;
    const double share = importance ? double(importance[n]) : 1;
    bool hit = false;
    losses_[n] = share * sample_loss(graph_.loss, classes, target, target ? 0 : truth->labels[n], z, &hit);
    hits_[n] = hit;
    if (!backward) return;
    for (int k = 0; k < classes; ++k) z[k] = head.loss_weight * z[k] * share / mass;
    const View<T> g = gradient(pass, head.state, own);
    std::fill_n(g.data, std::size_t(channels.lanes()) * plane, T(0));
    for (int c = 0; c < inputs; ++c) {
      double d = 0;
      for (int k = 0; k < classes; ++k) d += z[k] * weight[std::size_t(k) * inputs + c];
      const int lane = channels.lane(c);
      const std::size_t at = std::size_t(lane / kLanes) * plane * kLanes + lane % kLanes;
      for (int i = 0; i < plane; ++i)
        if (!(head.relu && x[at + std::size_t(i) * kLanes] <= 0)) g.data[at + std::size_t(i) * kLanes] = T(d / plane);
    }
  });
  gradient_started_[head.state] = 1;
  if (messages_.several()) {
    exchange_heads(pass, inputs, d_weights != nullptr, d_weights || logits);
    for (std::size_t i = 0; logits && i < d_logits_.size(); ++i) logits[i] = T(d_logits_[i]);
  }

  if (d_weights)
    parallel_for(threads_, classes, [&](int k, int) {
      T* to = d_weights + graph_.parameters[head.weight].offset + std::size_t(k) * inputs;
      for (int first = 0; first < inputs; first += kColumns) {
        const int count = std::min(kColumns, inputs - first);
        double row[kColumns] = {};
        for (int n = 0; n < samples; ++n) {
          const double d = d_logits_[std::size_t(n) * classes + k];
          for (int c = 0; c < count; ++c) row[c] += d * features_[std::size_t(n) * inputs + first + c];
        }
        std::copy_n(row, count, to + first);
      }
      double d_bias = 0;
      for (int n = 0; n < samples; ++n) d_bias += d_logits_[std::size_t(n) * classes + k];
      d_weights[graph_.parameters[head.bias].offset + k] = T(d_bias);
    });
  Loss loss;
  for (int n = 0; n < samples; ++n) {
    loss.value += losses_[n] / mass;
    loss.correct += hits_[n];
  }
  return loss;
}

template class Network<float>;
template class Network<double>;

}  // namespace pydarts

// SPDX-License-Identifier: MIT
// What the ranks of a network tell each other: parts of sums, which all of them then add along the same tree.
#include <algorithm>

#include "network/passes.hpp"

namespace pydarts {

template <class T>
void Network<T>::use_communicator(const Communicator& communicator) {
  require(!communicator.several() || !graph_.heads.empty(),
          "a network without a head is not computed by several ranks");
  plans_.clear();
  for (std::size_t a = 0; a < part_offset_.size(); ++a) part_offset_[a] = graph_.affines[a].first_sum * 2;
  part_levels_ = nullptr;
  stop_ = false;
  messages_.use(communicator, {instruction_set().name, sizeof(T), weights_.size(), alphas_.size(), running_.size()},
                [&] {
                  meeting_.reserve(graph_.affines.size());
                  parts_.reserve(std::size_t(kMaxTasks) + 1);
                  messages_.broadcast(weights_.data(), weights_.size() * sizeof(T));
                  messages_.broadcast(alphas_.data(), alphas_.size() * sizeof(T));
                  messages_.broadcast(running_.data(), running_.size() * sizeof(T));
                  messages_.broadcast(&noise_step_, sizeof noise_step_);
                });
}

// Of the affine maps of `meeting_`, which leave state v.
template <class T>
void Network<T>::exchange_sums(const Pass& pass, int v) {
  const Plan::StatePlace& place = pass.plan.states[v];
  std::size_t width = 0;
  const auto told = [&](int a) {
    if (in_message_[a]) return true;
    in_message_[a] = 1;
    part_offset_[a] = width;
    width += 2 * std::size_t(graph_.affines[a].channels.lanes());
    return false;
  };
  meeting_.erase(std::remove_if(meeting_.begin(), meeting_.end(), told), meeting_.end());
  for (int a : meeting_) in_message_[a] = 0;
  if (meeting_.empty()) return;
  double* own = messages_.begin<double>([&](int r) { return place.node_counts[r] * width; });
  parallel_for(threads_for(width * place.tasks), int(meeting_.size()), [&](int i, int) {
    const int a = meeting_[i];
    for (std::size_t k = 0; k < place.nodes.size(); ++k) {
      const int first = place.nodes[k].first - place.first_task;
      const int count = std::min(place.tasks - first, 1 << place.nodes[k].level);
      add_by_pairs(own + k * width + part_offset_[a], 2 * std::size_t(graph_.affines[a].channels.lanes()), count,
                   nullptr, [&](int task) { return sums(v, first + task, a); });
    }
  });
  messages_.gather(stop_);
  parts_.clear();
  for (int r = 0; r < messages_.size(); ++r)
    for (int k = 0; k < place.node_counts[r]; ++k) parts_.push_back(messages_.told<double>(r) + k * width);
  part_levels_ = place.levels.data();
}

// Losses and hits of all samples; where they are wanted, features too, and the logits or the gradient there.
template <class T>
void Network<T>::exchange_heads(const Pass& pass, std::size_t inputs, bool features, bool logits) {
  const std::vector<int>& begin = pass.plan.rank_samples;
  const std::size_t classes = graph_.classes, of_features = features ? inputs : 0, of_logits = logits ? classes : 0;
  const std::size_t width = 2 + of_features + of_logits;
  double* own = messages_.begin<double>([&](int r) { return (begin[r + 1] - begin[r]) * width; });
  for (int n = begin[messages_.rank()]; n < begin[messages_.rank() + 1]; ++n) {
    *own++ = losses_[n];
    *own++ = hits_[n];
    own = std::copy_n(features_.data() + n * inputs, of_features, own);
    own = std::copy_n(d_logits_.data() + n * classes, of_logits, own);
  }
  messages_.gather(stop_);
  for (int r = 0; r < messages_.size(); ++r) {
    const double* from = messages_.told<double>(r);
    for (int n = begin[r]; n < begin[r + 1]; ++n, from += width) {
      losses_[n] = from[0];
      hits_[n] = char(from[1]);
      std::copy_n(from + 2, of_features, features_.data() + n * inputs);
      std::copy_n(from + 2 + of_features, of_logits, d_logits_.data() + n * classes);
    }
  }
}

// The gradients of a phase's weights, which are told at the end of the pass.
template <class T>
void Network<T>::keep_weight_gradients(const Pass& pass, int v, int level) {
  const Plan::StatePlace& place = pass.plan.states[v];
  const std::vector<int>& units = pass.taken.states()[v].levels[level];
  const std::size_t distance = graph_.states[v].level_size[level], weights = graph_.num_weights;
  kept_gradients_.reserve(Messages::whole(pass.plan.rank_nodes[messages_.rank()] * weights * sizeof(T)));
  T* kept = reinterpret_cast<T*>(kept_gradients_.data() + Messages::kFlag);
  parallel_for(threads_for(distance * place.tasks), int(units.size()), [&](int i, int) {
    const Unit& unit = graph_.units[units[i]];
    for (std::size_t k = 0; k < place.nodes.size(); ++k) {
      const int first = place.nodes[k].first - place.first_task;
      const int count = std::min(place.tasks - first, 1 << place.nodes[k].level);
      T *depthwise = weight_gradients(pass, unit) + first * distance, *to = kept + k * weights;
      T* product = depthwise + unit.depthwise_size();
      add_by_pairs(depthwise, unit.gradient_size(), count, nullptr,
                   [&](int task) { return depthwise + task * distance; });
      for_depthwise_weights(graph_, unit, [&](std::size_t weight, std::size_t at) { to[weight] = depthwise[at]; });
      const std::size_t columns = unit.out.lanes();
      for_product_weights(graph_, unit, 0, unit.shape.z_blocks(), [&](std::size_t weight, int row, int column) {
        to[weight] = product[row * columns + column];
      });
    }
  });
}

// The end of a pass, whether or not there are gradients of weights: from here on no rank may be cancelled.
template <class T>
void Network<T>::exchange_weight_gradients(const Pass& pass, T* d_weights) {
  const std::size_t weights = d_weights ? graph_.num_weights : 0;
  messages_.begin<T>([&](int r) { return pass.plan.rank_nodes[r] * weights; });
  if (d_weights) kept_gradients_.reserve(messages_.own_bytes());
  messages_.gather(stop_, d_weights ? kept_gradients_.data() : nullptr);
  if (!d_weights) return;
  parallel_for(threads_, int(graph_.units.size()), [&](int u, int) {
    const Unit& unit = graph_.units[u];
    if (!pass.taken.has_affine(unit.affine)) return;
    const Plan::StatePlace& place = pass.plan.states[unit.state];
    const T* parts[kMaxTasks];
    int count = 0;
    for (int r = 0; r < messages_.size(); ++r)
      for (int k = 0; k < place.node_counts[r]; ++k) parts[count++] = messages_.told<T>(r) + k * weights;
    const auto add = [&](int parameter) {
      const Parameter& of = graph_.parameters[parameter];
      add_by_pairs(d_weights + of.offset, of.size, count, place.levels.data(),
                   [&](int i) { return parts[i] + of.offset; });
    };
    if (unit.depthwise >= 0) add(unit.depthwise);
    for (const ProductPart& part : unit.parts) add(part.parameter);
  });
}

template <class T>
void Network<T>::exchange_logits(int samples, T* logits) {
  const std::size_t classes = graph_.classes;
  const auto begin = [&](int rank) { return part_of(samples, rank, messages_.size()); };
  const auto size = [&](int rank) { return (begin(rank + 1) - begin(rank)) * classes; };
  T* own = messages_.begin<T>(size);
  std::copy_n(logits + begin(messages_.rank()) * classes, size(messages_.rank()), own);
  messages_.gather(stop_);
  for (int r = 0; r < messages_.size(); ++r) std::copy_n(messages_.told<T>(r), size(r), logits + begin(r) * classes);
}

template class Network<float>;
template class Network<double>;

}  // namespace pydarts

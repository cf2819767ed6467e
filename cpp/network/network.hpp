// SPDX-License-Identifier: MIT
// Runs a graph: forward, loss and backward over a batch. One class for the supernet, the derived network and
// a single mixed operation.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/buffer.hpp"
#include "core/environment.hpp"
#include "core/loss.hpp"
#include "core/random.hpp"
#include "network/graph.hpp"
#include "network/inference.hpp"
#include "network/plan.hpp"

namespace pydarts {

template <class T>
struct Batch {
  const T* images;             // (samples, in_channels, height, width)
  const std::int32_t* labels;  // (samples,), or null
  int samples, height, width;
};

// As PyTorch initialises each kind of layer.
template <class T>
void initial_weights(const Graph& graph, Random& random, T* weights);

template <class T>
class Network {
 public:
  // Initial weights, alphas 1e-3 * N(0, 1); both from `seed`. If memory fails here or in a pass, it comes out as
  // std::bad_alloc, and weights, alphas and running statistics are as before the call.
  // `recompute` keeps only the states for backward, and computes what leaves one again when it comes to it.
  Network(Graph graph, std::uint64_t seed, const Environment& environment, bool recompute = false);

  const Graph& graph() const { return graph_; }
  const Threads& threads() const { return threads_; }
  Vector<T>& weights() { return weights_; }
  Vector<T>& alphas() { return alphas_; }
  Vector<T>& running() { return running_; }

  // Asked often, by the calling thread; true stops the call with Cancelled. Must not throw.
  void set_cancel(std::function<bool()> cancel) { cancel_ = std::move(cancel); }

  // (samples, classes) into `logits`: with batch statistics, or with the running ones.
  void logits(const Batch<T>& batch, bool training, T* logits);

  // Loss and its gradients at `weights`, with batch statistics. A null gradient is not computed. `drop`:
  // (droppables, samples) factors of drop path, or null. The running statistics stay as they are.
  Loss evaluate(const Batch<T>& batch, const T* weights, T* d_weights, T* d_alphas, const T* drop = nullptr);

  // Marks the batch statistics of the last evaluate() as those that update_running() takes.
  void keep_statistics();
  // Blends the kept batch statistics into the running ones.
  void update_running();

  // For graphs without a head: the output, and the gradients for a given output gradient.
  void forward(const Batch<T>& batch, const T* weights, T* output);
  void backward(const Batch<T>& batch, const T* weights, const T* d_output, T* d_weights, T* d_alphas, T* d_images);

  // Bytes that a pass over one batch takes, beside weights and gradients; those of them that a workspace holds.
  struct Memory {
    std::size_t activations, scratch, workspace;
  };
  Memory memory(int samples, int height, int width, bool backward) const;

  // Passes use the caller's memory, on a multiple of kCacheLine, which must last as long as they do; one that takes
  // more throws InvalidArgument. Null: the network's own again.
  void use_workspace(void* workspace, std::size_t bytes);

 private:
  struct Coefficients {  // one per lane of an affine map
    T *mean, *scale, *shift, *a, *b, *c;
  };

  struct Layout {  // of the memory of a pass, in elements: activations first, then these
    std::size_t packed, scratch, partial, size;
  };

  // network.cpp
  void begin(const Batch<T>& batch, const T* weights, bool training, bool backward, const T* drop);
  void pack(const T* weights);
  void mix();
  void load_images(const T* images);
  void check_cancelled() const;
  Layout layout(const Plan& plan) const;
  void infer(const Batch<T>& batch, T* logits);
  T* memory_of(std::size_t size);
  const Plan& plan_for(const Batch<T>& batch, bool backward);
  template <class Body>
  void for_groups(int group, Body body);

  // forward.cpp
  void run_forward();
  void forward_state(int v);
  void forward_units(int v, int level);
  void finish_forward(int affine, bool final_unit);
  void add_arriving(const State& state, int sample, int samples, int thread);
  Summand<T> summand(const Term& term, int sample);

  // backward.cpp
  void run_backward(T* d_weights, T* d_alphas, T* d_images);
  void backward_state(int v, T* d_weights);
  void backward_terms(int v, T* d_weights);
  void backward_units(int v, int level, T* d_weights);
  void backward_sources(int v, T* d_weights);
  UnitBackward<T> unit_gradient(int u, int sample, int samples, int shard, bool wants_weights);
  void look_ahead(UnitBackward<T>& call, const std::vector<int>& units, std::size_t i, int sample);
  void finish_backward(int affine, bool final_unit, T* d_weights);
  void reduce_weight_gradients(const std::vector<int>& units, T* d_weights);
  void alpha_gradient(T* d_alphas) const;

  // head.cpp
  Loss run_head(const Head& head, const std::int32_t* labels, T* logits, T* d_weights, bool backward);

  Coefficients coefficients(int affine);
  std::size_t sums_at(int shard, int affine) const { return (shard * graph_.lanes + graph_.affines[affine].lanes) * 2; }
  double* sums(int shard, int affine) { return sums_.data() + sums_at(shard, affine); }
  double* moments(int shard, int affine) { return moments_.data() + sums_at(shard, affine); }
  T* scratch(int thread) { return scratch_ + thread * plan_->scratch_size; }
  View<T> activation(int v, int sample) {
    const auto& place = plan_->states[v];
    return {arena_ + place.at + sample * place.stride, place.stride};
  }
  View<T> gradient(int v, int sample) {
    const auto& place = plan_->states[v];
    return {arena_ + place.gradient + sample * place.gradient_stride, place.gradient_stride};
  }
  std::size_t at(const Plan::OutputPlace& place) const { return backward_ ? place.backward : place.forward; }
  View<T> output(int u, int sample) {
    const auto& place = plan_->units[u];
    return {arena_ + at(place.at) + sample * place.stride(), place.stride()};
  }
  View<T> output_gradient(int u, int sample) {  // at the normalised output
    if (graph_.units[u].next < 0) return gradient(graph_.units[u].node, sample);
    const auto& place = plan_->units[u];
    return {arena_ + place.gradient + sample * place.stride(), place.stride()};
  }
  View<T> pooled(int p, int sample) {
    const auto& place = plan_->pools[p];
    return {arena_ + at(place.at) + sample * place.stride(), place.stride()};
  }
  const T* factor(int affine, int sample) const {
    const int row = graph_.affines[affine].droppable;
    return drop_ && row >= 0 ? drop_ + std::size_t(row) * plan_->samples + sample : nullptr;
  }

  Graph graph_;
  Threads threads_;
  Log log_;
  bool recompute_;
  const Kernels<T>& kernels_;
  std::function<bool()> cancel_;
  std::thread::id caller_;
  std::atomic<bool> stop_{false};
  Vector<T> weights_, alphas_, running_;

  // Of the pass that runs:
  const Plan* plan_ = nullptr;
  const T* pass_weights_ = nullptr;
  const T* drop_ = nullptr;
  bool training_ = true;
  bool backward_ = false;  // then, what runs forward is for backward's sake: states and statistics are known

  std::vector<std::unique_ptr<Plan>> plans_;  // of the batch shapes seen last
  std::unique_ptr<Inference<T>> inference_;   // of a derived network
  Buffer<T> memory_;
  T* workspace_ = nullptr;  // the caller's, instead of memory_
  std::size_t workspace_bytes_ = 0;
  T *arena_ = nullptr, *packed_ = nullptr, *scratch_ = nullptr, *partial_ = nullptr;  // in one or the other
  Vector<T> coefficients_;
  Vector<double> sums_;                         // of y and y^2: [shard][affine][2][lane]
  Vector<double> moments_;                      // of g and g (y - mean), likewise
  Vector<double> rstd_;                         // by lane: 1 / sqrt(variance + eps)
  Vector<double> batch_mean_, batch_variance_;  // by lane
  Vector<double> kept_mean_, kept_unbiased_;    // what update_running() takes
  Vector<double> mixing_;                       // softmax of the alphas
  Vector<double> d_mixing_;                     // gradient of the loss by them
  Vector<char> gradient_started_;
  Vector<double> features_, d_logits_, losses_;  // of a head
  Vector<char> hits_;
  Vector<Summand<T>> summands_;  // a thread's, one after the other
  Vector<PoolUse<T>> uses_;
  std::size_t most_terms_ = 0, most_uses_ = 0;
};

}  // namespace pydarts

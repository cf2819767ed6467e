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
#include "core/messages.hpp"
#include "core/random.hpp"
#include "network/graph.hpp"
#include "network/inference.hpp"
#include "network/plan.hpp"
#include "network/selection.hpp"

namespace pydarts {

template <class T>
struct Batch {
  const T* images;             // (samples, in_channels, height, width)
  const std::int32_t* labels;  // (samples,), or null
  int samples, height, width;
  const T* targets = nullptr;         // instead of labels: (samples, classes); of softmax how much of each class
  const T* sample_weights = nullptr;  // (samples,), or null: the same for all
};

// Stands in for the softmax of the alphas, unless `weights` is null.
template <class T>
struct Mixture {
  const T* weights = nullptr;            // one for each alpha
  const std::uint8_t* active = nullptr;  // whether the operation is; null: all. The others are neither computed nor
                                         // touched, and what is by their weights is zero.
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
  // Who runs the tasks from now on; no more threads than the network was made with.
  void use_threads(const Threads& threads) { threads_ = threads; }
  Vector<T>& weights() { return weights_; }
  Vector<T>& alphas() { return alphas_; }
  Vector<T>& running() { return running_; }

  // From now on every pass is computed by all ranks of `communicator` together, each a part of its batch, and its
  // results are on all of them, the same as on one. They must give the same batches to the same calls. Weights, alphas
  // and running statistics become those of rank 0. A call that is cancelled on one rank is cancelled on all. Not for
  // graphs without a head. InvalidArgument if the ranks' networks differ, or the instruction sets that they compute
  // with.
  void use_communicator(const Communicator& communicator);
  const Communicator& communicator() const { return messages_.communicator(); }

  // Asked often, by the calling thread; true stops the call with Cancelled. Must not throw.
  void set_cancel(std::function<bool()> cancel) { cancel_ = std::move(cancel); }

  // (samples, classes) into `logits`: with batch statistics, or with the running ones.
  void logits(const Batch<T>& batch, bool training, T* logits, const Mixture<T>& mixture = {});

  // Loss and its gradients at `weights`, with batch statistics. A null gradient is not computed, and without any there
  // is no backward pass. `drop`: (droppables, samples) factors of drop path, or null. With a mixture `d_alphas` is by
  // its weights. The running statistics stay as they are.
  Loss evaluate(const Batch<T>& batch, const T* weights, T* d_weights, T* d_alphas, const T* drop = nullptr,
                const Mixture<T>& mixture = {});

  // Those that the last pass depended on.
  const std::vector<Range>& used_weights() const { return taken_.weights(); }

  // Marks the batch statistics of the last evaluate() as those that update_running() takes: of what was computed.
  void keep_statistics();
  // Blends the kept batch statistics into the running ones, and goes on to the next draw of the noise.
  void update_running();

  // Which draw of the noise passes take.
  std::uint64_t noise_step() const { return noise_step_; }
  void set_noise_step(std::uint64_t step) { noise_step_ = step; }

  // The coefficient of the auxiliary skips in all passes. At zero they are left out.
  double skip_weight() const { return skip_weight_; }
  void set_skip_weight(double weight) { skip_weight_ = weight; }

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
    std::size_t packed, scratch, size;
  };

  // What begin() fixes for one pass over a batch.
  struct Pass {
    const Plan& plan;
    const T* weights;
    const T* drop;
    Mixture<T> mixture;
    const Selection& taken;
    bool training;
    std::thread::id caller;
    T *arena, *packed, *scratch;
  };

  // The walk that an output of a unit or pool is for: where the plan rematerialises, it has a place in each.
  enum class Walk : std::uint8_t { forward, backward };

  // network.cpp
  Pass begin(const Batch<T>& batch, const T* weights, bool training, bool backward, const T* drop,
             const Mixture<T>& mixture);
  void pack(const Pass& pass);
  void mix(const Mixture<T>& mixture);
  void load_images(const Pass& pass, const T* images);
  void check_cancelled();
  Layout layout(const Plan& plan) const;
  void infer(const Batch<T>& batch, T* logits);
  T* memory_of(std::size_t size);
  const Plan& plan_for(const Batch<T>& batch, bool backward);
  template <class Body>
  void for_groups(const Pass& pass, int v, Body body);

  // forward.cpp
  void run_forward(const Pass& pass);
  void forward_state(const Pass& pass, int v, Walk walk);
  void forward_units(const Pass& pass, int v, int level, Walk walk);
  void draw_noise(const Pass& pass, int noise, int sample, int samples, Walk walk);
  void finish_forward(const Pass& pass, const std::vector<int>& affines);
  void finish_forward(const Pass& pass, int affine);
  void add_arriving(const Pass& pass, const State& state, int sample, int samples, int thread);
  Summand<T> summand(const Pass& pass, const Term& term, int sample, Walk walk);

  // backward.cpp
  void run_backward(const Pass& pass, T* d_weights, T* d_alphas, T* d_images);
  void backward_state(const Pass& pass, int v, T* d_weights);
  void backward_terms(const Pass& pass, int v, T* d_weights);
  void backward_units(const Pass& pass, int v, int level, T* d_weights);
  void backward_sources(const Pass& pass, int v, T* d_weights);
  UnitBackward<T> unit_backward_call(const Pass& pass, int u, int sample, int samples, int task, bool wants_weights);
  void look_ahead(const Pass& pass, UnitBackward<T>& call, const std::vector<int>& units, std::size_t i, int sample);
  void finish_backward(const Pass& pass, int affine, T* d_weights);
  void reduce_weight_gradients(const Pass& pass, int v, int level, T* d_weights);
  void keep_weight_gradients(const Pass& pass, int v, int level);
  void alpha_gradient(const Pass& pass, T* d_alphas);

  template <class AffineOf>
  void finish_backward(const Pass& pass, int v, int count, AffineOf affine_of, T* d_weights);

  // ranks.cpp
  template <class AffineOf>
  void meet(const Pass& pass, int v, int count, AffineOf affine_of);
  void exchange_sums(const Pass& pass, int v);
  void exchange_heads(const Pass& pass, std::size_t inputs, bool features, bool logits);
  void exchange_weight_gradients(const Pass& pass, T* d_weights);
  void exchange_logits(int samples, T* logits);

  // head.cpp
  Loss run_head(const Pass& pass, const Head& head, const Batch<T>* truth, T* logits, T* d_weights, bool backward);

  Coefficients coefficients(int affine);
  double bias_of(const Pass& pass, const Affine& affine, int channel) const {
    return affine.bias < 0 ? 0 : double(pass.weights[graph_.parameters[affine.bias].offset + channel]);
  }
  Threads threads_for(std::size_t additions) const;
  // Of all parts of the sums of an affine map that the present phase completed: add_by_pairs.
  struct Parts {
    const double* const* at;  // of `count` parts the first sum of all affine maps
    int count;
    const std::uint8_t* levels;  // null: they are tasks
    std::size_t offset;          // of this one's
  };
  Parts parts(int affine) const { return {parts_.data(), int(parts_.size()), part_levels_, part_offset_[affine]}; }
  // Of a task of the phase that runs. Kept no longer than until the phase's end.
  double* sums(int v, int task) { return sums_.data() + task * sums_distance(graph_.states[v]); }
  double* sums(int v, int task, int affine) { return sums(v, task) + graph_.affines[affine].first_sum * 2; }
  LevelBuffers<T> buffers(const Pass& pass, int v, int level, int thread) const {
    const std::size_t size = pass.plan.scratch_size;
    return {graph_, pass.plan, v, level, Scratch<T>(pass.scratch + thread * size, size)};
  }
  static View<T> activation(const Pass& pass, int v, int sample) {
    const auto& place = pass.plan.states[v];
    return {pass.arena + place.at + sample * place.stride, place.stride};
  }
  static View<T> gradient(const Pass& pass, int v, int sample) {
    const auto& place = pass.plan.states[v];
    return {pass.arena + place.gradient + sample * place.gradient_stride, place.gradient_stride};
  }
  static std::size_t at(const Plan::OutputPlace& place, Walk walk) {
    return walk == Walk::backward ? place.backward : place.forward;
  }
  static View<T> output(const Pass& pass, int u, int sample, Walk walk) {
    const auto& place = pass.plan.units[u];
    return {pass.arena + at(place.at, walk) + sample * place.stride(), place.stride()};
  }
  View<T> output_gradient(const Pass& pass, int u, int sample) const {  // at the normalised output
    if (graph_.units[u].next < 0) return gradient(pass, graph_.units[u].node, sample);
    const auto& place = pass.plan.units[u];
    return {pass.arena + place.gradient + sample * place.stride(), place.stride()};
  }
  static T* weight_gradients(const Pass& pass, const Unit& unit) {  // of the first task
    return pass.arena + pass.plan.states[unit.state].partial[unit.level] + unit.partial;
  }
  static View<T> noise(const Pass& pass, int i, int sample, Walk walk) {
    const auto& place = pass.plan.noises[i];
    return {pass.arena + at(place.at, walk) + sample * place.stride, place.stride};
  }
  static View<T> pooled(const Pass& pass, int p, int sample, Walk walk) {
    const auto& place = pass.plan.pools[p];
    return {pass.arena + at(place.at, walk) + sample * place.stride(), place.stride()};
  }
  const T* factor(const Pass& pass, int affine, int sample) const {
    const int row = graph_.affines[affine].droppable;
    return pass.drop && row >= 0 ? pass.drop + std::size_t(row) * pass.plan.samples + pass.plan.first + sample
                                 : nullptr;
  }

  Graph graph_;
  Selection taken_;  // by the pass that ran last
  Threads threads_;
  Log log_;
  bool recompute_;
  const Kernels<T>& kernels_;
  std::function<bool()> cancel_;
  std::atomic<bool> stop_{false};  // of the pass that runs
  Vector<T> weights_, alphas_, running_;
  const std::uint64_t seed_;
  std::uint64_t noise_step_ = 0;
  double skip_weight_ = 1;

  std::vector<std::unique_ptr<Plan>> plans_;  // of the batch shapes seen last
  std::unique_ptr<Inference<T>> inference_;   // of a derived network
  Buffer<T> memory_;
  T* workspace_ = nullptr;  // the caller's, instead of memory_
  std::size_t workspace_bytes_ = 0;
  Vector<T> coefficients_;
  Vector<double> sums_;          // of y and y^2, in backward of g and g (y - mean): [task][affine][2][lane]
  Vector<const double*> parts_;  // of the sums of the phase that ended last: of tasks, or of all ranks
  const std::uint8_t* part_levels_ = nullptr;
  Vector<std::size_t> part_offset_;             // by affine map
  Vector<double> rstd_;                         // by lane: 1 / sqrt(variance + eps)
  Vector<double> batch_mean_, batch_unbiased_;  // by lane: of the last pass that trained
  Vector<double> kept_mean_, kept_unbiased_;    // what update_running() takes, of these:
  Vector<char> kept_;                           // affine maps
  Vector<double> shares_;                       // softmax of the alphas, or what is given
  Vector<double> mixing_;                       // coefficients of the operands: shares, those of their edges too
  Vector<double> d_mixing_;                     // gradient of the loss by them
  Vector<double> d_factor_;                     // and by the factor of each affine map
  Vector<char> gradient_started_;
  Vector<double> features_, d_logits_, losses_;  // of a head
  Vector<char> hits_;
  Vector<Summand<T>> summands_;  // a thread's, one after the other
  Vector<PoolUse<T>> uses_;
  std::size_t most_terms_ = 0, most_uses_ = 0;
  Messages messages_;
  Vector<int> meeting_;                   // affine maps whose sums are told
  Vector<char> in_message_;               // by affine map
  Buffer<unsigned char> kept_gradients_;  // a flag, then [part of the tree of tasks][weight]
};

}  // namespace pydarts

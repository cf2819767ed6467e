// SPDX-License-Identifier: MIT
#include "network/network.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "network/passes.hpp"

namespace pydarts {
namespace {

constexpr int kPlansKept = 4;
constexpr double kMomentum = 0.1;  // of the running statistics
constexpr double kAlphaScale = 1e-3;

}  // namespace

template <class T>
void initial_weights(const Graph& graph, Random& random, T* weights) {
  for (const Parameter& p : graph.parameters)
    for (std::size_t i = 0; i < p.size; ++i)
      weights[p.offset + i] = T(p.bound > 0 ? p.bound * (2 * random.uniform() - 1) : p.start);
}

template <class T>
Network<T>::Network(Graph graph, std::uint64_t seed, const Environment& environment, bool recompute)
    : graph_(std::move(graph)),
      taken_(graph_),
      threads_(environment.threads),
      log_(environment.log),
      recompute_(recompute),
      kernels_(pydarts::kernels<T>()),
      weights_(graph_.num_weights, environment.memory),
      alphas_(graph_.num_alphas, environment.memory),
      running_(graph_.num_running, environment.memory),
      seed_(seed),
      memory_(environment.memory),
      coefficients_(graph_.lanes * 6, environment.memory),
      sums_(environment.memory),
      parts_(environment.memory),
      part_offset_(graph_.affines.size(), environment.memory),
      rstd_(graph_.lanes, environment.memory),
      batch_mean_(graph_.lanes, environment.memory),
      batch_unbiased_(graph_.lanes, environment.memory),
      kept_mean_(graph_.lanes, environment.memory),
      kept_unbiased_(graph_.lanes, 1, environment.memory),
      kept_(graph_.affines.size(), 1, environment.memory),
      shares_(graph_.num_alphas, environment.memory),
      mixing_(graph_.num_mixing(), environment.memory),
      d_mixing_(graph_.num_mixing(), environment.memory),
      d_factor_(graph_.affines.size(), environment.memory),
      gradient_started_(graph_.states.size(), environment.memory),
      features_(environment.memory),
      d_logits_(environment.memory),
      losses_(environment.memory),
      hits_(environment.memory),
      summands_(environment.memory),
      uses_(environment.memory),
      messages_(environment.memory),
      meeting_(environment.memory),
      in_message_(graph_.affines.size(), environment.memory),
      kept_gradients_(environment.memory) {
  require(threads_.count >= 1, "`threads` (=", threads_.count, ") must be at least 1");
  Random random(seed);
  initial_weights(graph_, random, weights_.data());
  for (T& alpha : alphas_) alpha = T(kAlphaScale * random.normal());
  for (const BatchNorm& norm : graph_.norms)
    std::fill_n(running_.begin() + norm.running + norm.channels, norm.channels, T(1));
  for (std::size_t a = 0; a < part_offset_.size(); ++a) part_offset_[a] = graph_.affines[a].first_sum * 2;
  parts_.reserve(kMaxTasks);
  for (const State& state : graph_.states) most_terms_ = std::max(most_terms_, state.terms.size());
  for (const Pool& pool : graph_.pools) most_uses_ = std::max(most_uses_, pool.terms.size());
  summands_.resize(most_terms_ * threads_.count);
  uses_.resize(most_uses_ * threads_.count);
  plans_.reserve(kPlansKept);
  if (Inference<T>::suits(graph_)) inference_ = std::make_unique<Inference<T>>(graph_, environment.memory);
  if (log_.write)
    log_.write(log_.context, text("a network of ", weights_.size(), " weights and ", alphas_.size(), " alphas, ",
                                  threads_.count, " threads, ", instruction_set().name)
                                 .c_str());
}

template <class T>
typename Network<T>::Coefficients Network<T>::coefficients(int affine) {
  const std::size_t lanes = graph_.affines[affine].channels.lanes();
  T* p = coefficients_.data() + graph_.affines[affine].first_lane * 6;
  return {p, p + lanes, p + 2 * lanes, p + 3 * lanes, p + 4 * lanes, p + 5 * lanes};
}

// Fewer additions than these are not worth the waking of others.
template <class T>
Threads Network<T>::threads_for(std::size_t additions) const {
  constexpr std::size_t kWorthThreads = std::size_t(1) << 14;
  return additions < kWorthThreads ? Threads(1) : threads_;
}

template <class T>
void Network<T>::check_cancelled() {
  if (!stop_ && cancel_ && cancel_()) stop_ = true;
  if (stop_ && !messages_.several()) throw Cancelled();  // else the next message says so to all ranks
}

template <class T>
const Plan& Network<T>::plan_for(const Batch<T>& batch, bool backward) {
  if (const Plan* plan = find_plan(plans_, batch.samples, batch.height, batch.width, backward)) return *plan;
  auto plan = std::make_unique<Plan>(graph_, batch.samples, batch.height, batch.width, backward, recompute_,
                                     messages_.rank(), messages_.size());
  if (log_.write)
    log_.write(log_.context,
               text("planned ", backward ? "forward and backward" : "forward", " over ", batch.samples, " images of ",
                    batch.height, " x ", batch.width, ": ", layout(*plan).size * sizeof(T), " bytes")
                   .c_str());
  if (int(plans_.size()) == kPlansKept) plans_.erase(plans_.begin());
  plans_.push_back(std::move(plan));
  return *plans_.back();
}

template <class T>
typename Network<T>::Layout Network<T>::layout(const Plan& plan) const {
  auto lines = [](std::size_t elements) {
    constexpr std::size_t kLine = kCacheLine / sizeof(T);
    return (elements + kLine - 1) / kLine * kLine;
  };
  Layout at{};
  at.packed = lines(plan.arena_size);
  at.scratch = at.packed + lines(graph_.packed_size);
  at.size = at.scratch + plan.scratch_size * threads_.count;
  return at;
}

template <class T>
void Network<T>::use_workspace(void* workspace, std::size_t bytes) {
  require(reinterpret_cast<std::uintptr_t>(workspace) % kCacheLine == 0, "`workspace` does not stand on a multiple of ",
          kCacheLine, " bytes");
  workspace_ = static_cast<T*>(workspace);
  workspace_bytes_ = workspace ? bytes : 0;
  if (workspace) memory_.clear();
}

template <class T>
T* Network<T>::memory_of(std::size_t size) {
  if (workspace_) {
    require(size * sizeof(T) <= workspace_bytes_, "`workspace` has ", workspace_bytes_, " bytes; the pass takes ",
            size * sizeof(T));
    return workspace_;
  }
  memory_.reserve(size);
  return memory_.data();
}

template <class T>
typename Network<T>::Pass Network<T>::begin(const Batch<T>& batch, const T* weights, bool training, bool backward,
                                            const T* drop, const Mixture<T>& mixture) {
  const Plan& plan = plan_for(batch, backward);
  const Layout at = layout(plan);
  T* arena = memory_of(at.size);
  taken_.take(graph_, mixture.weights ? mixture.active : nullptr, skip_weight_ != 0);
  const Pass pass{plan,
                  weights,
                  drop,
                  mixture,
                  taken_,
                  training,
                  std::this_thread::get_id(),
                  arena,
                  arena + at.packed,
                  arena + at.scratch};
  stop_ = false;
  if (sums_.size() < plan.sums_size) sums_.resize(plan.sums_size);
  pack(pass);
  mix(mixture);
  load_images(pass, batch.images);
  return pass;
}

// The weights in the order in which the kernels read them; unused lanes are zero.
template <class T>
void Network<T>::pack(const Pass& pass) {
  const T* weights = pass.weights;
  parallel_for(threads_, int(graph_.units.size()), [&](int u, int) {
    const Unit& unit = graph_.units[u];
    if (!pass.taken.has_affine(unit.affine)) return;
    std::fill_n(pass.packed + unit.packed_depthwise, unit.depthwise_size() + 2 * unit.product_size(), T(0));
    T* depthwise = pass.packed + unit.packed_depthwise;
    T* product = pass.packed + unit.packed_product;
    T* transposed = pass.packed + unit.packed_transposed;
    const int columns = unit.out.lanes(), rows = unit.shape.z_blocks() * kLanes;
    for_depthwise_weights(graph_, unit, [&](std::size_t weight, std::size_t at) { depthwise[at] = weights[weight]; });
    for_product_weights(graph_, unit, 0, unit.shape.z_blocks(), [&](std::size_t weight, int row, int column) {
      product[std::size_t(row) * columns + column] = weights[weight];
      transposed[std::size_t(column) * rows + row] = weights[weight];
    });
    const int count = unit.in.count(), group = count / unit.groups;
    for (int c = 0; c < count && unit.parts.empty(); ++c) {
      const std::size_t row = unit.in.lane(c), column = unit.out.lane(c % group * unit.groups + c / group);
      product[row * columns + column] = transposed[column * rows + row] = 1;
    }
  });
}

template <class T>
void Network<T>::mix(const Mixture<T>& mixture) {
  if (mixture.weights) {
    std::copy_n(mixture.weights, shares_.size(), shares_.begin());
  } else {
    for (const AlphaGroup& group : graph_.alpha_groups)
      for (int row = 0; row < group.rows; ++row) {
        const std::size_t at = group.offset + std::size_t(row) * group.columns;
        const int count = group.counts[row];
        double largest = alphas_[at], total = 0;
        for (int k = 1; k < count; ++k) largest = std::max(largest, double(alphas_[at + k]));
        for (int k = 0; k < count; ++k) total += shares_[at + k] = std::exp(alphas_[at + k] - largest);
        for (int k = 0; k < count; ++k) shares_[at + k] /= total;
      }
  }
  std::copy(shares_.begin(), shares_.end(), mixing_.begin());
  graph_.for_edges([&](int weight, int first, int count) {
    for (int k = first; k < first + count; ++k) mixing_[k] *= shares_[weight];
  });
  if (graph_.skip >= 0) mixing_[graph_.skip] = skip_weight_;
}

template <class T>
void Network<T>::load_images(const Pass& pass, const T* images) {
  const Plan& plan = pass.plan;
  const int plane = plan.states[0].plane(), channels = graph_.in_channels;
  const Channels& layout = graph_.states[0].channels;
  parallel_for(threads_, plan.held, [&](int n, int) {
    T* out = activation(pass, 0, n).data;
    std::fill_n(out, std::size_t(layout.blocks()) * plane * kLanes, T(0));
    for (int c = 0; c < channels; ++c) {
      const T* in = images + (std::size_t(plan.first + n) * channels + c) * plane;
      T* to = out + std::size_t(c / kLanes) * plane * kLanes + c % kLanes;
      for (int p = 0; p < plane; ++p) to[p * kLanes] = in[p];
    }
  });
}

template <class T>
void Network<T>::logits(const Batch<T>& batch, bool training, T* logits, const Mixture<T>& mixture) {
  if (!training && inference_) return infer(batch, logits);
  const Pass pass = begin(batch, weights_.data(), training, false, nullptr, mixture);
  run_forward(pass);
  run_head(pass, graph_.heads[0], nullptr, logits, nullptr, false);
}

template <class T>
void Network<T>::infer(const Batch<T>& batch, T* logits) {
  bool made = false;
  const Program& program = inference_->program(batch.height, batch.width, &made);
  const int ranks = messages_.size(), first = part_of(batch.samples, messages_.rank(), ranks);
  const int held = part_of(batch.samples, messages_.rank() + 1, ranks) - first;
  const std::size_t size = Inference<T>::layout(program, threads_, held).size;
  if (made && log_.write)
    log_.write(log_.context, text("planned evaluation of images of ", batch.height, " x ", batch.width, ": ",
                                  size * sizeof(T), " bytes")
                                 .c_str());
  T* memory = memory_of(size);
  stop_ = false;
  const auto stopped = [this, caller = std::this_thread::get_id()] {
    if (cancel_ && std::this_thread::get_id() == caller && !stop_ && cancel_()) stop_ = true;
    return stop_.load(std::memory_order_relaxed);
  };
  const std::size_t image = std::size_t(graph_.in_channels) * batch.height * batch.width;
  inference_->run(program, threads_, batch.images + first * image, held, weights_.data(), running_.data(), memory,
                  stopped, logits + std::size_t(first) * graph_.classes);
  check_cancelled();
  if (messages_.several()) exchange_logits(batch.samples, logits);
}

template <class T>
Loss Network<T>::evaluate(const Batch<T>& batch, const T* weights, T* d_weights, T* d_alphas, const T* drop,
                          const Mixture<T>& mixture) {
  const bool backward = d_weights || d_alphas;
  const Pass pass = begin(batch, weights, true, backward, drop, mixture);
  run_forward(pass);
  if (d_weights)
    for (const Range& range : taken_.other_weights()) std::fill(d_weights + range.first, d_weights + range.last, T(0));
  std::fill(gradient_started_.begin(), gradient_started_.end(), 0);
  Loss total;
  for (std::size_t i = 0; i < graph_.heads.size(); ++i) {
    const Head& head = graph_.heads[i];
    const Loss loss = run_head(pass, head, &batch, nullptr, d_weights, backward);
    total.value += head.loss_weight * loss.value;
    if (i == 0) total.correct = loss.correct;
  }
  if (backward) run_backward(pass, d_weights, d_alphas, nullptr);
  return total;
}

template <class T>
void Network<T>::forward(const Batch<T>& batch, const T* weights, T* output) {
  const Pass pass = begin(batch, weights, true, false, nullptr, {});
  run_forward(pass);
  const int last = int(graph_.states.size()) - 1;
  copy_channels(graph_.states[last].channels, pass.plan.states[last].plane(), pass.plan.samples,
                activation(pass, last, 0), [&](std::size_t at, T& value) { output[at] = value; });
}

template <class T>
void Network<T>::backward(const Batch<T>& batch, const T* weights, const T* d_output, T* d_weights, T* d_alphas,
                          T* d_images) {
  const Pass pass = begin(batch, weights, true, true, nullptr, {});
  run_forward(pass);
  std::fill(gradient_started_.begin(), gradient_started_.end(), 0);
  const int last = int(graph_.states.size()) - 1;
  const Channels& channels = graph_.states[last].channels;
  const View<T> g = gradient(pass, last, 0);
  std::fill_n(g.data, g.stride * pass.plan.samples, T(0));
  copy_channels(channels, pass.plan.states[last].plane(), pass.plan.samples, g,
                [&](std::size_t at, T& value) { value = d_output[at]; });
  gradient_started_[last] = 1;
  run_backward(pass, d_weights, d_alphas, d_images);
}

template <class T>
void Network<T>::keep_statistics() {
  kept_mean_ = batch_mean_;
  kept_unbiased_ = batch_unbiased_;
  for (std::size_t a = 0; a < kept_.size(); ++a) kept_[a] = taken_.has_affine(int(a));
}

template <class T>
void Network<T>::update_running() {
  for (std::size_t a = 0; a < graph_.affines.size(); ++a) {
    const Affine& affine = graph_.affines[a];
    if (affine.norm < 0 || !kept_[a]) continue;
    const BatchNorm& norm = graph_.norms[affine.norm];
    T* mean = running_.data() + norm.running;
    T* variance = mean + norm.channels;
    for (int c = 0; c < norm.channels; ++c) {
      const std::size_t lane = affine.first_lane + affine.channels.lane(c);
      mean[c] = T((1 - kMomentum) * mean[c] + kMomentum * kept_mean_[lane]);
      variance[c] = T((1 - kMomentum) * variance[c] + kMomentum * kept_unbiased_[lane]);
    }
  }
  ++noise_step_;
}

template <class T>
typename Network<T>::Memory Network<T>::memory(int samples, int height, int width, bool backward) const {
  const int rank = messages_.rank(), ranks = messages_.size();
  const Plan plan(graph_, samples, height, width, backward, recompute_, rank, ranks);
  const std::size_t sums = plan.sums_size + graph_.lanes * 5;
  std::size_t size = layout(plan).size, folded = 0;
  if (inference_) {
    const int held = part_of(samples, rank + 1, ranks) - part_of(samples, rank, ranks);
    size = std::max(size, Inference<T>::layout(Program(graph_, height, width), threads_, held).size);
    folded = inference_->folded_size();
  }
  return {plan.arena_size * sizeof(T),
          (size - plan.arena_size + graph_.lanes * 6 + folded) * sizeof(T) + sums * sizeof(double), size * sizeof(T)};
}

template void initial_weights(const Graph&, Random&, float*);
template void initial_weights(const Graph&, Random&, double*);
template class Network<float>;
template class Network<double>;

}  // namespace pydarts

// SPDX-License-Identifier: MIT
#include "pydarts/operation.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "capi/border.hpp"
#include "capi/runtime.hpp"
#include "core/bad_file.hpp"
#include "network/limits.hpp"
#include "network/network.hpp"

namespace pydarts {
namespace {

constexpr int kMaxOperations = 64, kMaxChannels = 1 << 14;

// Names of ready operations, and descriptions that begin with a brace.
std::vector<Operation> operations_of(const char* const* names, std::size_t count) {
  require(names, "`names` is null");
  require(count >= 1 && count <= kMaxOperations, "`count` (=", count, ") must lie in 1..", kMaxOperations);
  for (std::size_t i = 0; i < count; ++i) require(names[i], "`names`[", i, "] is null");
  try {
    Json list;
    list.kind = Json::Kind::array;
    for (std::size_t i = 0; i < count; ++i) {
      Json item;
      item.kind = Json::Kind::string;
      item.text = names[i];
      list.items.push_back(names[i][0] == '{' ? parse_json(names[i], item.text.size()) : std::move(item));
    }
    return read_operations(list, 2);
  } catch (const BadFile& error) {
    throw InvalidArgument(error.what());
  }
}

}  // namespace

template <class T>
struct MixedOperation<T>::Inside : Border {
  Inside(Graph graph, const pydarts_runtime& runtime)
      : runtime(runtime), network(std::move(graph), 0, environment_alone(runtime)) {
    if (runtime.cancel) network.set_cancel([runtime] { return runtime.cancel(runtime.user) != 0; });
  }

  void check(const ImageBatch& batch) const {
    check_images(network.graph(), batch.samples, network.graph().in_channels, batch.height, batch.width);
  }

  Batch<T> ready(const ImageBatch& batch, const T* images, const T* weights, const T* alphas, void* workspace,
                 std::size_t workspace_bytes) {
    check(batch);
    require(images, "`images` is null");
    require(weights || network.weights().empty(), "`weights` is null");
    require(alphas || network.alphas().size() == 1, "`alphas` is null");
    require(workspace, "`workspace` is null");
    if (alphas) std::copy_n(alphas, network.alphas().size(), network.alphas().begin());
    network.use_workspace(workspace, workspace_bytes);
    return {images, nullptr, batch.samples, batch.height, batch.width};
  }

  const pydarts_runtime runtime;
  Network<T> network;
};

template <class T>
MixedOperation<T>::~MixedOperation() noexcept {
  Border::destroy(inside_);
}

template <class T>
pydarts_status MixedOperation<T>::create(const char* const* names, std::size_t count, std::int32_t channels,
                                         std::int32_t stride, const pydarts_runtime* runtime, char* message,
                                         std::size_t message_size) noexcept {
  const pydarts_status freed = Border::destroy(inside_);
  if (freed != PYDARTS_OK) return freed;
  inside_ = nullptr;
  return guarded(message, message_size, [&] {
    require(channels <= kMaxChannels, "`channels` (=", channels, ") must be at most ", kMaxChannels);
    inside_ = new Inside(mixed_operation_graph(operations_of(names, count), channels, stride, 2), runtime_of(runtime));
  });
}

template <class T>
const char* MixedOperation<T>::error() const noexcept {
  return inside_ ? inside_->message() : kNoHandle;
}

template <class T>
std::size_t MixedOperation<T>::num_weights() const noexcept {
  return inside_ ? inside_->network.graph().num_weights : 0;
}

template <class T>
std::size_t MixedOperation<T>::num_alphas() const noexcept {
  return inside_ ? inside_->network.graph().num_alphas : 0;
}

template <class T>
std::size_t MixedOperation<T>::num_tensors() const noexcept {
  return inside_ ? inside_->network.graph().parameters.size() : 0;
}

template <class T>
pydarts_status MixedOperation<T>::tensor(std::size_t index, pydarts_tensor* tensor) const noexcept {
  return Border::cross(inside_, [&] {
    const auto& parameters = inside_->network.graph().parameters;
    require(index < parameters.size(), "`index` (=", index, ") must be below ", parameters.size());
    const Parameter& parameter = parameters[index];
    pydarts_tensor values{};
    values.name = parameter.name.c_str();
    values.kind = PYDARTS_WEIGHTS;
    values.offset = parameter.offset;
    values.count = parameter.size;
    values.ndim = std::int32_t(parameter.shape.size());
    std::copy(parameter.shape.begin(), parameter.shape.end(), values.shape);
    fill(tensor, "tensor", values);
  });
}

template <class T>
pydarts_status MixedOperation<T>::initialize(std::uint64_t seed, T* weights) const noexcept {
  return Border::cross(inside_, [&] {
    require(weights || num_weights() == 0, "`weights` is null");
    Random random(seed);
    initial_weights(inside_->network.graph(), random, weights);
  });
}

template <class T>
pydarts_status MixedOperation<T>::output_size(std::int32_t height, std::int32_t width, std::int32_t* out_height,
                                              std::int32_t* out_width) const noexcept {
  return Border::cross(inside_, [&] {
    require(out_height && out_width, "`out_height` or `out_width` is null");
    inside_->check({1, height, width});
    const Plan plan(inside_->network.graph(), 1, height, width, false, false);
    *out_height = plan.states.back().h;
    *out_width = plan.states.back().w;
  });
}

template <class T>
pydarts_status MixedOperation<T>::workspace_size(const ImageBatch& batch, bool backward,
                                                 std::size_t* bytes) const noexcept {
  return Border::cross(inside_, [&] {
    require(bytes, "`bytes` is null");
    inside_->check(batch);
    *bytes = inside_->network.memory(batch.samples, batch.height, batch.width, backward).workspace;
  });
}

template <class T>
pydarts_status MixedOperation<T>::forward(const ImageBatch& batch, const T* images, const T* weights, const T* alphas,
                                          T* output, void* workspace, std::size_t workspace_bytes) noexcept {
  return Border::cross(inside_, [&] {
    require(output, "`output` is null");
    const Batch<T> ready = inside_->ready(batch, images, weights, alphas, workspace, workspace_bytes);
    inside_->network.forward(ready, weights, output);
  });
}

template <class T>
pydarts_status MixedOperation<T>::backward(const ImageBatch& batch, const T* images, const T* weights, const T* alphas,
                                           const T* d_output, T* d_images, T* d_weights, T* d_alphas, void* workspace,
                                           std::size_t workspace_bytes) noexcept {
  return Border::cross(inside_, [&] {
    require(d_output, "`d_output` is null");
    const Batch<T> ready = inside_->ready(batch, images, weights, alphas, workspace, workspace_bytes);
    inside_->network.backward(ready, weights, d_output, d_weights, d_alphas, d_images);
  });
}

template class MixedOperation<float>;
template class MixedOperation<double>;

}  // namespace pydarts

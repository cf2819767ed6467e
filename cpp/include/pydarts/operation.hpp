// SPDX-License-Identifier: MIT
// The kernels by themselves: a candidate operation, or the softmax-weighted mixture of several as on an edge of the
// supernet, forward and backward, on the caller's arrays.
//
// Layout: images and outputs are dense (samples, channels, height, width). Weights and their gradients are one array:
// operation after operation, the parameters of each as PyTorch has them; tensor() tells names, places and shapes. Only
// the workspace wants more alignment than T has (kWorkspaceAlignment); in it passes keep what they make, 8 channels
// innermost.
// Memory: nothing of the caller's is kept, and no byte beyond the given is touched. A call with a shape of image and
// batch that was seen before (of the last four, forward and backward counted apart) allocates nothing.
// Threads: as in pydarts.h. One object serves one call at a time; different ones may be used by different threads.
// Errors: as in pydarts.h, a status and a text. Nothing throws.
#pragma once
#include <pydarts.h>

#include <cstddef>
#include <cstdint>

namespace pydarts {

constexpr std::size_t kWorkspaceAlignment = 64;

struct ImageBatch {
  std::int32_t samples, height, width;
};

// T: float or double
template <class T>
class PYDARTS_API MixedOperation {
 public:
  MixedOperation() noexcept = default;
  MixedOperation(MixedOperation&& other) noexcept : inside_(other.inside_) { other.inside_ = nullptr; }
  MixedOperation& operator=(MixedOperation&& other) noexcept {
    Inside* mine = inside_;
    inside_ = other.inside_;
    other.inside_ = mine;
    return *this;
  }
  MixedOperation(const MixedOperation&) = delete;
  MixedOperation& operator=(const MixedOperation&) = delete;
  ~MixedOperation() noexcept;

  // From `channels` to as many, with a stride of 1 or 2. Each of the `count` names is that of a ready operation (none,
  // noise, skip_connect, max_pool_3x3, avg_pool_3x3, sep_conv_3x3, sep_conv_5x5, sep_conv_7x7, dil_conv_3x3,
  // dil_conv_5x5, conv_7x1_1x7), or an operation as a space's file describes it, {"name": ..., "stages": [...]}. Batch
  // normalisation is without gamma and beta, as in the search; noise is drawn once, by the batch's size, and the same
  // in each call. Of a single operation the mixing weight is 1. `runtime` may be null, and has no ranks. Must come
  // before all else; after an error there is no operation.
  pydarts_status create(const char* const* names, std::size_t count, std::int32_t channels, std::int32_t stride,
                        const pydarts_runtime* runtime, char* message, std::size_t message_size) noexcept;

  const char* error() const noexcept;  // of the last call, "" if there was none

  std::size_t num_weights() const noexcept;
  std::size_t num_alphas() const noexcept;   // = count
  std::size_t num_tensors() const noexcept;  // parameters among the weights
  // `index` in 0..num_tensors()-1; the name lasts as long as the operation.
  pydarts_status tensor(std::size_t index, pydarts_tensor* tensor) const noexcept;
  // Weights to begin with, as PyTorch draws them for such layers.
  pydarts_status initialize(std::uint64_t seed, T* weights) const noexcept;

  pydarts_status output_size(std::int32_t height, std::int32_t width, std::int32_t* out_height,
                             std::int32_t* out_width) const noexcept;
  // Of forward(), or of backward().
  pydarts_status workspace_size(const ImageBatch& batch, bool backward, std::size_t* bytes) const noexcept;

  // output = sum over k of softmax(alphas)_k operation_k(images), with the batch's statistics.
  pydarts_status forward(const ImageBatch& batch, const T* images, const T* weights, const T* alphas, T* output,
                         void* workspace, std::size_t workspace_bytes) noexcept;

  // From the gradient at the output those at what is not null. Runs forward again: nothing need be kept in between.
  pydarts_status backward(const ImageBatch& batch, const T* images, const T* weights, const T* alphas,
                          const T* d_output, T* d_images, T* d_weights, T* d_alphas, void* workspace,
                          std::size_t workspace_bytes) noexcept;

 private:
  struct Inside;
  Inside* inside_ = nullptr;
};

extern template class MixedOperation<float>;
extern template class MixedOperation<double>;

}  // namespace pydarts

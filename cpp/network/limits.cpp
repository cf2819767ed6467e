// SPDX-License-Identifier: MIT
#include "network/limits.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"

namespace pydarts {
namespace {

constexpr long long kMaxSamples = 1 << 24, kMaxSide = 1 << 14, kMaxPlane = 1 << 24;
constexpr long long kMaxPixels = 1LL << 32;   // of a channel of all samples
constexpr long long kMaxNumbers = 1LL << 42;  // of all channels: bytes of a plan of 10^5 such states fit a std::size_t

void check_extent(const char* name, long long value, long long most) {
  require(value >= 1 && value <= most, "`", name, "` (=", value, ") must lie in 1..", most);
}

}  // namespace

void check_images(const Graph& graph, long long samples, long long channels, long long height, long long width) {
  check_extent("samples", samples, kMaxSamples);
  check_extent("height", height, kMaxSide);
  check_extent("width", width, kMaxSide);
  require(channels == graph.in_channels, "images have ", channels, " channels; the network takes ", graph.in_channels);
  require(graph.dimensions == 2 || height == 1, "`height` (=", height, ") must be 1 in a network of one dimension");
  require(height * width <= kMaxPlane && samples * height * width <= kMaxPixels, "images are too large: ", samples,
          " of ", height, " x ", width, " pixels");
  int lanes = 0;
  for (const State& state : graph.states) lanes = std::max(lanes, state.channels.lanes());
  require(samples * height * width <= kMaxNumbers / lanes, "images are too large: ", samples, " of ", height, " x ",
          width, " pixels, in a network of up to ", lanes, " channels");
}

void check_labels(const Graph& graph, const std::int32_t* labels, int samples) {
  require(graph.loss.kind == LossKind::softmax, "the network's loss takes `targets`, not labels");
  for (int i = 0; i < samples; ++i)
    require(labels[i] >= 0 && labels[i] < graph.classes, "label ", labels[i], " is not in 0..", graph.classes - 1);
}

template <class T>
void check_targets(const Graph& graph, const T* targets, int samples) {
  const LossKind kind = graph.loss.kind;
  for (int n = 0; n < samples; ++n)
    for (int k = 0; k < graph.classes; ++k) {
      const T target = targets[std::size_t(n) * graph.classes + k];
      if (kind == LossKind::softmax)
        require(target >= 0 && std::isfinite(target), "target ", target, " of class ", k, " of sample ", n,
                " must be at least 0 and finite");
      else if (kind == LossKind::sigmoid)
        require(target >= 0 && target <= 1, "target ", target, " of label ", k, " of sample ", n, " must lie in 0..1");
      else
        require(std::isfinite(target), "target ", target, " of output ", k, " of sample ", n, " must be finite");
    }
}

template <class T>
void check_sample_weights(const T* weights, int samples) {
  double total = 0;
  for (int n = 0; n < samples; ++n) {
    require(weights[n] >= 0 && std::isfinite(weights[n]), "weight ", weights[n], " of sample ", n,
            " must be at least 0 and finite");
    total += double(weights[n]);
  }
  require(total > 0, "the weights of the ", samples, " samples are all 0");
}

template <class T>
void check_mixing(const T* weights, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    require(std::isfinite(weights[i]), "`mixing[", i, "]` (=", weights[i], ") must be finite");
}

template void check_targets(const Graph&, const float*, int);
template void check_targets(const Graph&, const double*, int);
template void check_sample_weights(const float*, int);
template void check_sample_weights(const double*, int);
template void check_mixing(const float*, std::size_t);
template void check_mixing(const double*, std::size_t);

}  // namespace pydarts

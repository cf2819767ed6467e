// SPDX-License-Identifier: MIT
// What a network takes; everything else is an InvalidArgument, before any size is computed from it.
#pragma once
#include <cstdint>

#include "network/graph.hpp"

namespace pydarts {

void check_images(const Graph& graph, long long samples, long long channels, long long height, long long width);

void check_labels(const Graph& graph, const std::int32_t* labels, int samples);

// (samples, classes): finite, as the loss takes them
template <class T>
void check_targets(const Graph& graph, const T* targets, int samples);

// Of samples: finite and at least 0, and not all 0
template <class T>
void check_sample_weights(const T* weights, int samples);

// Mixing weights: finite
template <class T>
void check_mixing(const T* weights, std::size_t count);

}  // namespace pydarts

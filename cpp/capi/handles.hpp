// SPDX-License-Identifier: MIT
// What stands behind the opaque handles.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "bilevel/bilevel.hpp"
#include "capi/border.hpp"
#include "capi/description.hpp"
#include "capi/safetensors.hpp"
#include "network/network.hpp"

struct pydarts_network : pydarts::Border {
  pydarts_network(pydarts::Graph graph, std::uint64_t seed, const pydarts_runtime& runtime, bool recompute);

  pydarts::Network<float>& engine() const { return network; }  // a const handle is used as much as any other
  pydarts::Vector<float>& values(pydarts_kind kind) const;
  std::vector<pydarts::StoredTensor> stored() const;  // weights and running statistics
  void log(const std::string& line) const {
    if (runtime.log) runtime.log(runtime.user, line.c_str());
  }

  const pydarts_runtime runtime;
  const pydarts::Environment environment;
  mutable pydarts::Network<float> network;
  std::optional<pydarts::Space> space;        // of a supernet
  std::optional<pydarts::Genotype> genotype;  // of a derived network
  std::optional<pydarts::Description> model;  // of one from files
  struct Tensor {
    std::string name;
    std::vector<int> shape;
    pydarts_kind kind;
    std::size_t offset, count;
  };
  std::vector<Tensor> tensors;
};

struct pydarts_optimizer : pydarts::Border {
  pydarts_optimizer(const pydarts::UnrolledStep& unrolled, bool reuse_gradient, pydarts::WeightStep<float> weights,
                    pydarts::Adam<float> adam, const pydarts::MemoryHooks& memory)
      : step(unrolled, reuse_gradient, std::move(weights), std::move(adam), memory) {}

  pydarts::BilevelStep<float> step;
};

namespace pydarts {

// A batch of the caller's that fits the network; `name` is the argument's.
Batch<float> images_of(const pydarts_network& network, const pydarts_batch* batch, const char* name);

// The mixing weights of a batch, or none.
Mixture<float> mixture_of(const pydarts_network& network, const pydarts_batch* batch, const char* name);

struct LabelledBatch {
  Batch<float> images;
  const float* drop;
  Mixture<float> mixture;
};
LabelledBatch labelled(const pydarts_network& network, const pydarts_batch* batch, const char* name);

// A caller's array of `count` values where `wanted` are needed.
void require_array(const void* array, std::size_t count, std::size_t wanted, const char* name);

}  // namespace pydarts

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
#include "capi/text_description.hpp"
#include "network/network.hpp"
#include "recurrent/recurrent.hpp"

struct pydarts_network : pydarts::Border {
  pydarts_network(pydarts::Graph graph, std::uint64_t seed, const pydarts_runtime& runtime, bool recompute);
  pydarts_network(const pydarts::RecurrentCell& cell, int vocabulary, int hidden, const pydarts::Dropout& dropout,
                  std::uint64_t seed, const pydarts_runtime& runtime);

  // InvalidArgument if it is of the other kind. A const handle is used as much as any other.
  pydarts::Network<float>& engine() const {
    pydarts::require(network.has_value(), "`network` is over text: the function is for networks over images");
    return *network;
  }
  pydarts::RecurrentNetwork<float>& recurrent() const {
    pydarts::require(text.has_value(), "`network` is over images: the function is for networks over text");
    return *text;
  }
  pydarts::Vector<float>& values(pydarts_kind kind) const;
  int classes() const { return network ? network->graph().classes : text->vocabulary(); }
  std::vector<pydarts::StoredTensor> stored() const;  // weights and running statistics
  void log(const std::string& line) const {
    if (runtime.log) runtime.log(runtime.user, line.c_str());
  }

  const pydarts_runtime runtime;
  const pydarts::Environment environment;
  mutable std::optional<pydarts::Network<float>> network;        // over images, or
  mutable std::optional<pydarts::RecurrentNetwork<float>> text;  // over text
  std::optional<pydarts::TextDescription> text_model;            // of a derived network over text
  mutable pydarts::Vector<float> hidden[4];                      // before and after a pass over text, twice
  std::optional<pydarts::Space> space;                           // of a supernet
  std::optional<pydarts::Genotype> genotype;                     // of a derived network
  pydarts::NetworkConfig config{};                               // likewise, over images
  std::optional<pydarts::Description> model;                     // of one from files
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
      : step(unrolled, reuse_gradient, std::move(weights), std::move(adam), memory), memory(memory) {}

  pydarts::BilevelStep<float> step;
  const pydarts::MemoryHooks memory;
  bool of_text = false;
  pydarts::Regularisation regularisation;  // of the weights' steps over text
  bool shared_masks = false;
};

namespace pydarts {

// The cell of a network over text: of a supernet the one that the present alphas stand for.
CellGenotype recurrent_genotype(const pydarts_network& network);

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

// Both handles of a step in use, and fitting each other.
class Pair {
 public:
  Pair(pydarts_optimizer& optimizer, pydarts_network* network);

 private:
  Border::Use use_;
};

void require_at_least_0(double value, const char* name);

// A caller's array of `count` values where `wanted` are needed.
void require_array(const void* array, std::size_t count, std::size_t wanted, const char* name);

}  // namespace pydarts

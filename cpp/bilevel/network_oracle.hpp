// SPDX-License-Identifier: MIT
#pragma once
#include "bilevel/bilevel.hpp"
#include "network/network.hpp"

namespace pydarts {

template <class T>
struct SearchBatches {
  Batch<T> train, valid;
  const T* drop = nullptr;  // factors of drop path of `train`
  Mixture<T> mixture = {};  // of both
};

// A network as bilevel optimisation sees it. Both arguments must outlive it: its functions hold two pointers, which
// std::function keeps without allocating.
template <class T>
Oracle<T> oracle_of(Network<T>& network, const SearchBatches<T>& batches) {
  const Graph& graph = network.graph();
  return {graph.num_weights,
          graph.num_alphas,
          [&network, &batches](const T* w, T* dw, T* da) {
            return network.evaluate(batches.train, w, dw, da, batches.drop, batches.mixture);
          },
          [&network, &batches](const T* w, T* dw, T* da) {
            return network.evaluate(batches.valid, w, dw, da, nullptr, batches.mixture);
          },
          [&graph](std::size_t index) {
            for (const Parameter& p : graph.parameters)
              if (index < p.offset + p.size) return p.name;
            return std::string();
          },
          [&network] { network.keep_statistics(); },
          network.threads(),
          nullptr,
          &network.used_weights()};
}

}  // namespace pydarts

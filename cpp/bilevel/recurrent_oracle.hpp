// SPDX-License-Identifier: MIT
#pragma once
#include <optional>

#include "bilevel/bilevel.hpp"
#include "recurrent/recurrent.hpp"

namespace pydarts {

// Dropout masks are drawn anew for every pass, unless the alpha step's passes over `train` are to share theirs; only
// the weights' descent is regularised.
template <class T>
struct SearchSegments {
  Segment<T> train, valid;
  Regularisation regularisation = {};
  bool shared_masks = false;
  const T* mixing = nullptr;  // of both
  // Where the hidden states after the last pass over each go, with which the next segments begin; null: nowhere.
  T *hidden = nullptr, *hidden_valid = nullptr;
  std::optional<Random> first = {};  // the stream before the first pass over `train`
};

template <class T>
Loss evaluate(RecurrentNetwork<T>& network, const SearchSegments<T>& segments, const Segment<T>& segment, T* hidden,
              const Regularisation& regularisation, const T* w, T* dw, T* da) {
  const Loss loss = network.evaluate(segment, w, dw, da, nullptr, regularisation, segments.mixing);
  if (hidden) network.copy_last_hidden(hidden);
  return loss;
}

// A pass over `train` that drops the units that the first one did.
template <class T>
Loss evaluate_with_first_masks(RecurrentNetwork<T>& network, SearchSegments<T>& segments, const T* w, T* dw, T* da) {
  struct RestoredLater {
    Random& at;
    Random value;
    ~RestoredLater() { at = value; }
  };
  if (!segments.first) {
    segments.first = network.random();
    return evaluate(network, segments, segments.train, segments.hidden, {}, w, dw, da);
  }
  const RestoredLater stream{network.random(), network.random()};
  network.random() = *segments.first;
  return evaluate(network, segments, segments.train, segments.hidden, {}, w, dw, da);
}

// A recurrent network as bilevel optimisation sees it. Both arguments must outlive it: its functions hold two
// pointers, which std::function keeps without allocating.
template <class T>
Oracle<T> oracle_of(RecurrentNetwork<T>& network, SearchSegments<T>& segments) {
  return {network.num_weights(),
          network.num_alphas(),
          [&network, &segments](const T* w, T* dw, T* da) {
            return segments.shared_masks ? evaluate_with_first_masks(network, segments, w, dw, da)
                                         : evaluate(network, segments, segments.train, segments.hidden, {}, w, dw, da);
          },
          [&network, &segments](const T* w, T* dw, T* da) {
            return evaluate(network, segments, segments.valid, segments.hidden_valid, {}, w, dw, da);
          },
          [&network](std::size_t index) {
            for (const auto& p : network.parameters())
              if (index < p.offset + p.size) return p.name;
            return std::string();
          },
          [&network] { network.keep_statistics(); },
          network.threads(),
          [&network, &segments](const T* w, T* dw, T* da) {
            return evaluate(network, segments, segments.train, segments.hidden, segments.regularisation, w, dw, da);
          }};
}

}  // namespace pydarts

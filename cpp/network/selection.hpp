// SPDX-License-Identifier: MIT
// What a pass takes of a graph: all of it, or what is left without the inactive operations.
#pragma once
#include <cstdint>
#include <vector>

#include "core/range.hpp"
#include "network/graph.hpp"

namespace pydarts {

class Selection {
 public:
  explicit Selection(const Graph& graph);

  // `active`: for each alpha whether its operation is; null: all are. `skips`: whether auxiliary skips are. Allocates
  // only once for a graph.
  void take(const Graph& graph, const std::uint8_t* active, bool skips);

  const std::vector<State>& states() const { return partial_ ? states_ : *all_; }  // their lists hold what is taken
  // Whether a state is needed. Before the units of one that is not something may still arrive at other nodes.
  bool has_state(int v) const { return !partial_ || !left_out_[v]; }
  bool has_term(int t) const { return !partial_ || terms_[t]; }
  bool has_affine(int a) const { return !partial_ || affines_[a]; }
  // Of the weights, in their order: those that the pass depends on, and the others.
  const std::vector<Range>& weights() const { return weights_; }
  const std::vector<Range>& other_weights() const { return other_weights_; }

 private:
  void mark(const Graph& graph, const std::uint8_t* active, bool skips);
  void divide_weights(const Graph& graph);

  const std::vector<State>* all_;
  bool partial_ = false;
  std::vector<State> states_;
  std::vector<char> left_out_, terms_, affines_, units_, pools_, parameters_;
  std::vector<Range> weights_, other_weights_;
};

}  // namespace pydarts

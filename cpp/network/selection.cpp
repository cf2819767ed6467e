// SPDX-License-Identifier: MIT
#include "network/selection.hpp"

#include <algorithm>
#include <iterator>

namespace pydarts {
namespace {

// to = those of `from` that `flags` marks
void keep(const std::vector<int>& from, const std::vector<char>& flags, std::vector<int>& to) {
  to.clear();
  std::copy_if(from.begin(), from.end(), std::back_inserter(to), [&](int i) { return flags[i] != 0; });
}

void keep(const std::vector<std::vector<int>>& from, const std::vector<char>& flags,
          std::vector<std::vector<int>>& to) {
  for (std::size_t level = 0; level < from.size(); ++level) keep(from[level], flags, to[level]);
}

}  // namespace

Selection::Selection(const Graph& graph) : all_(&graph.states) {
  weights_.reserve(graph.parameters.size() + 1);
  other_weights_.reserve(graph.parameters.size() + 1);
  weights_.push_back({0, graph.num_weights});
}

void Selection::take(const Graph& graph, const std::uint8_t* active, bool skips) {
  const bool was_partial = partial_;
  partial_ = false;
  if (!active && (skips || graph.skip < 0)) {
    if (was_partial) {
      weights_.assign(1, {0, graph.num_weights});
      other_weights_.clear();
    }
    return;
  }
  if (states_.empty()) {
    left_out_.resize(graph.states.size());
    terms_.resize(graph.terms.size());
    affines_.resize(graph.affines.size());
    units_.resize(graph.units.size());
    pools_.resize(graph.pools.size());
    parameters_.resize(graph.parameters.size());
    states_ = graph.states;
  }
  mark(graph, active, skips);
  for (std::size_t v = 0; v < states_.size(); ++v) {
    const State& from = graph.states[v];
    State& to = states_[v];
    keep(from.terms, terms_, to.terms);
    keep(from.levels, units_, to.levels);
    keep(from.pools, pools_, to.pools);
    keep(from.identities, terms_, to.identities);
    keep(from.affines, affines_, to.affines);
    keep(from.outgoing, terms_, to.outgoing);
    keep(from.arriving, terms_, to.arriving);
    to.noises.clear();
    for (int t : to.outgoing)
      if (graph.terms[t].source == Source::noise) to.noises.push_back(graph.terms[t].index);
  }
  divide_weights(graph);
  partial_ = true;
}

// Nodes within an operation come after what leads to them: a term behind one is marked before those into it.
void Selection::mark(const Graph& graph, const std::uint8_t* active, bool skips) {
  for (std::size_t t = 0; t < terms_.size(); ++t) {
    const int alpha = graph.affines[graph.terms[t].affine].alpha;
    terms_[t] = alpha < 0 || (alpha == graph.skip ? skips : !active || active[alpha]);
  }
  for (int v = int(graph.states.size()) - 1; v >= 0; --v) {
    const State& state = graph.states[v];
    left_out_[v] = state.within_operation &&
                   std::none_of(state.outgoing.begin(), state.outgoing.end(), [&](int t) { return terms_[t] != 0; });
    if (left_out_[v])
      for (int t : state.terms) terms_[t] = 0;
  }
  std::fill(pools_.begin(), pools_.end(), 0);
  for (std::size_t t = 0; t < terms_.size(); ++t) {
    const Term& term = graph.terms[t];
    affines_[term.affine] = terms_[t];
    if (term.source == Source::pool && terms_[t]) pools_[term.index] = 1;
    for (int u = term.source == Source::unit ? term.index : -1; u >= 0; u = graph.units[u].previous)
      units_[u] = affines_[graph.units[u].affine] = terms_[t];
  }
}

void Selection::divide_weights(const Graph& graph) {
  std::fill(parameters_.begin(), parameters_.end(), 1);
  const auto leave_out = [&](int parameter) {
    if (parameter >= 0) parameters_[parameter] = 0;
  };
  for (std::size_t u = 0; u < units_.size(); ++u) {
    if (units_[u]) continue;
    leave_out(graph.units[u].depthwise);
    for (const ProductPart& part : graph.units[u].parts) leave_out(part.parameter);
  }
  for (std::size_t a = 0; a < affines_.size(); ++a) {
    if (affines_[a]) continue;
    const Affine& affine = graph.affines[a];
    leave_out(affine.bias);
    if (affine.norm < 0) continue;
    leave_out(graph.norms[affine.norm].gamma);
    leave_out(graph.norms[affine.norm].beta);
  }
  weights_.clear();
  other_weights_.clear();
  for (std::size_t p = 0; p < parameters_.size(); ++p) {  // they lie one behind the other
    const Parameter& parameter = graph.parameters[p];
    auto& ranges = parameters_[p] ? weights_ : other_weights_;
    if (ranges.empty() || ranges.back().last != parameter.offset)
      ranges.push_back({parameter.offset, parameter.offset});
    ranges.back().last += parameter.size;
  }
}

}  // namespace pydarts

// SPDX-License-Identifier: MIT
// The expected cost of a cell, with its gradient. The logarithms of mixing weights are also in
// pydarts/methods/log_weights.py, which knows more weightings.
//
// A cell is drawn with a probability proportional to the product of the weights of the operations that it keeps, each
// to the power 1 / temperature: the cell that the alphas stand for is drawn alone as the temperature falls to 0.
#pragma once
#include <vector>

#include "costs/table.hpp"

namespace pydarts {

// The alphas of a supernet: those of operations in the order of `table_offsets`, behind them, if there are any, those
// of the edges' own weights, (nodes, states before the last node) for each kind of cell.
std::size_t num_edge_alphas(const Space& space);

// By entry the logarithm of the mixing weight of an operation: of the softmax over its edge and, where edges have
// weights of their own, of the softmax over those into a node. -infinity where there is no operation.
std::vector<double> log_weights(const Space& space, const float* alphas, bool edges);

// Turns a gradient by these logarithms into one by the alphas.
std::vector<double> alpha_gradient(const Space& space, const float* alphas, bool edges,
                                   const std::vector<double>& gradient);

// With q_eo the softmax of log w_eo / temperature over the operations of an edge that a cell may hold, t_eo the table
// and s_e the probability that an edge is kept: fixed + sum_e s_e sum_o q_eo t_eo. A node keeps a set of its edges with
// a probability proportional to the product of sum_o w_eo^(1 / temperature). Of equal pools that count once each adds
// its entry times the probability that it is kept and none of the earlier ones is: nodes are drawn one by one, so that
// this is the mean of `predict`. `gradient` is by log w.
double expected_cost(const Space& space, const std::vector<double>& log_weights, const CostTable& table,
                     double temperature, std::vector<double>& gradient);

// All sets of `count` of the numbers first, first + 1, ..., first + size - 1, in the order of their members.
std::vector<std::vector<int>> subsets(int first, int size, int count);

}  // namespace pydarts

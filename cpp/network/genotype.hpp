// SPDX-License-Identifier: MIT
#pragma once
#include <vector>

#include "network/graph.hpp"

namespace pydarts {

// The cell that `rows` x candidate_operations() alphas stand for, rows in the order of the edges: each node keeps its
// two edges with the largest softmax weight of an operation other than `none`, strongest first; ties go to the
// earlier edge and operation. All nodes are concatenated. Liu et al., arXiv:1806.09055, section 2.4.
template <class T>
CellGenotype derive_cell(const T* alphas, int rows);

}  // namespace pydarts

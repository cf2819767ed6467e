// SPDX-License-Identifier: MIT
// Search spaces as values: what an edge may carry, what a cell's graph is, how cells are stacked. Their JSON form is
// read by space_json.cpp.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.hpp"

namespace pydarts {

enum class StageKind : std::uint8_t {
  relu,
  depthwise,    // one filter a channel
  convolution,  // over all channels; 1 x 1 is the pointwise product
  batch_norm,
  search_batch_norm,  // in the search network alone
  max_pool,
  avg_pool,
  none,
  noise
};

// Which stride of an edge a convolution takes.
enum class StrideAxis : std::uint8_t { first, height, width };  // first: both, of the chain's first stage with a window

struct Stage {
  StageKind kind;
  int kernel_h = 1, kernel_w = 1;
  int dilation = 1;
  StrideAxis strides = StrideAxis::first;

  bool has_window() const { return kind == StageKind::depthwise || kind == StageKind::convolution || is_pool(); }
  bool is_pool() const { return kind == StageKind::max_pool || kind == StageKind::avg_pool; }
  bool is_norm() const { return kind == StageKind::batch_norm || kind == StageKind::search_batch_norm; }
};

struct Operation {
  std::string name;
  std::vector<Stage> stages;  // none: the identity
  std::string prefix = "op";  // the attribute under which the parameters of the chain are named

  bool is(StageKind kind) const { return stages.size() == 1 && stages[0].kind == kind; }
  bool is_none() const { return is(StageKind::none); }
  bool is_noise() const { return is(StageKind::noise); }
};

bool operator==(const Stage& a, const Stage& b);
bool operator==(const Operation& a, const Operation& b);

struct Cell {
  std::string name;
  int inputs = 2;
  bool preprocessed = true;
  int nodes = 4;
  bool concatenates = true;                   // else the last node is the output
  int kept_edges = 2;                         // of a node in a genotype; 0: all
  bool keeps_none = false;                    // whether a genotype may hold `none`
  std::vector<std::vector<Operation>> edges;  // the candidates, edge by edge: node by node, from all earlier states

  // Edges and kept edges of node 0, 1, ...
  int incoming(int node) const { return inputs + node; }
  int kept(int node) const { return kept_edges == 0 || kept_edges > incoming(node) ? incoming(node) : kept_edges; }
  int columns() const;  // the most candidates of an edge
  bool differs_by_edge() const;
  // The candidates of the edge from a state to node 0, 1, ...; null: the cell has no such node, and its edges differ.
  const std::vector<Operation>* candidates(int node, int input) const;
};

// What follows what. A layer without a count is one cell.
struct Layer {
  int cell = -1;  // -1: a residual block
  int stride = 1;
  int channels = 1;                                // factor on C from here on
  int until_numerator = 0, until_denominator = 0;  // fill until this part of the cells; denominator 0: not
  int repeat = 1;                                  // 0: as often as there are `cells`
};

struct Stack {
  int stem = 3;  // its channels in multiples of C
  std::vector<Layer> layers;
  bool norm_relu = false;  // batch normalisation and ReLU before the global pooling
};

enum class ParameterNames : std::uint8_t { darts, nas_bench_201 };

struct Space {
  std::string name;
  int dimensions = 2;
  std::vector<Cell> cells;
  std::vector<Operation> others;  // that a genotype may hold, and the search does not try
  bool conv_bias = false;
  ParameterNames parameter_names = ParameterNames::darts;
  Stack stack;
  Json json;  // what it was read from: a name or an object

  // Of a name, among the candidates of this cell and the other operations; null if there is none.
  const Operation* find(const Cell& cell, const std::string& operation) const;
};

// One layer of a network, in order.
struct PlacedLayer {
  int cell;  // -1: a residual block
  int stride, channels;
};

// The layers of a network of `cells` cells whose first ones have `channels` channels.
std::vector<PlacedLayer> layers_of(const Space& space, int cells, int channels);

// From a description, or from the name of a ready space. BadFile, with what is wrong where, for anything else.
Space read_space(const Json& json);
Space read_space(const char* text, std::size_t size);

// Of an array of names of ready operations and of whole operations.
std::vector<Operation> read_operations(const Json& json, int dimensions);

const Space& darts_space();

}  // namespace pydarts

// SPDX-License-Identifier: MIT
// A network as data, independent of batch and image size. So are the places of a unit's weights among the packed ones
// and of their gradient among those of its phase, of which every task has a copy: they are here, too.
//
// States are activations in topological order. A node is a sum of terms; a term is the output of a unit or
// pool that reads an earlier state, or that state itself, times an affine map (batch normalisation and
// mixing weight in one). A concatenation is a view of the nodes that it joins. Everything that leaves one
// state is listed with it, because it is computed together.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/loss.hpp"
#include "kernels/kernels.hpp"
#include "network/operation.hpp"
#include "spaces/genotype.hpp"

namespace pydarts {

// Channels of an activation: `parts` nodes of `part` channels, each padded to whole blocks.
struct Channels {
  int parts = 1, part = 0;
  int count() const { return parts * part; }
  int blocks() const { return parts * blocks_of(part); }
  int lanes() const { return blocks() * kLanes; }
  bool is_one_of(int channels) const { return parts == 1 && part == channels; }  // part
  int lane(int channel) const { return channel / part * blocks_of(part) * kLanes + channel % part; }
};

struct Parameter {
  std::string name;
  std::vector<int> shape;
  std::size_t offset, size;  // in the weights
  double bound;              // initialised uniformly in [-bound, bound]; 0: to `start`
  double start;
};

constexpr double kBatchNormEpsilon = 1e-5;

struct BatchNorm {
  std::string name;
  int channels;
  int gamma, beta;      // parameters, or -1
  std::size_t running;  // in the running statistics: mean, then variance
};

// The map from a raw output to its contribution: mixing weight * batch_norm(y).
struct Affine {
  std::string name;  // of the edge, for errors
  Channels channels;
  int state;  // that this leaves
  int norm = -1;
  int bias = -1;           // parameter: the output is computed without it, for the statistics make up for it
  int alpha = -1;          // the mixing weight, or Graph::skip; -1: 1
  int droppable = -1;      // row of the drop-path factors
  int first_channel = 0;   // those below it contribute nothing
  std::size_t first_lane;  // of its coefficients, among those of all maps
  std::size_t first_sum;   // of its sums, among the lanes of all that leaves the same state
  int statistics;          // the affine whose sums hold this output's statistics (pools share theirs)

  bool has_moments() const { return norm >= 0 || alpha >= 0; }  // whether backward needs the moments of its gradient
};

// Output channels [first, first + count) of a product come from one parameter over some of the taps.
struct ProductPart {
  int parameter, first, count, first_tap, taps;
};

struct Unit {
  int state;                  // whose edge this is
  int level, previous, next;  // in its chain; previous -1: reads the state
  bool relu;
  UnitShape shape;  // sizes are left to the plan
  int pad_h, pad_w;
  int reach_h, reach_w;  // of the window, with its gaps
  Channels in, out;
  int depthwise = -1;              // parameter
  std::vector<ProductPart> parts;  // none: the identity, which has no parameters
  int groups = 1;                  // in which the identity shuffles the channels
  int affine = -1;
  int node = -1;  // where the last unit of a chain goes
  std::size_t packed_depthwise, packed_product, packed_transposed;
  std::size_t partial;  // of the weight gradient, among those of its phase

  int taps() const { return shape.kernel_taps(); }
  std::size_t depthwise_size() const { return depthwise < 0 ? 0 : std::size_t(in.lanes()) * taps(); }
  std::size_t product_size() const { return std::size_t(shape.z_blocks()) * kLanes * out.lanes(); }
  std::size_t gradient_size() const { return depthwise_size() + (parts.empty() ? 0 : product_size()); }
};

struct Pool {
  int state;
  PoolShape shape;  // sizes are left to the plan
  bool auxiliary;   // the window that leaves two places an axis
  bool rounds_up;   // what is left at the end of a side has an output of its own
  Channels channels;
  std::vector<int> terms;
};

// Standard normal numbers, drawn anew in each step.
struct Noise {
  int state;
  Channels channels;
  int stride_h, stride_w;
  int node;
};

enum class Source : std::uint8_t { unit, pool, identity, noise };

struct Term {
  int node;
  Source source;
  int index;  // of the unit, pool, state or noise
  int affine;
};

enum class StateKind : std::uint8_t { image, node, concat };

struct State {
  StateKind kind;
  Channels channels;
  std::string name = {};                  // of a concatenation or of a node without terms, for errors
  bool auxiliary = false;                 // of the auxiliary head: not needed for evaluation
  bool within_operation = false;          // of a chain that pools cut
  int read_blocks = 0;                    // of channels, from the first on, that each of its units of level 0 reads
  bool has_alphas = false;                // whether a mixing weight lies on a way from the image to here
  std::vector<int> terms;                 // node: incoming, by the state they leave
  std::vector<std::vector<int>> levels;   // outgoing units by level
  std::vector<std::size_t> level_size;    // their weights, packed
  std::vector<int> pools;                 // outgoing
  std::vector<int> noises;                // outgoing
  std::vector<int> identities;            // outgoing terms that read the state itself
  std::vector<std::vector<int>> affines;  // of all that leaves it, by level
  std::size_t lanes = 0;                  // of those
  std::vector<int> outgoing;              // all outgoing terms, those to one node together
  std::vector<int> arriving;              // terms that are added to their nodes before this state's units run, likewise
  std::vector<int> parts;                 // concat
  int concat = -1, part = 0;              // the concatenation that holds this node's memory
  int like = -1;                          // a node without terms is zero, and of a size with this state ...
  int stride_h = 1, stride_w = 1;         // ... at this stride

  bool is_zero() const { return kind == StateKind::node && terms.empty(); }
};

// Global average pooling and a linear layer, whose outputs the loss is of.
struct Head {
  int state;
  bool relu;
  int weight, bias;
  double loss_weight;
};

struct AlphaGroup {
  std::string name;
  int rows, columns, offset;
  std::vector<int> counts;  // the first columns of each row that stand for an operation, or an edge
  int edges = -1;           // the group of the edges' own weights, whose rows are nodes; -1: none
};

struct Graph {
  int in_channels = 0, classes = 0;
  LossFunction loss;
  int dimensions = 2;
  bool input_gradient = false;
  std::vector<State> states;
  std::vector<Unit> units;
  std::vector<Pool> pools;
  std::vector<Noise> noises;
  std::vector<Term> terms;
  std::vector<Affine> affines;
  std::vector<BatchNorm> norms;
  std::vector<Parameter> parameters;
  std::vector<Head> heads;  // the main one first
  std::vector<AlphaGroup> alpha_groups;
  std::size_t num_weights = 0, num_running = 0, num_alphas = 0;
  std::size_t lanes = 0, packed_size = 0;
  int droppables = 0;
  int skip = -1;  // the coefficient of all auxiliary skips, among the mixing weights behind those of the alphas

  std::size_t num_mixing() const { return num_alphas + (skip >= 0); }

  // f(weight, first, count): the index of an edge's own weight, and of those of its operations; for those that have
  // one.
  template <class F>
  void for_edges(F f) const {
    for (const AlphaGroup& group : alpha_groups) {
      if (group.edges < 0) continue;
      const AlphaGroup& nodes = alpha_groups[group.edges];
      for (int node = 0, row = 0; node < nodes.rows; ++node)
        for (int j = 0; j < nodes.counts[node]; ++j, ++row)
          f(nodes.offset + node * nodes.columns + j, group.offset + row * group.columns, group.counts[row]);
    }
  }

  // The state that a term leaves.
  int source_state(const Term& term) const {
    return term.source == Source::unit    ? units[term.index].state
           : term.source == Source::pool  ? pools[term.index].state
           : term.source == Source::noise ? noises[term.index].state
                                          : term.index;
  }

  const Channels& term_channels(int term) const { return affines[terms[term].affine].channels; }
  // Whether one call of a kernel takes both: they are of one node, and of equally many blocks of it.
  bool go_together(int a, int b) const {
    return terms[a].node == terms[b].node && term_channels(a).blocks() == term_channels(b).blocks();
  }

  // The state before whose units what left `source` is added to `node`: the next one, while it may still be in the last
  // cache. Evaluation passes the auxiliary ones by.
  int arrival(int source, int node) const {
    int v = source + 1;
    while (v < node && states[v].auxiliary && !states[node].auxiliary) ++v;
    return v;
  }
};

// What comes before the cells: a convolution for small images, or three that leave an eighth of large ones.
enum class Stem : std::uint8_t { cifar, imagenet };

Stem stem_of(const std::string& name);

struct NetworkConfig {
  int channels, cells, classes, in_channels;
  Stem stem = Stem::cifar;
  bool auxiliary_skip = false;  // of a supernet: every edge has its input as one more operand
  int partial_channels = 1;     // of a supernet: a part of 1 / so many of the channels goes through the operations
  LossFunction loss = {};
};

// The supernet of a space: every edge carries all its candidate operations.
Graph supernet_graph(const Space& space, const NetworkConfig& config);

// The derived network: one operation an edge.
Graph derived_graph(const Genotype& genotype, const NetworkConfig& config, bool auxiliary, double auxiliary_weight);

// One mixed operation by itself, from an input of `channels` to one node; gives the input gradient too.
Graph mixed_operation_graph(const std::vector<Operation>& operations, int channels, int stride, int dimensions);

}  // namespace pydarts

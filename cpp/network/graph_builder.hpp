// SPDX-License-Identifier: MIT
#pragma once
#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "network/graph.hpp"

namespace pydarts {

// Adds states and operations to a graph and names their parameters.
class GraphBuilder {
 public:
  Graph take() { return std::move(graph_); }
  Graph& graph() { return graph_; }

  int add_image(int channels);
  int add_concat(const std::vector<int>& nodes, const std::string& name);
  // First index. `counts`: the operations of each row.
  int add_alpha_group(const std::string& name, const std::vector<int>& counts, int columns);
  // Of the weights of the edges of a group's rows; `counts`: those into each node. First index.
  int add_edge_group(int of, const std::vector<int>& counts);

  // Index of the coefficient; after all groups of alphas.
  int add_skip() { return graph_.skip = int(graph_.num_alphas); }

  struct Edge {
    std::string name;  // prefix of the parameter names
    bool affine_norm;  // batch normalisation with gamma and beta
    int alpha = -1;
    bool droppable = false;
    int first_channel = 0;
    std::string operation = {};  // its name, for errors

    std::string label() const { return "operation '" + operation + "' at '" + name + "'"; }
  };
  struct Incoming {
    int state;
    Chain chain;
    Edge edge;
    int reads = 0;  // so many channels, the first ones; 0: all
    int gives = 0;  // to so many of the node's, the first ones; 0: all
  };
  // A node and all that comes into it. A chain that no row of units takes is cut by nodes before it.
  int add_node(int channels, std::vector<Incoming> incoming, bool auxiliary = false);

  // The auxiliary head's own pooling: relu, then an average that leaves two places an axis.
  int add_auxiliary_pool(int state);

  void add_head(int state, bool relu, int classes, const std::string& name, double loss_weight);

 private:
  int add_state(const Channels& channels, bool auxiliary);
  int add_parameter(const std::string& name, std::vector<int> shape, double bound, double start = 0);
  int add_norm(const std::string& name, int channels, bool affine);
  int add_affine(int state, int level, const Channels& channels, int norm, const std::string& name);
  int add_term(int node, Source source, int index, int affine, const Edge& edge);
  int add_unit(const Incoming& in, int previous, std::size_t& at, int channels);
  void add_units(const Incoming& in, int node);
  void add_pool(const Incoming& in, int node);
  void add_noise(const Incoming& in, int node);
  Channels read_by(const Incoming& in) const;
  int given_by(const Incoming& in, int node) const {
    return in.gives > 0 ? in.gives : graph_.states[node].channels.part;
  }
  void check_channels(const Incoming& in, int channels) const;
  void cut(Incoming& in, int channels, bool auxiliary);
  void connect(const Incoming& in, int node);

  Graph graph_;
  std::map<std::array<int, 8>, int> pools_;  // by state, channels, kind, window, strides and rounding
};

}  // namespace pydarts

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

  // Index of the coefficient; after all groups of alphas.
  int add_skip() { return graph_.skip = int(graph_.num_alphas); }

  struct Edge {
    std::string name;  // prefix of the parameter names
    bool affine_norm;  // batch normalisation with gamma and beta
    int alpha = -1;
    bool droppable = false;
    std::string operation = {};  // its name, for errors

    std::string label() const { return "operation '" + operation + "' at '" + name + "'"; }
  };
  struct Incoming {
    int state;
    Chain chain;
    Edge edge;
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
  int add_unit(int state, int previous, const std::vector<Link>& links, std::size_t& at, int channels,
               const Edge& edge);
  void add_units(int state, int node, const std::vector<Link>& links, const Edge& edge);
  void add_pool(int state, int node, const std::vector<Link>& links, const Edge& edge);
  void add_noise(int state, int node, const Chain& chain, const Edge& edge);
  void check_channels(const Incoming& in, int channels) const;
  void cut(Incoming& in, int channels, bool auxiliary);
  bool same_layout(int state, int channels) const;
  void connect(const Incoming& in, int node);

  Graph graph_;
  std::map<std::array<int, 6>, int> pools_;  // by state, kind, window and strides
};

}  // namespace pydarts

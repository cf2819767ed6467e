// SPDX-License-Identifier: MIT
#pragma once
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "network/graph.hpp"

namespace pydarts {

// Adds states and operations to a graph and names their parameters.
class GraphBuilder {
 public:
  Graph take() { return std::move(graph_); }
  Graph& graph() { return graph_; }

  int add_image(int channels);
  int add_node(int channels, bool auxiliary = false);
  int add_concat(const std::vector<int>& nodes);
  int add_alpha_group(const std::string& name, int rows, int columns);  // first index

  struct Edge {
    std::string name;  // prefix of the parameter names
    bool affine_norm;  // batch normalisation with gamma and beta
    int alpha = -1;
    bool droppable = false;
  };
  // node += operation(state)
  void connect(int state, int node, const Operation& operation, const Edge& edge);

  // The auxiliary head's own pooling: relu, then an average that leaves two places an axis.
  void connect_auxiliary_pool(int state, int node);

  void add_head(int state, bool relu, int classes, const std::string& name, double loss_weight);

 private:
  int add_parameter(const std::string& name, std::vector<int> shape, double bound, double start = 0);
  int add_norm(const std::string& name, int channels, bool affine);
  int add_affine(int state, int level, const Channels& channels, int norm);  // of what leaves the state
  int add_term(int node, Source source, int index, int affine, const Edge& edge);
  int add_unit(int state, int previous, const std::vector<Stage>& stages, std::size_t& at, int channels,
               const Edge& edge);
  void connect_pool(int state, int node, const Operation& operation, const Edge& edge);

  Graph graph_;
  std::map<std::tuple<int, bool, int>, int> pools_;  // by state, kind and stride
};

}  // namespace pydarts

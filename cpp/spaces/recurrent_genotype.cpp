// SPDX-License-Identifier: MIT
#include "spaces/recurrent_genotype.hpp"

#include <algorithm>
#include <iterator>

#include "core/bad_file.hpp"

namespace pydarts {
namespace {

using Kind = Json::Kind;

constexpr const char* kActivationNames[] = {"tanh", "relu", "sigmoid", "identity"};
constexpr const char* kMembers[] = {"format", "version", "kind", "recurrent", "concat"};

Cell recurrent_cell() {
  Cell cell;
  cell.name = "recurrent";
  cell.inputs = 1;
  cell.nodes = kRecurrentNodes;
  cell.kept_edges = 1;
  std::vector<Operation> operations{{"none", {{StageKind::none}}}};
  for (const char* name : kActivationNames) operations.push_back({name, {}});
  for (int node = 0; node < cell.nodes; ++node)
    for (int input = 0; input < cell.incoming(node); ++input) cell.edges.push_back(operations);
  return cell;
}

}  // namespace

int recurrent_activation(const std::string& name) {
  const auto* found = std::find(std::begin(kActivationNames), std::end(kActivationNames), name);
  return found == std::end(kActivationNames) ? -1 : int(found - std::begin(kActivationNames));
}

CellGenotype derive_recurrent_cell(const float* alphas) { return derive_cell(recurrent_cell(), alphas); }

CellGenotype read_recurrent_genotype(const Json& json) {
  require_genotype(json, "recurrent");
  for (const std::string& name : json.names)
    require_file(std::find(std::begin(kMembers), std::end(kMembers), name) != std::end(kMembers),
                 "the genotype's member '", name.substr(0, 40), "' is unknown");
  CellGenotype cell;
  for (const Json& entry : json.at("recurrent", Kind::array).items) {
    require_file(entry.kind == Kind::array && entry.items.size() == 2 && entry.items[0].kind == Kind::string,
                 "an entry of `recurrent` is not a pair of activation and input");
    const std::string& name = entry.items[0].text;
    require_file(recurrent_activation(name) >= 0, "`recurrent` names the unknown activation '", name.substr(0, 40),
                 "'");
    const int most = int(cell.operations.size());
    cell.operations.emplace_back(name, int(entry.items[1].integer("recurrent", 0, most)));
  }
  const int nodes = int(cell.operations.size());
  require_file(nodes > 0 && nodes < kMostStates, "`recurrent` has ", nodes, " entries");
  std::vector<bool> named(nodes + 1);
  for (const Json& node : json.at("concat", Kind::array).items) {
    const int at = int(node.integer("concat", 1, nodes));
    require_file(!named[at], "`concat` names ", at, " twice");
    named[at] = true;
    cell.concat.push_back(at);
  }
  require_file(!cell.concat.empty(), "`concat` is empty");
  return cell;
}

std::string write_recurrent_genotype(const CellGenotype& cell) {
  std::string out = text("{\n  \"format\": \"", kGenotypeFormat, "\",\n  \"version\": ", kGenotypeVersion,
                         ",\n  \"kind\": \"recurrent\",\n  \"recurrent\": [");
  for (std::size_t i = 0; i < cell.operations.size(); ++i)
    out += text(i ? ", " : "", "[", quoted(cell.operations[i].first), ", ", cell.operations[i].second, "]");
  out += "],\n  \"concat\": [";
  for (std::size_t i = 0; i < cell.concat.size(); ++i) out += text(i ? ", " : "", cell.concat[i]);
  return out + "]\n}";
}

}  // namespace pydarts

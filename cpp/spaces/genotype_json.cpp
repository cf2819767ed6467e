// SPDX-License-Identifier: MIT
#include <algorithm>

#include "core/bad_file.hpp"
#include "spaces/genotype.hpp"

namespace pydarts {
namespace {

using Kind = Json::Kind;

constexpr const char* kKind = "convolutional";

void require_text(const Json& json, const char* name, const char* wanted) {
  const std::string& found = json.at(name, Kind::string).text;
  require_file(found == wanted, "the `", name, "` of the genotype (=", found.substr(0, 40), ") must be '", wanted, "'");
}

CellGenotype read_cell(const Json& json, const Cell& kind) {
  CellGenotype cell;
  for (const Json& entry : json.at(kind.name.c_str(), Kind::array).items) {
    require_file(entry.kind == Kind::array && entry.items.size() == 2 && entry.items[0].kind == Kind::string,
                 "an entry of `", kind.name, "` is not a pair of operation and input");
    cell.operations.emplace_back(entry.items[0].text, int(entry.items[1].integer(kind.name.c_str(), 0, kMostStates)));
  }
  if (!kind.concatenates) return cell;
  const std::string concat = kind.name + "_concat";
  for (const Json& node : json.at(concat.c_str(), Kind::array).items)
    cell.concat.push_back(int(node.integer(concat.c_str(), 0, kMostStates)));
  return cell;
}

std::string write_cell(const Cell& kind, const CellGenotype& cell) {
  std::string out = text(",\n  ", quoted(kind.name), ": [");
  for (std::size_t i = 0; i < cell.operations.size(); ++i)
    out += text(i ? ", " : "", "[", quoted(cell.operations[i].first), ", ", cell.operations[i].second, "]");
  out += "]";
  if (!kind.concatenates) return out;
  out += text(",\n  ", quoted(kind.name + "_concat"), ": [");
  for (std::size_t i = 0; i < cell.concat.size(); ++i) out += text(i ? ", " : "", cell.concat[i]);
  return out + "]";
}

}  // namespace

void require_genotype(const Json& json, const char* kind) {
  require_file(json.kind == Kind::object, "a genotype must be an object");
  require_text(json, "format", kGenotypeFormat);
  json.at("version", Kind::number).integer("version", kGenotypeVersion, kGenotypeVersion);
  require_text(json, "kind", kind);
}

Genotype read_genotype(const Json& json) {
  require_genotype(json, kKind);
  const Json* space = json.find("space");
  Genotype genotype{space ? read_space(*space) : darts_space(), {}};
  std::vector<std::string> known = {"format", "version", "kind", "space"};
  for (const Cell& cell : genotype.space.cells) {
    known.push_back(cell.name);
    if (cell.concatenates) known.push_back(cell.name + "_concat");
  }
  for (const std::string& name : json.names)
    require_file(std::find(known.begin(), known.end(), name) != known.end(), "the genotype's member '",
                 name.substr(0, 40), "' is unknown");
  for (const Cell& cell : genotype.space.cells) genotype.cells.push_back(read_cell(json, cell));
  return genotype;
}

Genotype read_genotype(const char* text, std::size_t size) {
  require_file(size <= kMaxGenotypeText, "it has ", size, " bytes, more than ", kMaxGenotypeText);
  return read_genotype(parse_json(text, size));
}

std::string write_genotype(const Genotype& genotype) {
  const Space& space = genotype.space;
  std::string out = text("{\n  \"format\": \"", kGenotypeFormat, "\",\n  \"version\": ", kGenotypeVersion,
                         ",\n  \"kind\": \"", kKind, "\"");
  if (space.json.kind != Kind::string || space.json.text != "darts") out += ",\n  \"space\": " + write_json(space.json);
  for (std::size_t i = 0; i < space.cells.size(); ++i) out += write_cell(space.cells[i], genotype.cells[i]);
  return out + "\n}";
}

}  // namespace pydarts

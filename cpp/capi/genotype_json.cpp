// SPDX-License-Identifier: MIT
#include "capi/genotype_json.hpp"

#include <algorithm>

namespace pydarts {
namespace {

using Kind = Json::Kind;

constexpr const char* kFormat = "pydarts-genotype";
constexpr int kVersion = 1;
constexpr const char* kKind = "convolutional";
constexpr int kMostStates = 1 << 16;

void require_text(const Json& json, const char* name, const char* wanted) {
  const std::string& found = json.at(name, Kind::string).text;
  require_file(found == wanted, "the `", name, "` of the genotype (=", found.substr(0, 40), ") must be '", wanted, "'");
}

CellGenotype read_cell(const Json& json, const char* name) {
  CellGenotype cell;
  for (const Json& entry : json.at(name, Kind::array).items) {
    require_file(entry.kind == Kind::array && entry.items.size() == 2 && entry.items[0].kind == Kind::string,
                 "an entry of `", name, "` is not a pair of operation and input");
    cell.operations.emplace_back(entry.items[0].text, int(entry.items[1].integer(name, 0, kMostStates)));
  }
  const std::string concat = std::string(name) + "_concat";
  for (const Json& node : json.at(concat.c_str(), Kind::array).items)
    cell.concat.push_back(int(node.integer(concat.c_str(), 0, kMostStates)));
  return cell;
}

std::string write_cell(const char* name, const CellGenotype& cell) {
  std::string out = text(",\n  \"", name, "\": [");
  for (std::size_t i = 0; i < cell.operations.size(); ++i)
    out += text(i ? ", " : "", "[\"", cell.operations[i].first, "\", ", cell.operations[i].second, "]");
  out += text("],\n  \"", name, "_concat\": [");
  for (std::size_t i = 0; i < cell.concat.size(); ++i) out += text(i ? ", " : "", cell.concat[i]);
  return out + "]";
}

}  // namespace

Genotype read_genotype(const Json& json) {
  require_file(json.kind == Kind::object, "a genotype must be an object");
  static const char* const known[] = {"format",        "version", "kind",         "normal",
                                      "normal_concat", "reduce",  "reduce_concat"};
  for (const std::string& name : json.names)
    require_file(std::find(std::begin(known), std::end(known), name) != std::end(known), "the genotype's member '",
                 name.substr(0, 40), "' is unknown");
  require_text(json, "format", kFormat);
  json.at("version", Kind::number).integer("version", kVersion, kVersion);
  require_text(json, "kind", kKind);
  return {read_cell(json, "normal"), read_cell(json, "reduce")};
}

std::string write_genotype(const Genotype& genotype) {
  return text("{\n  \"format\": \"", kFormat, "\",\n  \"version\": ", kVersion, ",\n  \"kind\": \"", kKind, "\"") +
         write_cell("normal", genotype.normal) + write_cell("reduce", genotype.reduce) + "\n}";
}

}  // namespace pydarts

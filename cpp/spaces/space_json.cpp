// SPDX-License-Identifier: MIT
#include <algorithm>
#include <initializer_list>

#include "core/bad_file.hpp"
#include "spaces/ready.hpp"
#include "spaces/space.hpp"

namespace pydarts {
namespace {

using Kind = Json::Kind;

constexpr const char *kSpaceFormat = "pydarts-space", *kResidualBlock = "residual_block";
constexpr int kSpaceVersion = 1;
constexpr int kMostSide = 63, kMostTaps = 64, kMostDilation = 16, kMostReach = 127;
constexpr int kMostNodes = 8, kMostCandidates = 16, kMostMixed = 64, kMostStages = 32, kMostCells = 16,
              kMostListed = 64;
constexpr std::size_t kMostName = 100, kMostText = std::size_t(1) << 20;

// Errors of `read` say where they are.
template <class Read>
auto within(const std::string& place, const Read& read) {
  try {
    return read();
  } catch (const BadFile& error) {
    throw BadFile(text(place, ": ", error.what()));
  }
}

std::string shown(const std::string& name) { return "'" + name.substr(0, 40) + "'"; }

void require_members(const Json& json, std::initializer_list<const char*> known) {
  for (const std::string& name : json.names)
    require_file(std::any_of(known.begin(), known.end(), [&](const char* k) { return name == k; }), "the member ",
                 shown(name), " is unknown");
}

const std::string& name_at(const Json& json, const char* member) {
  const std::string& name = json.at(member, Kind::string).text;
  require_file(!name.empty() && name.size() <= kMostName, "`", member, "` (=", shown(name), ") must have 1 to ",
               kMostName, " characters");
  return name;
}

bool truth_at(const Json& json, const char* member, bool otherwise) {
  return json.find(member) ? json.at(member, Kind::boolean).truth : otherwise;
}

int integer_at(const Json& json, const char* member, int otherwise, int least, int most) {
  const Json* found = json.find(member);
  return found ? int(found->integer(member, least, most)) : otherwise;
}

// ---- Operations ----

void read_kernel(const Json& json, const char* member, int dimensions, Stage& stage) {
  if (json.kind == Kind::array) {
    require_file(json.items.size() == 2, "`", member, "` has ", json.items.size(), " sides, not 2");
    stage.kernel_h = int(json.items[0].integer(member, 1, kMostSide));
    stage.kernel_w = int(json.items[1].integer(member, 1, kMostSide));
  } else {
    stage.kernel_h = stage.kernel_w = int(json.integer(member, 1, kMostSide));
  }
  const int taps = stage.kernel_h * stage.kernel_w;
  require_file(taps <= kMostTaps, "`", member, "` has ", taps, " taps, more than ", kMostTaps);
  require_file(dimensions == 2 || stage.kernel_h == 1, "`", member, "` has the height ", stage.kernel_h,
               "; in one dimension it must be 1");
}

Stage read_windowed(const Json& json, int dimensions) {
  static const struct {
    const char* name;
    StageKind kind;
  } kinds[] = {{"depthwise", StageKind::depthwise},
               {"conv", StageKind::convolution},
               {"max_pool", StageKind::max_pool},
               {"avg_pool", StageKind::avg_pool}};
  const auto found = std::find_if(std::begin(kinds), std::end(kinds), [&](auto& k) { return json.find(k.name); });
  require_file(found != std::end(kinds), "it has none of `depthwise`, `conv`, `max_pool` and `avg_pool`");
  Stage stage{found->kind};
  if (stage.is_pool())
    require_members(json, {found->name});
  else if (stage.kind == StageKind::depthwise)
    require_members(json, {found->name, "dilation"});
  else
    require_members(json, {found->name, "dilation", "strides"});
  read_kernel(*json.find(found->name), found->name, dimensions, stage);
  stage.dilation = integer_at(json, "dilation", 1, 1, kMostDilation);
  const int reach = (std::max(stage.kernel_h, stage.kernel_w) - 1) * stage.dilation;
  require_file(reach <= kMostReach, "`dilation` (=", stage.dilation, ") makes a kernel that reaches ", reach,
               " pixels, more than ", kMostReach);
  if (json.find("strides")) {
    const std::string& axis = json.at("strides", Kind::string).text;
    require_file(axis == "width" || (axis == "height" && dimensions == 2), "`strides` (=", shown(axis), ") must be ",
                 dimensions == 2 ? "'height' or 'width'" : "'width'");
    stage.strides = axis == "width" ? StrideAxis::width : StrideAxis::height;
  }
  return stage;
}

Stage read_stage(const Json& json, int dimensions) {
  if (json.kind == Kind::object) return read_windowed(json, dimensions);
  require_file(json.kind == Kind::string, "it is neither a name nor an object");
  static const struct {
    const char* name;
    StageKind kind;
  } kinds[] = {{"relu", StageKind::relu},
               {"pointwise", StageKind::convolution},
               {"batch_norm", StageKind::batch_norm},
               {"search_batch_norm", StageKind::search_batch_norm},
               {"none", StageKind::none},
               {"noise", StageKind::noise}};
  for (const auto& k : kinds)
    if (json.text == k.name) return {k.kind};
  throw BadFile(text(shown(json.text), " is no stage"));
}

Operation read_whole_operation(const Json& json, int dimensions) {
  Operation operation;
  operation.name = name_at(json, "name");
  return within(text("operation ", shown(operation.name)), [&] {
    require_members(json, {"name", "stages", "prefix"});
    if (json.find("prefix")) operation.prefix = json.at("prefix", Kind::string).text;
    require_file(operation.prefix.size() <= kMostName, "`prefix` has more than ", kMostName, " characters");
    const auto& stages = json.at("stages", Kind::array).items;
    require_file(stages.size() <= kMostStages, "it has ", stages.size(), " stages, more than ", kMostStages);
    for (std::size_t i = 0; i < stages.size(); ++i)
      operation.stages.push_back(within(text("stage ", i), [&] { return read_stage(stages[i], dimensions); }));
    for (const Stage& stage : operation.stages)
      require_file(operation.stages.size() == 1 || (stage.kind != StageKind::none && stage.kind != StageKind::noise),
                   "`none` and `noise` stand alone");
    return operation;
  });
}

const Json& ready(const char* table, const std::string& name, const char* what) {
  const auto& items = ready_json().at(table, Kind::array).items;
  for (const Json& item : items)
    if (item.at("name", Kind::string).text == name) return item;
  throw BadFile(text("unknown ", what, " ", shown(name)));
}

Operation read_operation(const Json& json, int dimensions) {
  if (json.kind == Kind::string) return read_whole_operation(ready("operations", json.text, "operation"), dimensions);
  require_file(json.kind == Kind::object, "an operation is neither a name nor an object");
  return read_whole_operation(json, dimensions);
}

std::vector<Operation> read_list(const Json& json, int dimensions, std::size_t least, std::size_t most) {
  require_file(json.kind == Kind::array, "a list of operations is no array");
  require_file(json.items.size() >= least && json.items.size() <= most, "a list has ", json.items.size(),
               " operations, not ", least, " to ", most);
  std::vector<Operation> operations;
  for (const Json& item : json.items) operations.push_back(read_operation(item, dimensions));
  return operations;
}

std::vector<Operation> read_candidates(const Json& json, int dimensions, std::size_t least, std::size_t most) {
  std::vector<Operation> operations = read_list(json, dimensions, least, most);
  for (std::size_t i = 0; i < operations.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      require_file(operations[i].name != operations[j].name, "a list names the operation ", shown(operations[i].name),
                   " twice");
  return operations;
}

// ---- Cells ----

Cell read_cell(const Json& json, const std::vector<Operation>* candidates, int dimensions) {
  Cell cell;
  cell.name = name_at(json, "name");
  return within(text("cell ", shown(cell.name)), [&] {
    require_members(
        json, {"name", "title", "inputs", "preprocessed", "nodes", "output", "kept_edges", "keeps_none", "edges"});
    for (const char* reserved : {"format", "version", "kind", "space", kResidualBlock})
      require_file(cell.name != reserved, "it cannot have this name");
    if (json.find("title")) json.at("title", Kind::string);
    cell.inputs = integer_at(json, "inputs", 2, 1, 2);
    cell.preprocessed = truth_at(json, "preprocessed", true);
    require_file(cell.preprocessed || cell.inputs == 1, "of two inputs each must be preprocessed");
    cell.nodes = integer_at(json, "nodes", 4, 1, kMostNodes);
    const std::string output = json.find("output") ? json.at("output", Kind::string).text : "concatenation";
    require_file(output == "concatenation" || output == "last", "`output` (=", shown(output),
                 ") must be 'concatenation' or 'last'");
    cell.concatenates = output == "concatenation";
    if (const Json* kept = json.find("kept_edges"))
      cell.kept_edges =
          kept->kind == Kind::string && kept->text == "all" ? 0 : int(kept->integer("kept_edges", 1, kMostNodes + 2));
    cell.keeps_none = truth_at(json, "keeps_none", false);
    int count = 0;
    for (int node = 0; node < cell.nodes; ++node) count += cell.incoming(node);
    if (json.find("edges")) {
      const auto& edges = json.at("edges", Kind::array).items;
      require_file(int(edges.size()) == count, "`edges` has ", edges.size(), " entries for ", count, " edges");
      for (std::size_t e = 0; e < edges.size(); ++e)
        cell.edges.push_back(
            within(text("edge ", e), [&] { return read_candidates(edges[e], dimensions, 1, kMostCandidates); }));
    } else {
      require_file(candidates, "neither the space has `operations`, nor the cell `edges`");
      cell.edges.assign(count, *candidates);
    }
    const auto computes = [](const Operation& operation) { return !operation.is_none(); };
    for (std::size_t e = 0; e < cell.edges.size() && !cell.keeps_none; ++e)
      require_file(std::any_of(cell.edges[e].begin(), cell.edges[e].end(), computes), "edge ", e,
                   " has only `none`, which its genotype may not hold");
    return cell;
  });
}

// ---- Stack ----

Layer read_layer(const Json& json, const std::vector<Cell>& cells) {
  require_file(json.kind == Kind::object, "it is no object");
  require_members(json, {"cell", "until", "repeat", "stride", "channels"});
  Layer layer;
  const std::string& name = name_at(json, "cell");
  if (name != kResidualBlock) {
    const auto found = std::find_if(cells.begin(), cells.end(), [&](const Cell& c) { return c.name == name; });
    require_file(found != cells.end(), "there is no cell ", shown(name));
    layer.cell = int(found - cells.begin());
  }
  layer.stride = integer_at(json, "stride", 1, 1, 2);
  layer.channels = integer_at(json, "channels", 1, 1, 64);
  require_file(!json.find("until") || !json.find("repeat"), "it has both `until` and `repeat`");
  if (json.find("until")) {
    const std::string& part = json.at("until", Kind::string).text;
    const std::size_t slash = part.find('/');
    auto number = [&](const std::string& digits) {
      require_file(!digits.empty() && digits.size() <= 4 &&
                       std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; }),
                   "`until` (=", shown(part), ") must be a fraction of two whole numbers");
      int value = 0;
      for (char c : digits) value = 10 * value + (c - '0');
      return value;
    };
    layer.until_numerator = number(part.substr(0, slash));
    layer.until_denominator = number(slash == std::string::npos ? "" : part.substr(slash + 1));
    require_file(layer.until_denominator > 0 && layer.until_numerator <= layer.until_denominator,
                 "`until` (=", shown(part), ") must be a fraction of at most 1");
  }
  if (const Json* repeat = json.find("repeat"))
    layer.repeat =
        repeat->kind == Kind::string && repeat->text == "cells" ? 0 : int(repeat->integer("repeat", 1, 1024));
  return layer;
}

Stack read_stack(const Json& json, const std::vector<Cell>& cells) {
  require_members(json, {"stem", "layers", "norm_relu"});
  Stack stack;
  stack.stem = integer_at(json, "stem", 1, 1, 64);
  stack.norm_relu = truth_at(json, "norm_relu", false);
  const auto& layers = json.at("layers", Kind::array).items;
  require_file(!layers.empty() && layers.size() <= kMostListed, "`layers` has ", layers.size(), " entries, not 1 to ",
               kMostListed);
  bool until = false, by_stage = false;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    stack.layers.push_back(within(text("layer ", i), [&] { return read_layer(layers[i], cells); }));
    until |= stack.layers.back().until_denominator > 0;
    by_stage |= stack.layers.back().repeat == 0;
  }
  require_file(!until || !by_stage, "`until` and `repeat`: 'cells' do not mix");
  return stack;
}

// ---- Space ----

// With the members of the ready space that it builds on.
Json completed(const Json& json, int depth) {
  const Json* base = json.find("base");
  if (!base) return json;
  require_file(depth < 8, "`base`: spaces build on each other");
  require_file(base->kind == Kind::string, "`base` is no name of a ready space");
  Json whole = json;
  const Json below = completed(ready("spaces", base->text, "space"), depth + 1);
  for (std::size_t i = 0; i < below.names.size(); ++i)
    if (!json.find(below.names[i].c_str())) {
      whole.names.push_back(below.names[i]);
      whole.items.push_back(below.items[i]);
    }
  return whole;
}

// One name stands for one operation.
void require_one_meaning(const Space& space) {
  std::vector<const Operation*> all;
  for (const Operation& o : space.others) all.push_back(&o);
  for (const Cell& cell : space.cells)
    for (const auto& candidates : cell.edges)
      for (const Operation& o : candidates) all.push_back(&o);
  std::sort(all.begin(), all.end(), [](auto* a, auto* b) { return a->name < b->name; });
  for (std::size_t i = 1; i < all.size(); ++i)
    require_file(all[i]->name != all[i - 1]->name || *all[i] == *all[i - 1], "two operations have the name ",
                 shown(all[i]->name));
}

Space read_object(const Json& given) {
  const Json json = completed(given, 0);
  Space space;
  space.name = name_at(json, "name");
  return within(text("space ", shown(space.name)), [&] {
    require_members(json, {"format", "version", "name", "base", "dimensions", "operations", "extra_operations",
                           "conv_bias", "parameter_names", "cells", "stack"});
    if (json.find("format")) {
      const std::string& format = json.at("format", Kind::string).text;
      require_file(format == kSpaceFormat, "`format` (=", shown(format), ") must be '", kSpaceFormat, "'");
    }
    integer_at(json, "version", kSpaceVersion, kSpaceVersion, kSpaceVersion);
    space.dimensions = integer_at(json, "dimensions", 2, 1, 2);
    std::vector<Operation> candidates;
    const Json* operations = json.find("operations");
    if (operations) candidates = read_candidates(*operations, space.dimensions, 1, kMostCandidates);
    if (const Json* others = json.find("extra_operations"))
      space.others = read_candidates(*others, space.dimensions, 0, 64);
    space.conv_bias = truth_at(json, "conv_bias", false);
    const std::string names = json.find("parameter_names") ? json.at("parameter_names", Kind::string).text : "darts";
    require_file(names == "darts" || names == "nas-bench-201", "`parameter_names` (=", shown(names),
                 ") must be 'darts' or 'nas-bench-201'");
    space.parameter_names = names == "darts" ? ParameterNames::darts : ParameterNames::nas_bench_201;
    const auto& cells = json.at("cells", Kind::array).items;
    require_file(!cells.empty() && cells.size() <= kMostCells, "`cells` has ", cells.size(), " entries, not 1 to ",
                 kMostCells);
    for (const Json& cell : cells)
      space.cells.push_back(read_cell(cell, operations ? &candidates : nullptr, space.dimensions));
    for (const Cell& a : space.cells)
      for (const Cell& b : space.cells)
        require_file(&a == &b || (a.name != b.name && a.name != b.name + "_concat"), "the cell ", shown(a.name),
                     " has a name that is taken");
    space.stack = within("stack", [&] { return read_stack(json.at("stack", Kind::object), space.cells); });
    require_one_meaning(space);
    space.json = given;
    return space;
  });
}

}  // namespace

Space read_space(const Json& json) {
  if (json.kind == Kind::string) {
    Space space = read_object(ready("spaces", json.text, "space"));
    space.json = json;
    return space;
  }
  require_file(json.kind == Kind::object, "a space is neither a name nor an object");
  return read_object(json);
}

Space read_space(const char* text, std::size_t size) {
  require_file(size <= kMostText, "it has ", size, " bytes, more than ", kMostText);
  return read_space(parse_json(text, size));
}

std::vector<Operation> read_operations(const Json& json, int dimensions) {
  return read_list(json, dimensions, 1, kMostMixed);
}

const Space& darts_space() {
  static const Space space = read_space("\"darts\"", 7);
  return space;
}

}  // namespace pydarts

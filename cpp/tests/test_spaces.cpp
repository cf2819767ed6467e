// SPDX-License-Identifier: MIT
// Spaces from their JSON form, and the graphs that the engine makes of them.
#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/bad_file.hpp"
#include "network/limits.hpp"
#include "network/network.hpp"
#include "spaces/genotype.hpp"

using namespace pydarts;

namespace {

Space space_of(const std::string& json) { return read_space(json.data(), json.size()); }

// A space of one kind of cell with these operations, and with further members.
std::string mine(const std::string& operations, const std::string& cell = "", const std::string& layers = "",
                 const std::string& more = "") {
  return R"({"name": "mine", "operations": [)" + operations + R"(], "cells": [{"name": "c", "nodes": 1)" + cell +
         R"(}], "stack": {"stem": 1, "layers": [)" + (layers.empty() ? R"({"cell": "c", "until": "1/1"})" : layers) +
         "]}" + more + "}";
}

std::string operation(const std::string& stages) { return R"({"name": "own", "stages": [)" + stages + "]}"; }

// Whether `call` throws an Error whose text has all of these parts.
template <class Error, class Call>
bool refused(const Call& call, const std::vector<std::string>& parts) {
  try {
    call();
  } catch (const Error& error) {
    const std::string text = error.what();
    const bool all = std::all_of(parts.begin(), parts.end(),
                                 [&](const std::string& part) { return text.find(part) != std::string::npos; });
    if (!all) std::fprintf(stderr, "\"%s\"\n", text.c_str());
    return all;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "another error: \"%s\"\n", error.what());
  }
  return false;
}

bool bad_space(const std::string& json, const std::vector<std::string>& parts) {
  return refused<BadFile>([&] { space_of(json); }, parts);
}

bool bad_stages(const std::string& stages, const std::vector<std::string>& parts) {
  std::vector<std::string> all = {"space 'mine'", "operation 'own'"};
  all.insert(all.end(), parts.begin(), parts.end());
  return refused<BadFile>([&] { space_of(mine(operation(stages))); }, {parts.begin(), parts.end()}) &&
         refused<BadFile>([&] { space_of(mine(operation(stages))); }, {"operation 'own'"});
}

void descriptions_are_checked() {
  space_of(mine(operation("")));
  space_of(mine(operation(R"("relu", {"depthwise": [1, 63], "dilation": 2}, "pointwise", "batch_norm")")));
  CHECK(bad_space("\"dart\"", {"unknown space 'dart'"}));
  CHECK(bad_space("{}", {"`name` is missing"}));
  CHECK(bad_space("[]", {"neither a name nor an object"}));
  CHECK(bad_space(mine("\"conv_9x9\""), {"space 'mine'", "'conv_9x9'"}));
  CHECK(bad_space(mine("\"none\", \"none\""), {"'none' twice"}));
  CHECK(bad_space(mine("\"none\""), {"cell 'c'", "edge 0", "`none`"}));
  const std::string two = "\"none\", " + operation("\"none\"");
  CHECK(bad_space(mine(two), {"cell 'c'", "edge 0", "`none`"}));
  space_of(mine(two, R"(, "keeps_none": true)"));
  CHECK(bad_space(mine("\"skip_connect\"", "", "", R"(, "depth": 3)"), {"'depth' is unknown"}));
  CHECK(bad_space(mine("\"skip_connect\"", "", "", R"(, "dimensions": 3)"), {"`dimensions` (=3)"}));
  CHECK(bad_space(mine("\"sep_conv_3x3\"", "", "", R"(, "dimensions": 1)"), {"'sep_conv_3x3'", "height 3"}));
  CHECK(bad_space(mine("\"skip_connect\"", R"(, "inputs": 3)"), {"cell 'c'", "`inputs` (=3)"}));
  CHECK(bad_space(mine("\"skip_connect\"", R"(, "preprocessed": false)"), {"cell 'c'", "preprocessed"}));
  CHECK(bad_space(mine("\"skip_connect\"", R"(, "output": "mean")"), {"`output` (='mean')"}));
  CHECK(bad_space(mine("\"skip_connect\"", R"(, "edges": [["none", "noise"]])"), {"1 entries for 2 edges"}));
  CHECK(bad_space(mine("\"skip_connect\"", "", R"({"cell": "d"})"), {"layer 0", "no cell 'd'"}));
  CHECK(bad_space(mine("\"skip_connect\"", "", R"({"cell": "c", "until": "3/2"})"), {"layer 0", "'3/2'"}));
  CHECK(bad_space(mine("\"skip_connect\"", "", R"({"cell": "c", "until": "1/2"}, {"cell": "c", "repeat": "cells"})"),
                  {"do not mix"}));
  CHECK(bad_space(
      mine("\"skip_connect\", " + operation("") + R"(], "extra_operations": [{"name": "own", "stages": ["relu"]})"),
      {"two operations have the name 'own'"}));
  CHECK(bad_space(R"({"name": "mine", "base": "mine"})", {"unknown space 'mine'"}));
}

void stages_are_checked() {
  CHECK(bad_stages(R"("relu", "gelu")", {"stage 1", "'gelu'"}));
  CHECK(bad_stages(R"("relu", "none")", {"stand alone"}));
  CHECK(bad_stages(R"({"conv": 64})", {"stage 0", "`conv` (=64)"}));
  CHECK(bad_stages(R"({"conv": 9})", {"stage 0", "81 taps"}));
  CHECK(bad_stages(R"({"conv": [3]})", {"stage 0", "1 sides"}));
  CHECK(bad_stages(R"({"depthwise": 3, "dilation": 17})", {"stage 0", "`dilation` (=17)"}));
  CHECK(bad_stages(R"({"depthwise": [1, 63], "dilation": 3})", {"stage 0", "`dilation` (=3)"}));
  CHECK(bad_stages(R"({"max_pool": 3, "dilation": 2})", {"stage 0", "'dilation'"}));
  CHECK(bad_stages(R"({"depthwise": 3, "strides": "width"})", {"stage 0", "'strides'"}));
  CHECK(bad_stages(R"({"conv": 3, "strides": "depth"})", {"stage 0", "'depth'"}));
}

bool layers_are(const Space& space, int cells, const std::string& wanted) {  // n, r; b: residual block
  std::string found;
  for (const PlacedLayer& layer : layers_of(space, cells, 4))
    found += layer.cell < 0 ? 'b' : space.cells[layer.cell].name[0];
  if (found != wanted) std::fprintf(stderr, "%s\n", found.c_str());
  return found == wanted;
}

void layers_follow_from_the_cells() {
  CHECK(layers_are(darts_space(), 1, "r"));
  CHECK(layers_are(darts_space(), 2, "rr"));
  CHECK(layers_are(darts_space(), 3, "nrr"));
  CHECK(layers_are(darts_space(), 8, "nnrnnrnn"));
  CHECK(layers_are(darts_space(), 20, "nnnnnnrnnnnnnrnnnnnn"));
  CHECK(layers_are(space_of("\"nas-bench-201\""), 5, "nnnnnbnnnnnbnnnnn"));
  const Space two = space_of(mine("\"skip_connect\"", "", R"({"cell": "c"}, {"cell": "c", "stride": 2})"));
  CHECK(layers_are(two, 1, "c") && layers_are(two, 2, "cc"));
  CHECK(refused<InvalidArgument>([&] { layers_of(two, 3, 4); }, {"`cells` (=3)", "2 layers"}));
  const auto layers = layers_of(darts_space(), 20, 36);
  CHECK(layers[5].channels == 36 && layers[6].channels == 72 && layers[13].channels == 144 && layers[13].stride == 2);
}

const char* const kDartsV2 = R"({"format": "pydarts-genotype", "version": 1, "kind": "convolutional",
  "normal": [["sep_conv_3x3", 0], ["sep_conv_3x3", 1], ["sep_conv_3x3", 0], ["sep_conv_3x3", 1], ["sep_conv_3x3", 1],
             ["skip_connect", 0], ["skip_connect", 0], ["dil_conv_3x3", 2]], "normal_concat": [2, 3, 4, 5],
  "reduce": [["max_pool_3x3", 0], ["max_pool_3x3", 1], ["skip_connect", 2], ["max_pool_3x3", 1], ["max_pool_3x3", 0],
             ["skip_connect", 2], ["skip_connect", 2], ["max_pool_3x3", 1]], "reduce_concat": [2, 3, 4, 5]})";

Genotype genotype_of(const std::string& json) { return read_genotype(json.data(), json.size()); }

void networks_have_the_papers_sizes() {
  const Genotype v2 = genotype_of(kDartsV2);
  CHECK(derived_graph(v2, {36, 20, 10, 3}, false, 0).num_weights == 3349342);
  CHECK(derived_graph(v2, {48, 14, 1000, 3, Stem::imagenet}, false, 0).num_weights == 4718752);
  CHECK(refused<InvalidArgument>([&] { derived_graph(v2, {1, 14, 1000, 3, Stem::imagenet}, false, 0); },
                                 {"`channels` (=1)"}));
}

bool has(const Graph& graph, const std::string& name, const std::vector<int>& shape) {
  return std::any_of(graph.parameters.begin(), graph.parameters.end(),
                     [&](const Parameter& p) { return p.name == name && p.shape == shape; });
}

void nas_bench_201_has_its_names() {
  const Space space = space_of("\"nas-bench-201\"");
  const Graph graph = supernet_graph(space, {16, 5, 10, 3});
  CHECK(graph.alpha_groups.size() == 1 && graph.alpha_groups[0].rows == 6 && graph.alpha_groups[0].columns == 5);
  CHECK(has(graph, "stem.0.weight", {16, 3, 3, 3}) && has(graph, "stem.1.bias", {16}));
  CHECK(has(graph, "cells.0.edges.1<-0.3.op.1.weight", {16, 16, 3, 3}));
  CHECK(has(graph, "cells.0.edges.1<-0.3.op.1.bias", {16}));
  CHECK(has(graph, "cells.16.edges.3<-2.2.op.1.weight", {64, 64, 1, 1}));
  CHECK(!has(graph, "cells.0.edges.1<-0.3.op.2.weight", {16}));
  CHECK(has(graph, "cells.5.conv_a.op.1.weight", {32, 16, 3, 3}) && has(graph, "cells.5.conv_b.op.2.bias", {32}));
  CHECK(has(graph, "cells.5.downsample.1.weight", {32, 16, 1, 1}));
  CHECK(has(graph, "lastact.0.weight", {64}) && has(graph, "classifier.weight", {10, 64}));
  const Genotype best = genotype_of(R"({"format": "pydarts-genotype", "version": 1, "kind": "convolutional",
      "space": "nas-bench-201", "normal": [["nor_conv_3x3", 0], ["nor_conv_3x3", 0], ["nor_conv_3x3", 1],
      ["skip_connect", 0], ["nor_conv_3x3", 1], ["none", 2]]})");
  const Graph derived = derived_graph(best, {16, 5, 10, 3}, false, 0);
  CHECK(has(derived, "cells.0.layers.4.op.1.weight", {16, 16, 3, 3}) &&
        has(derived, "cells.0.layers.4.op.2.weight", {16}));
  CHECK(!has(derived, "cells.0.layers.4.op.1.bias", {16}));
  // The text as Python writes it: the same again.
  const Genotype again = genotype_of(write_genotype(best));
  CHECK(again.space.name == "nas-bench-201" && again.cells[0].operations == best.cells[0].operations);
  CHECK(write_genotype(genotype_of(kDartsV2)).find("space") == std::string::npos);
}

// As json.dumps does it.
void json_is_written_as_python_does() {
  const std::string json =
      R"({"a": [1, -2.5e3, true, null], "b\"\\\n\u0001\u007f": "\u00e9\u2192\ud83d\ude00", "c": {}})";
  CHECK(write_json(parse_json(json.data(), json.size())) == json);
}

void genotypes_are_checked() {
  const auto bad = [](const std::string& space, const std::string& cell, const std::vector<std::string>& parts) {
    const Genotype genotype = genotype_of(R"({"format": "pydarts-genotype", "version": 1, "kind": "convolutional",
        "space": )" + space + ", " + cell +
                                          "}");
    return refused<InvalidArgument>([&] { derived_graph(genotype, {2, 2, 2, 1}, false, 0); }, parts);
  };
  const std::string s4 = R"("reduce": [["noise", 0], ["noise", 1]], "reduce_concat": [2], "normal_concat": [2], )";
  CHECK(bad("\"s4\"", s4 + R"("normal": [["noise", 0], ["skip_connect", 1]])", {"'s4'", "'skip_connect'"}));
  CHECK(bad("\"s4\"", s4 + R"("normal": [["noise", 0]])", {"`normal` has 1 entries"}));
  CHECK(bad("\"s4\"", s4 + R"("normal": [["noise", 0], ["noise", 2]])", {"`normal` entry 1", "input 2"}));
  CHECK(bad("\"nas-bench-201\"", R"("normal": [["none", 0], ["none", 1], ["none", 0]])", {"entry 1", "input 1"}));
  CHECK(bad("\"s3\"", R"("reduce": [["none", 0], ["skip_connect", 1]], "reduce_concat": [2], "normal_concat": [2],
      "normal": [["skip_connect", 0], ["skip_connect", 1]])",
            {"cannot hold the operation 'none'"}));
  const Genotype flat =
      genotype_of(R"({"format": "pydarts-genotype", "version": 1, "kind": "convolutional", "space": )" +
                  mine("\"skip_connect\"") + R"(, "c": [["skip_connect", 0], ["skip_connect", 1]],
      "c_concat": [2]})");
  CHECK(refused<InvalidArgument>([&] { derived_graph(flat, {2, 2, 2, 1}, true, 0.4); }, {"`auxiliary`", "'mine'"}));
  // An operation of another edge of the same cell, and a node of which no edge is described.
  const std::string by_edge = mine("\"none\"", R"(, "edges": [["skip_connect"], ["noise", "sep_conv_5x5"]])", "",
                                   R"(, "extra_operations": ["sep_conv_3x3"])");
  CHECK(bad(by_edge, R"("c": [["sep_conv_5x5", 0], ["noise", 1]], "c_concat": [2])",
            {"`c` entry 0", "from 0 to node 2", "'sep_conv_5x5'"}));
  CHECK(bad(by_edge, R"("c": [["skip_connect", 0], ["noise", 1], ["noise", 1], ["noise", 1]], "c_concat": [2])",
            {"`c` has more than the 1 nodes"}));
  derived_graph(genotype_of(R"({"format": "pydarts-genotype", "version": 1, "kind": "convolutional", "space": )" +
                            by_edge + R"(, "c": [["sep_conv_3x3", 0], ["sep_conv_5x5", 1]], "c_concat": [2]})"),
                {2, 2, 2, 1}, false, 0);
}

void edges_without_order_are_derived_alike() {
  const Space space = space_of("\"nas-bench-201\"");
  std::vector<double> alphas(30, 0);
  alphas[0 * 5 + 3] = alphas[1 * 5 + 0] = alphas[2 * 5 + 4] = alphas[3 * 5 + 1] = alphas[5 * 5 + 2] = 1;
  const CellGenotype cell = derive_cell(space.cells[0], alphas.data());
  const std::vector<std::pair<std::string, int>> wanted = {{"nor_conv_3x3", 0}, {"none", 0}, {"avg_pool_3x3", 1},
                                                           {"skip_connect", 0}, {"none", 1}, {"nor_conv_1x1", 2}};
  CHECK(cell.operations == wanted && cell.concat.empty());
}

// A network of one cell, and what a pass over images of a size says.
bool refused_by_size(const std::string& space, int height, int width, const std::vector<std::string>& parts,
                     int cells = 1) {
  return refused<InvalidArgument>(
      [&] {
        const Graph graph = supernet_graph(space_of(space), {4, cells, 2, 1});
        check_images(graph, 1, 1, height, width);
        Plan(graph, 1, height, width, true, false);
      },
      parts);
}

void sizes_and_channels_are_checked() {
  CHECK(refused_by_size(mine("\"skip_connect\", " + operation(R"({"conv": 2})")), 6, 6,
                        {"cells.0._ops.0._ops.1", "5 x 5", "cells.0._ops.0._ops.0", "6 x 6"}));
  CHECK(refused_by_size(mine(operation(R"({"avg_pool": 6}, "pointwise")")), 5, 5,
                        {"cells.0._ops.0._ops.0", "5 pixels", "window of 6"}));
  const std::string wider = R"({"cell": "c"}, {"cell": "c", "channels": 2})";
  const std::string one = R"(, "inputs": 1, "preprocessed": false)";
  CHECK(refused_by_size(mine("\"skip_connect\"", one, wider), 6, 6,
                        {"'skip_connect'", "cells.1._ops.0._ops.0", "4", "8"}, 2));
  CHECK(refused_by_size(mine("\"max_pool_3x3\"", one, wider), 6, 6, {"'max_pool_3x3'", "4", "8"}, 2));
  CHECK(
      refused_by_size(mine(operation("\"relu\""), one, R"({"cell": "c", "stride": 2})"), 6, 6, {"'own'", "stride 2"}));
  CHECK(refused_by_size("\"darts-1d\"", 2, 9, {"`height` (=2)"}));
}

std::vector<double> images_of(int count) {
  std::vector<double> images(count);
  Random random(3);
  for (double& pixel : images) pixel = random.normal();
  return images;
}

// d alphas of a supernet over its own images.
std::vector<double> alpha_gradient(Network<double>& network, int samples, int side) {
  const std::vector<double> images = images_of(samples * side * side);
  std::vector<std::int32_t> labels(samples);
  for (int i = 0; i < samples; ++i) labels[i] = i % 2;
  std::vector<double> gradient(network.graph().num_alphas);
  network.evaluate({images.data(), labels.data(), samples, side, side}, network.weights().data(), nullptr,
                   gradient.data());
  return gradient;
}

void missing_operations_have_no_part() {
  const std::string edges = R"(, "edges": [["skip_connect"], ["noise", "sep_conv_3x3", "none"]])";
  const Graph graph = supernet_graph(space_of(mine("\"none\", \"noise\"", edges)), {4, 1, 2, 1});
  CHECK(graph.num_alphas == 6 && graph.alpha_groups[0].rows == 2 && graph.alpha_groups[0].columns == 3);
  Network<double> network(graph, 1, {1});
  const std::vector<double> before = alpha_gradient(network, 3, 6);
  network.alphas()[1] = network.alphas()[2] = 30;  // of operations that are not there
  const std::vector<double> after = alpha_gradient(network, 3, 6);
  CHECK(before == after && after[0] == 0 && after[1] == 0 && after[2] == 0 && after[3] != 0);
}

void noise_is_a_function_of_the_step() {
  const Graph graph = supernet_graph(space_of("\"s4\""), {4, 2, 2, 1});
  Network<double> one(graph, 1, {1}), three(graph, 1, {3});
  const std::vector<double> first = alpha_gradient(one, 3, 8);
  CHECK(alpha_gradient(three, 3, 8) == first && alpha_gradient(one, 3, 8) == first);
  one.keep_statistics();
  one.update_running();
  CHECK(one.noise_step() == 1 && alpha_gradient(one, 3, 8) != first);
  one.set_noise_step(0);
  CHECK(alpha_gradient(one, 3, 8) == first);

  const std::vector<Operation> noise = {{"noise", {{StageKind::noise}}}};
  Network<double> alone(mixed_operation_graph(noise, 3, 2, 2), 1, {2});
  const std::vector<double> images = images_of(4 * 3 * 63 * 63);
  std::vector<double> output(4 * 3 * 32 * 32);
  alone.forward({images.data(), nullptr, 4, 63, 63}, nullptr, output.data());
  double moments[5] = {0, 0, 0, 0, 0};
  for (const double x : output)
    for (int i = 1; i <= 4; ++i) moments[i] += std::pow(x, i) / double(output.size());
  CHECK(std::fabs(moments[1]) < 0.05 && std::fabs(moments[2] - 1) < 0.05 && std::fabs(moments[3]) < 0.15 &&
        std::fabs(moments[4] - 3) < 0.3);
  CHECK(!std::equal(output.begin(), output.begin() + 1024, output.begin() + 1024));  // a channel, and the next one
}

void cells_of_nothing_are_zero() {
  const Genotype none = genotype_of(R"({"format": "pydarts-genotype", "version": 1, "kind": "convolutional",
      "space": "nas-bench-201", "normal": [["none", 0], ["none", 0], ["none", 1], ["none", 0], ["none", 1], ["none", 2]]})");
  const Graph graph = derived_graph(none, {4, 1, 2, 1}, false, 0);
  CHECK(Inference<double>::suits(graph));
  Network<double> network(graph, 1, {2});
  const std::vector<double> images = images_of(3 * 64);
  std::vector<double> logits(6), gradient(graph.num_weights, -1);
  std::vector<double> memory(network.memory(3, 8, 8, false).workspace / sizeof(double) + 8);
  void* workspace = memory.data();
  std::size_t space = memory.size() * sizeof(double);
  std::align(kCacheLine, space - kCacheLine, workspace, space);
  for (bool training : {false, true}) {
    std::fill(memory.begin(), memory.end(), std::nan(""));
    network.use_workspace(workspace, space);
    network.logits({images.data(), nullptr, 3, 8, 8}, training, logits.data());
    network.use_workspace(nullptr, 0);
    CHECK(logits[0] == logits[2] && logits[0] == logits[4] && logits[1] == logits[5]);
  }
  const std::vector<std::int32_t> labels = {0, 1, 1};
  network.evaluate({images.data(), labels.data(), 3, 8, 8}, network.weights().data(), gradient.data(), nullptr);
  CHECK(gradient[0] == 0 && gradient.back() != 0);  // of the stem, and of the classifier's bias
}

// A bias before a batch normalisation: no gradient; it moves the running mean, and evaluation by running statistics.
void biases_enter_the_running_mean() {
  const Graph graph = supernet_graph(space_of("\"nas-bench-201\""), {4, 1, 2, 1});
  const auto bias = std::find_if(graph.parameters.begin(), graph.parameters.end(),
                                 [](const Parameter& p) { return p.name == "cells.0.edges.1<-0.3.op.1.bias"; });
  const auto norm = std::find_if(graph.norms.begin(), graph.norms.end(),
                                 [](const BatchNorm& n) { return n.name == "cells.0.edges.1<-0.3.op.2"; });
  CHECK(bias != graph.parameters.end() && norm != graph.norms.end());
  const std::vector<double> images = images_of(3 * 64);
  const std::vector<std::int32_t> labels = {0, 1, 1};
  const Batch<double> batch{images.data(), labels.data(), 3, 8, 8};
  std::vector<double> gradient(graph.num_weights, -1), means[2], logits[2];
  double losses[2];
  for (int moved : {0, 1}) {
    Network<double> network(graph, 1, {2});
    network.weights()[bias->offset + 1] = moved;
    losses[moved] = network.evaluate(batch, network.weights().data(), gradient.data(), nullptr).value;
    for (std::size_t i = 0; i < bias->size; ++i) CHECK(gradient[bias->offset + i] == 0);
    network.keep_statistics();
    network.update_running();
    const auto running = network.running().begin() + std::ptrdiff_t(norm->running);
    means[moved].assign(running, running + norm->channels);
    logits[moved].resize(6);
    network.running()[norm->running + 1] = moved;
    network.logits(batch, false, logits[moved].data());
  }
  CHECK(losses[0] == losses[1] && means[0][0] == means[1][0]);
  for (int i = 0; i < 6; ++i) CHECK(std::fabs(logits[1][i] - logits[0][i]) < 1e-12);
  CHECK(std::fabs(means[1][1] - means[0][1] - 0.1) < 1e-12);
}

}  // namespace

int main() {
  descriptions_are_checked();
  stages_are_checked();
  layers_follow_from_the_cells();
  networks_have_the_papers_sizes();
  nas_bench_201_has_its_names();
  json_is_written_as_python_does();
  genotypes_are_checked();
  edges_without_order_are_derived_alike();
  sizes_and_channels_are_checked();
  missing_operations_have_no_part();
  noise_is_a_function_of_the_step();
  cells_of_nothing_are_zero();
  biases_enter_the_running_mean();
  return checked();
}

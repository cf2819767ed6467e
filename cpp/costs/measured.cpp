// SPDX-License-Identifier: MIT
#include "costs/measured.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>

#include "core/error.hpp"
#include "network/limits.hpp"
#include "network/network.hpp"

namespace pydarts {
namespace {

constexpr int kChain = 6;  // cells of a chain
constexpr int kTurns = 5;

// Numbers of a call's images, if the network takes them.
std::size_t image_numbers(const Graph& graph, const NetworkShape& shape, int batch) {
  check_images(graph, batch, graph.in_channels, shape.height, shape.width);
  return std::size_t(batch) * graph.in_channels * shape.height * shape.width;
}

// A network with images for a call.
struct Subject {
  Subject(const Genotype& genotype, const NetworkShape& shape, const Measurement& how)
      : network(derived_graph(genotype,
                              {shape.channels, shape.cells, std::max(2, shape.classes), shape.in_channels, shape.stem},
                              false, 0.4),
                0, {how.environment.threads, how.environment.memory}),
        height(shape.height),
        width(shape.width),
        images(image_numbers(network.graph(), shape, how.batch)),
        logits(std::size_t(how.batch) * network.graph().classes) {
    network.set_cancel(how.cancelled);
    Random random(0);
    for (float& pixel : images) pixel = float(random.normal());
  }

  void call(int batch) { network.logits({images.data(), nullptr, batch, height, width}, false, logits.data()); }

  Network<float> network;
  int height, width;
  std::vector<float> images, logits;
};

using Subjects = std::vector<std::unique_ptr<Subject>>;

// The seconds of calls of each network, in evaluation. They take turns, so that a processor that slows down slows all
// of them; a turn begins with a call that does not count: weights and activations are in the caches again, and the
// threads awake.
std::vector<std::vector<double>> measure(const Subjects& subjects, const Measurement& how) {
  using Clock = std::chrono::steady_clock;
  std::vector<std::vector<double>> found(subjects.size());
  const int calls = (how.repeats + kTurns - 1) / kTurns;
  for (int turn = 0; turn < kTurns; ++turn)
    for (std::size_t i = 0; i < subjects.size(); ++i) {
      if (how.cancelled && how.cancelled()) throw Cancelled();
      subjects[i]->call(how.batch);
      for (int k = 0; k < calls; ++k) {
        const Clock::time_point start = Clock::now();
        subjects[i]->call(how.batch);
        found[i].push_back(std::chrono::duration<double>(Clock::now() - start).count());
      }
    }
  return found;
}

// A stem, a row of cells of one edge, and a classifier.
Genotype row_of(const Operation& operation, int dimensions, int stem, int stride, int growth) {
  Cell cell;
  cell.name = "row";
  cell.inputs = cell.nodes = cell.kept_edges = 1;
  cell.preprocessed = cell.concatenates = false;
  cell.keeps_none = true;
  cell.edges = {{operation}};
  Space space;
  space.name = "row";
  space.dimensions = dimensions;
  space.cells = {cell};
  space.stack.stem = stem;
  Layer layer;
  layer.cell = 0;
  layer.stride = stride;
  layer.channels = growth;
  layer.repeat = 0;
  space.stack.layers = {layer};
  return {space, {{{{operation.name, 0}}, {}}}};
}

const Operation& nothing() {
  static const Operation none{"none", {{StageKind::none}}};
  return none;
}

int length_of(const Place& place) { return place.stride == 1 && place.inputs == place.channels ? kChain : 1; }

std::unique_ptr<Subject> chain_of(const Operation& operation, const Place& place, int dimensions,
                                  const Measurement& how) {
  // Of the largest channels of which input and output are multiples.
  const int channels = std::gcd(place.inputs, place.channels);
  const NetworkShape shape{place.height, place.width, channels, length_of(place), 2, 1};
  return std::make_unique<Subject>(
      row_of(operation, dimensions, place.inputs / channels, place.stride, place.channels / channels), shape, how);
}

// Of sorted values, as NumPy interpolates between them.
double quantile(const std::vector<double>& sorted, double part) {
  const double at = part * double(sorted.size() - 1);
  const std::size_t below = std::size_t(at), above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - double(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

Timing summarize(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  return {quantile(samples, 0.5), quantile(samples, 0.25), quantile(samples, 0.75)};
}

std::map<Place, Timing> measure_places(const Space& space, const std::vector<Place>& wanted, const Measurement& how) {
  std::map<Place, std::size_t> known;
  Subjects subjects;
  const auto add = [&](Place place, const Operation& operation) {
    place.operation = operation.name;
    if (!known.emplace(place, subjects.size()).second) return;
    subjects.push_back(chain_of(operation, place, space.dimensions, how));
  };
  for (const Place& place : wanted) {
    add(place, operation_of(space, place.operation));
    add(place, nothing());
  }
  const std::vector<std::vector<double>> seconds = measure(subjects, how);
  std::map<Place, Timing> found;
  for (const Place& place : wanted) {
    Place empty = place;
    empty.operation = nothing().name;
    const double base = summarize(seconds[known.at(empty)]).median;
    std::vector<double> samples = seconds[known.at(place)];
    for (double& sample : samples) sample = (sample - base) / length_of(place);
    found[place] = summarize(std::move(samples));
  }
  return found;
}

std::vector<Timing> measure_genotypes(const std::vector<Genotype>& genotypes, const NetworkShape& shape,
                                      const Measurement& how) {
  Subjects subjects;
  for (const Genotype& genotype : genotypes) subjects.push_back(std::make_unique<Subject>(genotype, shape, how));
  std::vector<Timing> found;
  for (auto& samples : measure(subjects, how)) found.push_back(summarize(std::move(samples)));
  return found;
}

Timing measure_stem(const Space& space, const NetworkShape& shape, const Measurement& how) {
  NetworkShape alone = shape;
  alone.cells = 1;
  Subjects subjects;
  subjects.push_back(
      std::make_unique<Subject>(row_of(nothing(), space.dimensions, space.stack.stem, 1, 1), alone, how));
  return summarize(measure(subjects, how)[0]);
}

}  // namespace pydarts

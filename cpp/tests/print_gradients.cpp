// SPDX-License-Identifier: MIT
// Prints losses, gradients and logits of small networks in both precisions, for every instruction set to be held
// against the others: also one that runs in an emulator, where there is no Python.
#include <array>
#include <cmath>
#include <cstdio>
#include <vector>

#include "core/random.hpp"
#include "kernels/kernels.hpp"
#include "network/network.hpp"
#include "recurrent/recurrent.hpp"

using namespace pydarts;

namespace {

template <class T>
void print(const char* what, const std::vector<T>& values) {
  double sum = 0, squares = 0;
  for (T value : values) {
    sum += value;
    squares += double(value) * value;
  }
  std::printf("%s %zu %.12g %.12g %.12g\n", what, sizeof(T) * 8, sum, std::sqrt(squares), double(values[0]));
}

template <class T>
void run(const char* what, Graph graph, int samples, int height, int width) {
  Network<T> network(std::move(graph), 7, {2});
  const int channels = network.graph().in_channels;
  Random random(3);
  std::vector<T> images(std::size_t(samples) * channels * height * width);
  for (T& pixel : images) pixel = T(random.normal());
  std::vector<std::int32_t> labels(samples);
  for (int i = 0; i < samples; ++i) labels[i] = i % network.graph().classes;
  for (T& alpha : network.alphas()) alpha = T(random.normal());
  std::vector<T> d_weights(network.graph().num_weights), d_alphas(network.graph().num_alphas + 1);
  const Batch<T> batch{images.data(), labels.data(), samples, height, width};
  const Loss loss = network.evaluate(batch, network.weights().data(), d_weights.data(), d_alphas.data());
  print(what, std::vector<T>{T(loss.value)});
  print(what, d_weights);
  print(what, d_alphas);
}

// Images one by one, and one large enough for threads to share its rows.
template <class T>
void run_evaluation(const char* what, const Graph& graph) {
  constexpr int kSamples = 4, kThreads = 3;
  for (const auto& [samples, height, width] : {std::array<int, 3>{kSamples, 9, 11}, {1, 38, 29}}) {
    Network<T> network(graph, 7, {kThreads});
    Random random(3);
    std::vector<T> images(std::size_t(kSamples) * graph.in_channels * height * width);
    for (T& pixel : images) pixel = T(random.normal());
    const std::vector<std::int32_t> labels(kSamples);
    network.evaluate({images.data(), labels.data(), kSamples, height, width}, network.weights().data(), nullptr,
                     nullptr);
    network.keep_statistics();
    network.update_running();
    std::vector<T> logits(samples * graph.classes);
    network.logits({images.data(), nullptr, samples, height, width}, false, logits.data());
    print(what, logits);
  }
}

template <class T>
void run_recurrent(const char* what, const RecurrentCell& cell) {
  constexpr int kVocabulary = 37, kHidden = 21, kLength = 4, kBatch = 5;
  RecurrentNetwork<T> network(cell, kVocabulary, kHidden, {0.2, 0.1, 0.2, 0.1}, 7, 2);
  Random random(3);
  std::vector<std::int32_t> tokens((kLength + 1) * kBatch);
  for (std::int32_t& token : tokens) token = std::int32_t(random.uniform() * kVocabulary);
  std::vector<T> hidden(kBatch * kHidden);
  for (T& value : hidden) value = T(random.normal());
  for (T& weight : network.weights()) weight *= T(5);  // far from where the activations are straight
  for (T& alpha : network.alphas()) alpha = T(random.normal());
  std::vector<T> d_weights(network.num_weights()), d_alphas(network.num_alphas() + 1);
  const Segment<T> segment{tokens.data(), tokens.data() + kBatch, hidden.data(), kLength, kBatch};
  const Loss loss =
      network.evaluate(segment, network.weights().data(), d_weights.data(), d_alphas.data(), nullptr, {0.5, 0.5});
  print(what, std::vector<T>{T(loss.value)});
  print(what, d_weights);
  print(what, d_alphas);
}

template <class T>
void run_all() {
  run<T>("supernet", supernet_graph(darts_space(), {3, 4, 5, 2}), 5, 13, 10);
  const CellGenotype cell{{{"sep_conv_7x7", 0},
                           {"conv_7x1_1x7", 1},
                           {"dil_conv_5x5", 2},
                           {"skip_connect", 0},
                           {"max_pool_3x3", 1},
                           {"avg_pool_3x3", 0}},
                          {2, 3, 4}};
  const Graph derived = derived_graph({darts_space(), {cell, cell}}, {6, 4, 3, 1}, true, 0.4);
  run<T>("derived", derived, 4, 9, 11);
  run_evaluation<T>("derived_evaluation", derived);
  run_recurrent<T>("recurrent_supernet", RecurrentCell::supernet(4));
  run_recurrent<T>("recurrent_derived", {{{0, 1, 0}, {1, 1, 1}, {0, 1, 2}, {2, 1, 3}}, {0, 1, 2, 3}, false});
}

}  // namespace

int main() {
  std::fprintf(stderr, "%s\n", instruction_set().name);
  run_all<double>();
  run_all<float>();
}

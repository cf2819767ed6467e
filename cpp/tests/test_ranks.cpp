// SPDX-License-Identifier: MIT
// Several ranks give the bits of one: passes, steps and evaluations of networks over images, with batches that divide
// evenly and with others, and over text; all of them notice when one is cancelled, or has another network.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>

#include "bilevel/network_oracle.hpp"
#include "bilevel/recurrent_oracle.hpp"
#include "check.hpp"
#include "core/error.hpp"
#include "core/pairs.hpp"
#include "core/random.hpp"
#include "ranks.hpp"

using namespace pydarts;

namespace {

template <class T>
struct Images {
  Images(int samples, int channels, int height, int width, int classes, int seed)
      : pixels(std::size_t(samples) * channels * height * width),
        labels(samples),
        weights(samples),
        batch{pixels.data(), labels.data(), samples, height, width} {
    Random random(seed);
    for (T& pixel : pixels) pixel = T(random.normal());
    for (int i = 0; i < samples; ++i) labels[i] = std::int32_t(random.uniform() * classes);
    for (T& weight : weights) weight = T(0.5 + random.uniform());
    batch.sample_weights = weights.data();
  }
  std::vector<T> pixels;
  std::vector<std::int32_t> labels;
  std::vector<T> weights;
  Batch<T> batch;
};

using Bits = std::vector<unsigned char>;

template <class T>
void append(Bits& bits, const T* values, std::size_t count) {
  const auto* first = reinterpret_cast<const unsigned char*>(values);
  bits.insert(bits.end(), first, first + count * sizeof(T));
}

template <class T>
struct Case {
  const char* name;
  Graph graph;
  int samples, height, width;
  bool recompute;
};

// All that a network gives, of whatever kind.
template <class T>
Bits results(const Case<T>& c, const Communicator& communicator, int threads) {
  const Graph& graph = c.graph;
  // Ranks may begin with different weights: those of rank 0 count.
  Network<T> network(graph, communicator.rank == 0 ? 7 : 8, {threads}, c.recompute);
  network.use_communicator(communicator);
  const Images<T> train(c.samples, graph.in_channels, c.height, c.width, graph.classes, 1);
  const Images<T> valid(c.samples, graph.in_channels, c.height, c.width, graph.classes, 2);
  std::vector<T> drop(std::size_t(graph.droppables) * c.samples);
  for (std::size_t i = 0; i < drop.size(); ++i) drop[i] = T(i % 3 ? 1.25 : 0);
  Bits bits;
  std::vector<T> dw(graph.num_weights), da(graph.num_alphas + 1);
  const auto keep = [&](const Loss& loss) {
    append(bits, &loss.value, 1);
    append(bits, &loss.correct, 1);
    append(bits, dw.data(), dw.size());
    append(bits, da.data(), da.size());
  };
  const T* w = network.weights().data();
  keep(network.evaluate(train.batch, w, dw.data(), da.data(), drop.empty() ? nullptr : drop.data()));
  network.keep_statistics();
  network.update_running();
  keep(network.evaluate(valid.batch, w, nullptr, da.data()));
  keep(network.evaluate(valid.batch, w, nullptr, nullptr));
  std::vector<T> mixture(graph.num_alphas);
  std::vector<std::uint8_t> active(graph.num_alphas);
  for (std::size_t i = 0; i < active.size(); ++i) {
    active[i] = i % 3 == 1;
    mixture[i] = T(active[i]);
  }
  if (!active.empty())
    keep(network.evaluate(train.batch, w, dw.data(), da.data(), nullptr, {mixture.data(), active.data()}));
  std::vector<T> logits(std::size_t(c.samples) * graph.classes);
  for (bool training : {true, false}) {
    network.logits(train.batch, training, logits.data());
    append(bits, logits.data(), logits.size());
  }
  WeightStep<T> weight_step(0.9, 3e-4, 5, graph.num_weights);
  if (graph.num_alphas == 0) {
    const SearchBatches<T> batches{train.batch, valid.batch};
    for (int i = 0; i < 2; ++i) weight_step(oracle_of(network, batches), network.weights().data(), 0.05);
  } else {
    const Vector<T> zeros(graph.num_alphas, T(0));
    BilevelStep<T> step(UnrolledStep{}, false, weight_step, Adam<T>{3e-4, 0.5, 0.999, 1e-3, zeros, zeros, 0});
    const SearchBatches<T> batches{train.batch, valid.batch};
    for (int i = 0; i < 2; ++i) {
      step(oracle_of(network, batches), network.weights().data(), network.alphas().data(), 0.05);
      network.update_running();
    }
  }
  append(bits, network.weights().data(), graph.num_weights);
  append(bits, network.alphas().data(), graph.num_alphas);
  append(bits, network.running().data(), graph.num_running);
  return bits;
}

template <class T>
struct Text {
  Text(int length, int batch, int vocabulary, int hidden, int seed)
      : tokens(std::size_t(length + 1) * batch),
        state(std::size_t(batch) * hidden),
        segment{tokens.data(), tokens.data() + batch, state.data(), length, batch} {
    Random random(seed);
    for (std::int32_t& token : tokens) token = std::int32_t(random.uniform() * vocabulary);
    for (T& value : state) value = T(0.1 * random.normal());
  }
  std::vector<std::int32_t> tokens;
  std::vector<T> state;
  Segment<T> segment;
};

template <class T>
struct TextCase {
  const char* name;
  RecurrentCell cell;
  int length, batch, vocabulary, hidden;
};

template <class T>
Bits results(const TextCase<T>& c, const Communicator& communicator, int threads) {
  RecurrentNetwork<T> network(c.cell, c.vocabulary, c.hidden, {0.3, 0.2, 0.1, 0.1}, communicator.rank == 0 ? 7 : 8,
                              {threads});
  network.use_communicator(communicator);
  const Text<T> train(c.length, c.batch, c.vocabulary, c.hidden, 1), valid(c.length, 3, c.vocabulary, c.hidden, 2);
  const std::size_t weights = network.num_weights(), alphas = network.num_alphas();
  Bits bits;
  std::vector<T> dw(weights), da(alphas + 1);
  const auto keep = [&](const Loss& loss) {
    append(bits, &loss.value, 1);
    append(bits, &loss.correct, 1);
    append(bits, dw.data(), dw.size());
    append(bits, da.data(), da.size());
    append(bits, network.last_hidden().data(), network.last_hidden().size());
  };
  const T* w = network.weights().data();
  const Regularisation regularisation{2, 1};
  T* const of_alphas = alphas ? da.data() : nullptr;
  keep(network.evaluate(train.segment, w, dw.data(), of_alphas, nullptr, regularisation));
  network.keep_statistics();
  network.update_running();
  if (alphas) keep(network.evaluate(valid.segment, w, nullptr, da.data(), nullptr, {}));
  keep(network.evaluate(valid.segment, w, nullptr, nullptr, nullptr, {}));
  keep(network.test(valid.segment));
  std::vector<T> next(std::size_t(valid.segment.batch) * c.vocabulary);
  network.next_probabilities(valid.segment, next.data());
  append(bits, next.data(), next.size());
  WeightStep<T> weight_step(0.9, 3e-4, 5, weights);
  SearchSegments<T> segments{train.segment, valid.segment, regularisation};
  const Vector<T> zeros(alphas, T(0));
  BilevelStep<T> step(UnrolledStep{}, false, weight_step, Adam<T>{3e-4, 0.5, 0.999, 1e-3, zeros, zeros, 0});
  for (int i = 0; i < 2; ++i) {
    if (alphas)
      step(oracle_of(network, segments), network.weights().data(), network.alphas().data(), 0.5);
    else
      weight_step(oracle_of(network, segments), network.weights().data(), 0.5);
    network.update_running();
  }
  append(bits, network.weights().data(), weights);
  append(bits, network.alphas().data(), alphas);
  append(bits, network.running().data(), network.running().size());
  return bits;
}

template <class T, class CaseOf>
void several_ranks_give_the_bits_of_one(const CaseOf& c, const std::vector<int>& sizes = {2, 3}) {
  const Bits one = results<T>(c, Communicator{}, 2);
  for (int size : sizes) {
    Ranks ranks(size);
    std::vector<Bits> found(size);
    ranks.run([&](const Communicator& communicator) {
      found[communicator.rank] = results<T>(c, communicator, 1 + communicator.rank % 2);
    });
    for (int rank = 0; rank < size; ++rank)
      if (found[rank] != one) {
        std::fprintf(stderr, "%s: rank %d of %d\n", c.name, rank, size);
        CHECK(found[rank] == one);
      }
    CHECK(ranks.gathers > 20);
  }
}

Graph derived() {
  const CellGenotype cell{{{"sep_conv_7x7", 0},
                           {"conv_7x1_1x7", 1},
                           {"dil_conv_5x5", 2},
                           {"skip_connect", 0},
                           {"max_pool_3x3", 1},
                           {"avg_pool_3x3", 0}},
                          {2, 3, 4}};
  return derived_graph({darts_space(), {cell, cell}}, {6, 4, 3, 1}, true, 0.4);
}

template <class T>
void supernets() {
  const Graph graph = supernet_graph(darts_space(), {4, 3, 5, 2});
  several_ranks_give_the_bits_of_one<T>(Case<T>{"supernet", graph, 32, 8, 8, false}, {2, 4});
  several_ranks_give_the_bits_of_one<T>(Case<T>{"odd batch", graph, 13, 9, 7, false}, {2, 3, 7});
}

void other_networks() {
  NetworkConfig config{4, 3, 5, 2};
  several_ranks_give_the_bits_of_one<float>(
      Case<float>{"recomputed", supernet_graph(darts_space(), config), 16, 8, 8, true});
  config.auxiliary_skip = true;
  several_ranks_give_the_bits_of_one<float>(
      Case<float>{"auxiliary skips", supernet_graph(darts_space(), config), 16, 8, 8, false});
  config.auxiliary_skip = false;
  config.partial_channels = 2;
  several_ranks_give_the_bits_of_one<float>(
      Case<float>{"partial channels", supernet_graph(darts_space(), config), 16, 8, 8, false});
  several_ranks_give_the_bits_of_one<float>(Case<float>{"derived", derived(), 24, 12, 11, false});
  several_ranks_give_the_bits_of_one<float>(Case<float>{"one image", derived(), 1, 12, 11, false});
}

RecurrentCell derived_cell() { return {{{0, 1, 0}, {1, 1, 1}, {0, 1, 2}, {2, 1, 3}}, {0, 1, 2, 3}, false}; }

template <class T>
void networks_over_text() {
  const RecurrentCell supernet = RecurrentCell::supernet(4);
  several_ranks_give_the_bits_of_one<T>(TextCase<T>{"recurrent supernet", supernet, 5, 6, 40, 70}, {2, 3, 4});
  several_ranks_give_the_bits_of_one<T>(TextCase<T>{"more ranks than parts", supernet, 3, 1, 11, 33}, {3, 5});
  several_ranks_give_the_bits_of_one<T>(TextCase<T>{"recurrent cell", derived_cell(), 5, 6, 40, 70}, {2, 3, 4});
}

// With logits in several chunks.
void long_segments() {
  several_ranks_give_the_bits_of_one<float>(TextCase<float>{"long segments", derived_cell(), 90, 16, 70, 40}, {2, 3});
}

// A rank that holds half of the images has half of their activations. Of a recurrent supernet, where all ranks need the
// states, it has half of the gates, which are most.
void memory_falls_with_the_ranks() {
  const Graph graph = supernet_graph(darts_space(), {8, 4, 5, 3});
  std::size_t bytes[3] = {};
  for (int size : {1, 2}) {
    Ranks ranks(size);
    ranks.run([&](const Communicator& communicator) {
      Network<float> network(graph, 7, {1});
      network.use_communicator(communicator);
      if (communicator.rank == 0) bytes[size] = network.memory(64, 16, 16, true).activations;
    });
  }
  CHECK(double(bytes[2]) < 0.55 * double(bytes[1]));
  for (int size : {1, 2}) {
    Ranks ranks(size);
    ranks.run([&](const Communicator& communicator) {
      RecurrentNetwork<float> network(RecurrentCell::supernet(8), 50, 256, {}, 7, {1});
      network.use_communicator(communicator);
      if (communicator.rank == 0) bytes[size] = network.memory(35, 64, true);
    });
  }
  CHECK(double(bytes[2]) < 0.65 * double(bytes[1]));
}

void a_cancelled_rank_cancels_all() {
  const Graph graph = supernet_graph(darts_space(), {4, 3, 5, 2});
  const Images<float> images(16, 2, 8, 8, 5, 1);
  for (int asked : {0, 1, 40}) {  // how often before it says so
    Ranks ranks(3);
    std::atomic<int> cancelled{0};
    ranks.run([&](const Communicator& communicator) {
      Network<float> network(graph, 7, {2});
      network.use_communicator(communicator);
      int calls = 0;
      if (communicator.rank == 1) network.set_cancel([&] { return calls++ >= asked; });
      std::vector<float> dw(graph.num_weights), da(graph.num_alphas);
      try {
        network.evaluate(images.batch, network.weights().data(), dw.data(), da.data());
      } catch (const Cancelled&) {
        ++cancelled;
      }
      network.set_cancel(nullptr);  // and goes on
      network.evaluate(images.batch, network.weights().data(), dw.data(), da.data());
    });
    CHECK(cancelled == 3);
  }
  const Text<float> text(4, 4, 20, 100, 1);
  for (int asked : {0, 1, 6, 8}) {
    Ranks ranks(3);
    std::atomic<int> cancelled{0};
    ranks.run([&](const Communicator& communicator) {
      RecurrentNetwork<float> network(RecurrentCell::supernet(2), 20, 100, {}, 7, {2});
      network.use_communicator(communicator);
      int calls = 0;
      if (communicator.rank == 1) network.set_cancel([&] { return calls++ >= asked; });
      std::vector<float> dw(network.num_weights()), da(network.num_alphas());
      const auto pass = [&] {
        network.evaluate(text.segment, network.weights().data(), dw.data(), da.data(), nullptr, {});
      };
      try {
        pass();
      } catch (const Cancelled&) {
        ++cancelled;
      }
      network.set_cancel(nullptr);  // and goes on
      pass();
    });
    CHECK(cancelled == 3);
  }
}

template <class Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

void what_cannot_be_is_refused() {
  const Graph graph = supernet_graph(darts_space(), {4, 3, 5, 2}), other = supernet_graph(darts_space(), {8, 3, 5, 2});
  Ranks ranks(2);
  ranks.run([&](const Communicator& communicator) {
    Network<float> network(communicator.rank ? other : graph, 7, {1});
    CHECK(message_of([&] { network.use_communicator(communicator); }).find("rank 1 has another network") == 0);
  });
  ranks.broken = true;
  ranks.run([&](const Communicator& communicator) {
    Network<float> network(graph, 7, {1});
    CHECK(message_of([&] { network.use_communicator(communicator); }) == "the communicator could not gather");
  });
  ranks.broken = false;
  ranks.run([&](const Communicator& communicator) {
    RecurrentNetwork<float> network(derived_cell(), 20, 30 + communicator.rank, {}, 7, {1});
    CHECK(message_of([&] { network.use_communicator(communicator); }).find("rank 1 has another network") == 0);
  });
  Network<float> network(graph, 7, {1});
  CHECK(message_of([&] { network.use_communicator({2, 2, nullptr, nullptr, nullptr}); }) ==
        "the rank (=2) must lie in 0..1");
  CHECK(message_of([&] { network.use_communicator({1, 2, nullptr, nullptr, nullptr}); }) ==
        "several ranks need both functions of the communicator");
  Network<float> operation(
      mixed_operation_graph({*darts_space().find(darts_space().cells[0], "sep_conv_3x3")}, 4, 1, 2), 7, {1});
  CHECK(message_of([&] { operation.use_communicator({0, 2, nullptr, nullptr, nullptr}); }) ==
        "a network without a head is not computed by several ranks");
}

// Whole, and in parts that are added elsewhere, numbers come to the same bits; and to a tree's.
void sums_by_pairs_do_not_depend_on_the_parts() {
  Random random(5);
  for (int count : {1, 2, 3, 5, 6, 7, 8, 11, 13, 16, 61, 128}) {
    std::vector<std::vector<float>> leaves(count, std::vector<float>(300));
    for (auto& leaf : leaves)
      for (float& value : leaf) value = float(random.normal() * std::exp(5 * random.normal()));
    std::vector<float> whole(300);
    add_by_pairs(whole.data(), 300, count, nullptr, [&](int i) { return leaves[i].data(); });
    std::vector<std::vector<float>> tree = leaves;
    while (tree.size() > 1) {
      for (std::size_t i = 0; i + 1 < tree.size(); i += 2)
        for (std::size_t j = 0; j < 300; ++j) tree[i][j] += tree[i + 1][j];
      for (std::size_t i = 0; i < tree.size(); i += 2) tree[i / 2] = tree[i];
      tree.resize((tree.size() + 1) / 2);
    }
    CHECK(whole == tree[0]);
    for (int trial = 0; trial < 20; ++trial) {
      std::vector<int> cuts{0, count};
      for (int i = 0; i < trial % 5; ++i) cuts.push_back(int(random.uniform() * count));
      std::sort(cuts.begin(), cuts.end());
      std::vector<std::vector<float>> parts;
      std::vector<std::uint8_t> levels;
      for (std::size_t i = 0; i + 1 < cuts.size(); ++i)
        for (const PairNode& node : pair_nodes(cuts[i], cuts[i + 1], count)) {
          parts.emplace_back(300);
          levels.push_back(std::uint8_t(node.level));
          add_by_pairs(parts.back().data(), 300, std::min(1 << node.level, cuts[i + 1] - node.first), nullptr,
                       [&](int leaf) { return leaves[node.first + leaf].data(); });
        }
      std::vector<float> joined(300);
      add_by_pairs(joined.data(), 300, int(parts.size()), levels.data(), [&](int i) { return parts[i].data(); });
      CHECK(joined == whole);
    }
  }
}

}  // namespace

int main() {
  sums_by_pairs_do_not_depend_on_the_parts();
  supernets<float>();
  supernets<double>();
  other_networks();
  networks_over_text<float>();
  networks_over_text<double>();
  long_segments();
  memory_falls_with_the_ranks();
  a_cancelled_rank_cancels_all();
  what_cannot_be_is_refused();
  return checked();
}

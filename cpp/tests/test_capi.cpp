// SPDX-License-Identifier: MIT
// The C API does what the engine does, and refuses what makes no sense.
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

#include "bilevel/network_oracle.hpp"
#include "capi.hpp"
#include "check.hpp"
#include "network/network.hpp"
#include "ranks.hpp"

using namespace pydarts;

namespace {

using Floats = std::vector<float>;

Floats copy(const Vector<float>& values) { return Floats(values.begin(), values.end()); }

Graph engine_supernet() { return supernet_graph(darts_space(), {3, 3, 3, 2}); }

Graph engine_derived() {
  const CellGenotype normal{{{"sep_conv_3x3", 0}, {"max_pool_3x3", 1}, {"dil_conv_5x5", 2}, {"skip_connect", 0}},
                            {2, 3}};
  const CellGenotype reduce{{{"avg_pool_3x3", 0}, {"skip_connect", 1}, {"conv_7x1_1x7", 2}, {"max_pool_3x3", 1}},
                            {3, 2}};
  return derived_graph({darts_space(), {normal, reduce}}, {3, 3, 3, 2}, false, 0.4);
}

Batch<float> engine_batch(const capi::Images& images) {
  const pydarts_batch& b = images.batch;
  return {b.images, b.labels, b.samples, b.height, b.width};
}

BilevelStep<float> engine_step(const Graph& graph, int order) {
  UnrolledStep unrolled;
  unrolled.order = order;
  const Vector<float> zeros(graph.num_alphas);
  return BilevelStep<float>(unrolled, false, WeightStep<float>(0.9, 3e-4, 5, graph.num_weights),
                            Adam<float>{3e-4, 0.5, 0.999, 1e-3, zeros, zeros, 0});
}

bool same_state(const capi::Net& net, Network<float>& engine) {
  return capi::values(net, PYDARTS_WEIGHTS) == copy(engine.weights()) &&
         capi::values(net, PYDARTS_ALPHAS) == copy(engine.alphas()) &&
         capi::values(net, PYDARTS_RUNNING) == copy(engine.running());
}

void a_search_is_that_of_the_engine() {
  const capi::Images train(1), valid(2);
  for (int order : {1, 2}) {
    capi::Net net;
    capi::Optimizer optimizer;
    CHECK(capi::supernet(net, capi::runtime(2)) == PYDARTS_OK);
    CHECK(capi::optimizer(optimizer, net, order) == PYDARTS_OK);
    Network<float> engine(engine_supernet(), 11, {2});
    BilevelStep<float> step = engine_step(engine.graph(), order);
    const SearchBatches<float> batches{engine_batch(train), engine_batch(valid)};
    CHECK(same_state(net, engine));

    pydarts_network_info info = capi::info(net);
    CHECK(info.num_weights == engine.graph().num_weights && info.num_alphas == 2 * 14 * 8 && info.threads == 2);
    CHECK(info.classes == 3 && info.in_channels == 2 && info.normalization == 0 && info.num_droppable == 0);

    Floats gradient(info.num_alphas), expected(info.num_alphas);
    CHECK(pydarts_arch_gradient(optimizer.get(), net.get(), &train.batch, &valid.batch, 0.1, gradient.data(),
                                gradient.size()) == PYDARTS_OK);
    step.gradient(oracle_of(engine, batches), engine.weights().data(), 0.1, expected.data());
    CHECK(gradient == expected && gradient != Floats(gradient.size()));

    for (int i = 0; i < 3; ++i) {
      pydarts_step_info seen = {sizeof seen};
      CHECK(pydarts_search_step(optimizer.get(), net.get(), &train.batch, &valid.batch, 0.1, &seen) == PYDARTS_OK);
      const auto wanted = step(oracle_of(engine, batches), engine.weights().data(), engine.alphas().data(), 0.1);
      engine.update_running();
      CHECK(same_state(net, engine));
      CHECK(seen.train_loss == wanted.train.value && seen.valid_loss == wanted.valid.value);
      CHECK(seen.train_correct == wanted.train.correct && seen.valid_correct == wanted.valid.correct);
      CHECK(seen.gradient_norm == wanted.gradient_norm && seen.alpha_gradient_norm == wanted.alpha_gradient_norm);
    }

    for (bool training : {false, true}) {
      Floats logits(3 * 3), wanted(3 * 3);
      CHECK(pydarts_logits(net.get(), &train.batch, training, logits.data(), logits.size()) == PYDARTS_OK);
      engine.logits(engine_batch(train), training, wanted.data());
      CHECK(logits == wanted);
    }
    Floats dw(info.num_weights), da(info.num_alphas), wanted_w(info.num_weights), wanted_a(info.num_alphas);
    pydarts_loss loss = {sizeof loss};
    CHECK(pydarts_gradients(net.get(), &train.batch, dw.data(), dw.size(), da.data(), da.size(), &loss) == PYDARTS_OK);
    const Loss wanted = engine.evaluate(engine_batch(train), engine.weights().data(), wanted_w.data(), wanted_a.data());
    CHECK(dw == wanted_w && da == wanted_a && loss.value == wanted.value && loss.correct == wanted.correct);
  }
}

void a_mixture_is_that_of_the_engine() {
  capi::Images train(1);
  capi::Net net;
  capi::Optimizer optimizer;
  CHECK(capi::supernet(net, capi::runtime(2)) == PYDARTS_OK);
  CHECK(capi::optimizer(optimizer, net) == PYDARTS_OK);
  Network<float> engine(engine_supernet(), 11, {2});
  BilevelStep<float> step = engine_step(engine.graph(), 2);
  const Graph& graph = engine.graph();
  Floats mixing(graph.num_alphas), targets(9);
  std::vector<std::uint8_t> active(graph.num_alphas);
  for (std::size_t i = 0; i < mixing.size(); ++i) {
    mixing[i] = 0.1f * float(1 + i % 7);
    active[i] = i % 8 == i / 8 % 8;
  }
  for (std::size_t i = 0; i < targets.size(); ++i) targets[i] = 0.25f * float(i % 4);
  train.batch.labels = nullptr;
  train.batch.targets = targets.data();
  train.batch.mixing = mixing.data();
  train.batch.active = active.data();
  train.batch.num_mixing = mixing.size();
  Batch<float> batch = engine_batch(train);
  batch.targets = targets.data();
  const Mixture<float> mixture{mixing.data(), active.data()};
  const SearchBatches<float> batches{batch, batch, nullptr, mixture};

  Floats dw(graph.num_weights), da(graph.num_alphas), wanted_w(graph.num_weights), wanted_a(graph.num_alphas);
  pydarts_loss loss = {sizeof loss}, value = {sizeof value};
  CHECK(pydarts_gradients(net.get(), &train.batch, dw.data(), dw.size(), da.data(), da.size(), &loss) == PYDARTS_OK);
  const Loss wanted =
      engine.evaluate(batch, engine.weights().data(), wanted_w.data(), wanted_a.data(), nullptr, mixture);
  CHECK(dw == wanted_w && da == wanted_a && loss.value == wanted.value && loss.correct == wanted.correct);
  for (std::size_t i = 0; i < da.size(); ++i) CHECK(active[i] || da[i] == 0);
  CHECK(da != Floats(da.size()));
  CHECK(pydarts_gradients(net.get(), &train.batch, nullptr, 0, nullptr, 0, &value) == PYDARTS_OK);
  CHECK(value.value == loss.value && value.correct == loss.correct);
  for (bool training : {false, true}) {
    Floats logits(9), expected(9);
    CHECK(pydarts_logits(net.get(), &train.batch, training, logits.data(), logits.size()) == PYDARTS_OK);
    engine.logits(batch, training, expected.data(), mixture);
    CHECK(logits == expected);
  }
  for (int i = 0; i < 2; ++i) {
    CHECK(pydarts_weight_step(optimizer.get(), net.get(), &train.batch, 0.1, nullptr) == PYDARTS_OK);
    step.weights()(oracle_of(engine, batches), engine.weights().data(), 0.1);
    engine.update_running();
    CHECK(same_state(net, engine));
  }

  const auto refused = [&](auto change, const char* message) {
    pydarts_batch bad = train.batch;
    change(bad);
    CHECK(pydarts_gradients(net.get(), &bad, nullptr, 0, nullptr, 0, nullptr) == PYDARTS_INVALID_ARGUMENT);
    CHECK(capi::error_is(net, message));
  };
  refused([](pydarts_batch& b) { b.num_mixing = 3; }, "`mixing` has 3 values, not 224");
  refused([](pydarts_batch& b) { b.mixing = nullptr; }, "`batch->mixing` is null, but not `active` or `num_mixing`");
  Floats infinite = mixing;
  infinite[5] = std::numeric_limits<float>::infinity();
  refused([&](pydarts_batch& b) { b.mixing = infinite.data(); }, "`mixing[5]` (=inf) must be finite");
  Floats negative = targets;
  negative[4] = -1;
  refused([&](pydarts_batch& b) { b.targets = negative.data(); },
          "target -1 of class 1 of sample 1 must be at least 0 and finite");
  CHECK(pydarts_search_step(optimizer.get(), net.get(), &train.batch, &train.batch, 0.1, nullptr) ==
        PYDARTS_INVALID_ARGUMENT);
  CHECK(std::strcmp(pydarts_optimizer_error(optimizer.get()),
                    "`train->mixing`, `valid->mixing` must be null: a search step learns the alphas") == 0);
  capi::Net derived;
  CHECK(capi::derived(derived, capi::runtime()) == PYDARTS_OK);
  CHECK(pydarts_gradients(derived.get(), &train.batch, nullptr, 0, nullptr, 0, nullptr) == PYDARTS_INVALID_ARGUMENT);
  CHECK(capi::error_is(derived, "`batch->mixing` must be null: the network is no supernet"));
}

void training_is_that_of_the_engine() {
  capi::Images train(1);
  capi::Net net;
  capi::Optimizer optimizer;
  CHECK(capi::derived(net, capi::runtime()) == PYDARTS_OK);
  CHECK(capi::optimizer(optimizer, net) == PYDARTS_OK);
  Network<float> engine(engine_derived(), 11, {1});
  BilevelStep<float> step = engine_step(engine.graph(), 2);
  const int rows = capi::info(net).num_droppable;
  CHECK(rows == engine.graph().droppables && rows > 0);
  Floats drop(std::size_t(rows) * 3);
  for (std::size_t i = 0; i < drop.size(); ++i) drop[i] = i % 3 ? 1.25f : 0;
  const SearchBatches<float> batches{engine_batch(train), engine_batch(train), drop.data()};
  train.batch.drop = drop.data();
  train.batch.num_drop = drop.size() - 1;
  CHECK(pydarts_weight_step(optimizer.get(), net.get(), &train.batch, 0.1, nullptr) == PYDARTS_INVALID_ARGUMENT);
  train.batch.num_drop = drop.size();
  for (int i = 0; i < 2; ++i) {
    pydarts_step_info seen = {sizeof seen};
    CHECK(pydarts_weight_step(optimizer.get(), net.get(), &train.batch, 0.1, &seen) == PYDARTS_OK);
    const Loss loss = step.weights()(oracle_of(engine, batches), engine.weights().data(), 0.1);
    engine.update_running();
    CHECK(same_state(net, engine));
    CHECK(seen.train_loss == loss.value && seen.train_correct == loss.correct && seen.gradient_norm > 0);
  }
  CHECK(pydarts_search_step(optimizer.get(), net.get(), &train.batch, &train.batch, 0.1, nullptr) ==
        PYDARTS_INVALID_ARGUMENT);
  CHECK(std::strcmp(pydarts_optimizer_error(optimizer.get()), "`network` is no supernet: it has no alphas") == 0);
}

void texts_are_given_in_two_calls() {
  capi::Net net, again;
  CHECK(capi::supernet(net, capi::runtime()) == PYDARTS_OK);
  std::size_t needed = 0;
  CHECK(pydarts_network_genotype(net.get(), nullptr, 0, &needed) == PYDARTS_OK);
  std::string text(needed, '?');
  CHECK(pydarts_network_genotype(net.get(), &text[0], needed - 1, nullptr) == PYDARTS_TOO_SMALL);
  CHECK(text == std::string(needed, '?'));
  CHECK(pydarts_network_genotype(net.get(), &text[0], needed, nullptr) == PYDARTS_OK);
  CHECK(text.back() == '\0' && text.find('\0') == needed - 1);

  const pydarts_network_options options = capi::options();
  pydarts_network* made;
  char message[200];
  CHECK(pydarts_derived_create(text.data(), needed - 1, &options, nullptr, &made, message, sizeof message) ==
        PYDARTS_OK);
  again.reset(made);
  std::string same(needed, '?');
  CHECK(pydarts_network_genotype(again.get(), &same[0], needed, &needed) == PYDARTS_OK && same == text);

  char label[8];
  CHECK(pydarts_network_label(net.get(), 2, label, sizeof label, &needed) == PYDARTS_OK);
  CHECK(std::strcmp(label, "2") == 0 && needed == 2);
  CHECK(pydarts_network_label(net.get(), 3, label, sizeof label, &needed) == PYDARTS_INVALID_ARGUMENT);
  CHECK(capi::error_is(net, "`index` (=3) must lie in 0..2"));
}

void tensors_cover_all_values() {
  capi::Net net;
  CHECK(capi::supernet(net, capi::runtime()) == PYDARTS_OK);
  const pydarts_network_info info = capi::info(net);
  std::size_t covered[3] = {};
  for (std::size_t i = 0; i < info.num_tensors; ++i) {
    pydarts_tensor t = {sizeof t};
    CHECK(pydarts_network_tensor(net.get(), i, &t) == PYDARTS_OK);
    CHECK(t.offset == covered[t.kind]);
    std::size_t size = 1;
    for (int axis = 0; axis < t.ndim; ++axis) size *= t.shape[axis];
    CHECK(size == t.count);
    covered[t.kind] += t.count;
    if (i == 0) CHECK(std::strcmp(t.name, "stem.0.weight") == 0 && t.ndim == 4 && t.shape[0] == 9 && t.shape[1] == 2);
    if (i + 1 == info.num_tensors) CHECK(std::strcmp(t.name, "reduce") == 0 && t.shape[0] == 14 && t.shape[1] == 8);
  }
  CHECK(covered[PYDARTS_WEIGHTS] == info.num_weights && covered[PYDARTS_ALPHAS] == info.num_alphas);
  CHECK(covered[PYDARTS_RUNNING] == info.num_running);
  pydarts_tensor t = {sizeof t};
  CHECK(pydarts_network_tensor(net.get(), info.num_tensors, &t) == PYDARTS_INVALID_ARGUMENT);
}

// Several labels and numbers, with weights of the samples.
void other_losses_are_those_of_the_engine() {
  for (std::int32_t loss = PYDARTS_CROSS_ENTROPY; loss <= PYDARTS_HUBER; ++loss) {
    pydarts_network_options options = capi::options();
    options.loss = loss;
    options.huber_delta = 0.3;
    pydarts_network* made;
    CHECK(pydarts_supernet_create(&options, nullptr, &made, nullptr, 0) == PYDARTS_OK);
    capi::Net net(made);
    CHECK(capi::info(net).loss == loss);
    NetworkConfig config{3, 3, 3, 2};
    config.loss = {LossKind(loss), 0.3};
    Network<float> engine(supernet_graph(darts_space(), config), 11, {1});
    capi::Images train(1);
    const Floats targets = {0, 1, 0.5, 1, 1, 0, 0, 0.25, 1}, weights = {0.5, 0, 2};
    train.batch.targets = targets.data();
    train.batch.sample_weights = weights.data();
    Batch<float> batch = engine_batch(train);
    batch.targets = targets.data();
    batch.sample_weights = weights.data();
    const Graph& graph = engine.graph();
    Floats dw(graph.num_weights), da(graph.num_alphas), wanted_w(graph.num_weights), wanted_a(graph.num_alphas);
    pydarts_loss found = {sizeof found}, plain = {sizeof plain};
    CHECK(pydarts_gradients(net.get(), &train.batch, dw.data(), dw.size(), da.data(), da.size(), &found) == PYDARTS_OK);
    const Loss wanted = engine.evaluate(batch, engine.weights().data(), wanted_w.data(), wanted_a.data());
    CHECK(dw == wanted_w && da == wanted_a && found.value == wanted.value && found.correct == wanted.correct);
    train.batch.sample_weights = nullptr;
    CHECK(pydarts_gradients(net.get(), &train.batch, nullptr, 0, nullptr, 0, &plain) == PYDARTS_OK);
    CHECK(plain.value != found.value);
    const Floats none(3), negative = {1, -1, 1};
    for (const Floats* bad : {&none, &negative}) {
      train.batch.sample_weights = bad->data();
      CHECK(pydarts_gradients(net.get(), &train.batch, nullptr, 0, nullptr, 0, nullptr) == PYDARTS_INVALID_ARGUMENT);
    }
    CHECK(capi::error_is(net, "weight -1 of sample 1 must be at least 0 and finite"));
    train.batch.sample_weights = nullptr;
    train.batch.targets = nullptr;  // labels
    const pydarts_status labels = loss == PYDARTS_CROSS_ENTROPY ? PYDARTS_OK : PYDARTS_INVALID_ARGUMENT;
    CHECK(pydarts_gradients(net.get(), &train.batch, nullptr, 0, nullptr, 0, nullptr) == labels);

    Floats logits = {-1, 0, 100, -1000, 0.5, 0}, predictions(6);
    CHECK(pydarts_predictions(net.get(), logits.data(), 6, predictions.data()) == PYDARTS_OK);
    if (loss == PYDARTS_CROSS_ENTROPY) CHECK(predictions[2] == 1 && std::fabs(predictions[4] - 0.6224593f) < 1e-6f);
    if (loss == PYDARTS_SIGMOID) CHECK(predictions[1] == 0.5f && predictions[3] == 0 && predictions[2] == 1);
    if (loss >= PYDARTS_MSE) CHECK(predictions == logits);
    CHECK(pydarts_predictions(net.get(), logits.data(), 5, predictions.data()) == PYDARTS_INVALID_ARGUMENT);
  }
  pydarts_network_options options = capi::options();
  pydarts_network* made;
  options.loss = 4;
  CHECK(pydarts_supernet_create(&options, nullptr, &made, nullptr, 0) == PYDARTS_INVALID_ARGUMENT);
  options.loss = PYDARTS_HUBER;
  options.huber_delta = 0;
  CHECK(pydarts_supernet_create(&options, nullptr, &made, nullptr, 0) == PYDARTS_INVALID_ARGUMENT);
  options.size = offsetof(pydarts_network_options, huber_delta);  // as before there were losses
  CHECK(pydarts_supernet_create(&options, nullptr, &made, nullptr, 0) == PYDARTS_OK);
  CHECK(capi::info(capi::Net(made)).loss == PYDARTS_CROSS_ENTROPY);
}

void structs_may_be_of_an_older_header() {
  const pydarts_network_options options = capi::options();
  pydarts_network_options old = options;
  old.size = offsetof(pydarts_network_options, recompute);
  old.recompute = old.auxiliary = 77;  // not looked at
  pydarts_network* made;
  char message[200];
  CHECK(pydarts_supernet_create(&old, nullptr, &made, message, sizeof message) == PYDARTS_OK);
  capi::Net net(made);
  old.size = sizeof old + 1;
  CHECK(pydarts_supernet_create(&old, nullptr, &made, message, sizeof message) == PYDARTS_INVALID_ARGUMENT);
  CHECK(!made && std::strncmp(message, "`options->size` (=", 18) == 0);

  pydarts_network_info info;
  std::memset(&info, 0x55, sizeof info);
  info.size = offsetof(pydarts_network_info, classes);
  CHECK(pydarts_network_get_info(net.get(), &info) == PYDARTS_OK);
  CHECK(info.num_alphas == 2 * 14 * 8 && info.classes == 0x55555555 &&
        info.size == offsetof(pydarts_network_info, classes));
}

Floats logits_of(const capi::Net& net) {
  const capi::Images images(5);
  Floats logits(9);
  CHECK(pydarts_logits(net.get(), &images.batch, 1, logits.data(), logits.size()) == PYDARTS_OK);
  return logits;
}

// Supernets of DARTS- and PC-DARTS.
void skips_and_parts_are_taken() {
  pydarts_network_options options = capi::options();
  pydarts_network* made;
  char message[200];
  const auto create = [&] { return pydarts_supernet_create(&options, nullptr, &made, message, sizeof message); };
  CHECK(create() == PYDARTS_OK);
  capi::Net plain(made);
  CHECK(pydarts_network_set_skip_weight(plain.get(), 1) == PYDARTS_INVALID_ARGUMENT);
  options.auxiliary_skip = 1;
  CHECK(create() == PYDARTS_OK);
  capi::Net skips(made);
  const Floats whole = logits_of(skips);
  CHECK(pydarts_network_set_skip_weight(skips.get(), -1) == PYDARTS_INVALID_ARGUMENT);
  CHECK(pydarts_network_set_skip_weight(skips.get(), std::nan("")) == PYDARTS_INVALID_ARGUMENT);
  CHECK(logits_of(skips) == whole);
  CHECK(pydarts_network_set_skip_weight(skips.get(), 0) == PYDARTS_OK);
  CHECK(logits_of(skips) != whole);
  CHECK(pydarts_derived_create(capi::kGenotype, sizeof(capi::kGenotype) - 1, &options, nullptr, &made, message,
                               sizeof message) == PYDARTS_INVALID_ARGUMENT);
  options.auxiliary_skip = 2;
  CHECK(create() == PYDARTS_INVALID_ARGUMENT);

  options = capi::options();
  options.partial_channels = 2;  // of 3 channels
  CHECK(create() == PYDARTS_INVALID_ARGUMENT && std::strstr(message, "`partial_channels` (=2)"));
  options.channels = 4;
  CHECK(create() == PYDARTS_OK);
  capi::Net parts(made);
  CHECK(capi::info(parts).num_alphas == 2 * 14 * 8 + 2 * 4 * 5);
  Floats alphas(capi::info(parts).num_alphas, 0);
  int groups = 0;
  pydarts_tensor tensor = {sizeof tensor};
  for (std::size_t i = 0; pydarts_network_tensor(parts.get(), i, &tensor) == PYDARTS_OK; ++i) {
    if (tensor.kind != PYDARTS_ALPHAS || std::strcmp(tensor.name, "normal.edges") != 0) continue;
    CHECK(tensor.shape[0] == 4 && tensor.shape[1] == 5);
    alphas[tensor.offset + 5] = 0.5f;  // the second node: of its inputs 2 first, then 0
    alphas[tensor.offset + 7] = 1;
    ++groups;
  }
  CHECK(groups == 1);
  CHECK(pydarts_network_set(parts.get(), PYDARTS_ALPHAS, alphas.data(), alphas.size()) == PYDARTS_OK);
  char genotype[1000];
  CHECK(pydarts_network_genotype(parts.get(), genotype, sizeof genotype, nullptr) == PYDARTS_OK);
  const std::string first = "[\"max_pool_3x3\", ";
  CHECK(std::strstr(genotype, (first + "0], " + first + "1], " + first + "2], " + first + "0], ").c_str()));
  CHECK(logits_of(parts).size() == 9);
}

// The options that came with the spaces.
void spaces_are_taken() {
  pydarts_network_options options = capi::options();
  pydarts_network* made;
  char message[200];
  const auto with = [&](const char* space) {
    options.space = space;
    options.space_size = space ? std::strlen(space) : 0;
    return pydarts_supernet_create(&options, nullptr, &made, message, sizeof message);
  };
  CHECK(with("\"nas-bench-201\"") == PYDARTS_OK);
  capi::Net net(made);
  CHECK(capi::info(net).num_alphas == 30);
  pydarts_tensor tensor = {sizeof tensor};
  CHECK(pydarts_network_tensor(net.get(), 3, &tensor) == PYDARTS_OK);
  CHECK(std::strcmp(tensor.name, "cells.0.edges.1<-0.2.op.1.weight") == 0);
  Floats alphas(30, 0);
  alphas[3] = 1;
  CHECK(pydarts_network_set(net.get(), PYDARTS_ALPHAS, alphas.data(), alphas.size()) == PYDARTS_OK);
  char genotype[1000];
  CHECK(pydarts_network_genotype(net.get(), genotype, sizeof genotype, nullptr) == PYDARTS_OK);
  CHECK(std::strstr(genotype, "\"space\": \"nas-bench-201\"") && std::strstr(genotype, "[[\"nor_conv_3x3\", 0], "));
  options = capi::options();
  CHECK(pydarts_derived_create(genotype, std::strlen(genotype), &options, nullptr, &made, nullptr, 0) == PYDARTS_OK);
  CHECK(capi::Net(made) != nullptr);
  CHECK(with("\"darts") == PYDARTS_BAD_FILE && std::strncmp(message, "`options->space`: ", 18) == 0);
  CHECK(with("\"dart\"") == PYDARTS_BAD_FILE);
  CHECK(with("\"darts\"") == PYDARTS_OK);
  CHECK(capi::info(capi::Net(made)).num_alphas == 2 * 14 * 8);
  CHECK(pydarts_derived_create(genotype, std::strlen(genotype), &options, nullptr, &made, message, sizeof message) ==
        PYDARTS_INVALID_ARGUMENT);  // which has a space of its own
  options.imagenet_stem = 2;
  CHECK(with(nullptr) == PYDARTS_INVALID_ARGUMENT);
  options.imagenet_stem = 1;
  CHECK(with(nullptr) == PYDARTS_OK);
  capi::Net large(made);
  CHECK(pydarts_network_tensor(large.get(), 0, &tensor) == PYDARTS_OK &&
        std::strcmp(tensor.name, "stem0.0.weight") == 0);
  std::string description = capi::kDescription;
  description.replace(description.find("\"auxiliary\": false"), 18, "\"stem\": \"ImageNet\", \"auxiliary\": false");
  CHECK(pydarts_model_read(description.data(), description.size(), "", 0, nullptr, &made, message, sizeof message) ==
        PYDARTS_BAD_FILE);
  CHECK(std::strstr(message, "`stem` (=ImageNet)"));
}

void nonsense_is_refused() {
  const capi::Images images(1);
  capi::Net net;
  capi::Optimizer optimizer;
  CHECK(capi::supernet(net, capi::runtime()) == PYDARTS_OK);
  CHECK(capi::optimizer(optimizer, net) == PYDARTS_OK);
  const auto before = capi::state(net);
  Floats logits(9);
  const auto refused = [&](auto change, const char* message) {
    pydarts_batch batch = images.batch;
    change(batch);
    pydarts_loss loss = {sizeof loss};
    CHECK(pydarts_gradients(net.get(), &batch, nullptr, 0, nullptr, 0, &loss) == PYDARTS_INVALID_ARGUMENT);
    CHECK(capi::error_is(net, message));
  };
  refused([](pydarts_batch& b) { b.samples = 0; }, "`samples` (=0) must lie in 1..16777216");
  refused([](pydarts_batch& b) { b.height = -1; }, "`height` (=-1) must lie in 1..16384");
  refused([](pydarts_batch& b) { b.channels = 3; }, "images have 3 channels; the network takes 2");
  refused([](pydarts_batch& b) { b.images = nullptr; }, "`batch->images` is null");
  refused([](pydarts_batch& b) { b.labels = nullptr; }, "`batch->labels` is null");
  const std::int32_t wrong[] = {0, 3, 0};
  refused([&](pydarts_batch& b) { b.labels = wrong; }, "label 3 is not in 0..2");

  CHECK(pydarts_logits(net.get(), &images.batch, 0, logits.data(), 8) == PYDARTS_INVALID_ARGUMENT);
  CHECK(capi::error_is(net, "`logits` has 8 values, not 9"));
  CHECK(pydarts_logits(net.get(), &images.batch, 0, nullptr, 9) == PYDARTS_INVALID_ARGUMENT);
  CHECK(capi::error_is(net, "`logits` is null"));
  CHECK(pydarts_logits(net.get(), &images.batch, 0, logits.data(), 9) == PYDARTS_OK);
  CHECK(capi::error_is(net, ""));
  CHECK(pydarts_logits(nullptr, &images.batch, 0, logits.data(), 9) == PYDARTS_INVALID_ARGUMENT);
  CHECK(std::strcmp(pydarts_network_error(nullptr), "the handle is null") == 0);

  Floats weights = before[0];
  weights[5] = std::numeric_limits<float>::infinity();
  CHECK(pydarts_network_set(net.get(), PYDARTS_WEIGHTS, weights.data(), weights.size()) == PYDARTS_INVALID_ARGUMENT);
  CHECK(capi::error_is(net, "`values[5]` (=inf) must be finite"));
  Floats running = capi::values(net, PYDARTS_RUNNING);
  running.back() = -1;  // the last of the variances
  CHECK(pydarts_network_set(net.get(), PYDARTS_RUNNING, running.data(), running.size()) == PYDARTS_INVALID_ARGUMENT);
  CHECK(std::strstr(pydarts_network_error(net.get()), "` (=-1) is a variance of '"));
  CHECK(pydarts_network_set(net.get(), pydarts_kind(3), weights.data(), weights.size()) == PYDARTS_INVALID_ARGUMENT);

  capi::Images bad(1);
  bad.pixels[0] = std::numeric_limits<float>::quiet_NaN();
  CHECK(pydarts_search_step(optimizer.get(), net.get(), &bad.batch, &images.batch, 0.1, nullptr) == PYDARTS_NOT_FINITE);
  CHECK(pydarts_search_step(optimizer.get(), net.get(), &images.batch, &images.batch, -1, nullptr) ==
        PYDARTS_INVALID_ARGUMENT);
  CHECK(std::strcmp(pydarts_optimizer_error(optimizer.get()), "`lr` (=-1) must be at least 0 and finite") == 0);
  CHECK(capi::state(net) == before);

  const auto options_refused = [&](auto change) {
    pydarts_network_options options = capi::options();
    change(options);
    pydarts_network* made = net.get();
    char message[6] = "?????";
    CHECK(pydarts_supernet_create(&options, nullptr, &made, message, sizeof message) == PYDARTS_INVALID_ARGUMENT);
    CHECK(!made && message[0] == '`' && message[5] == '\0');
  };
  options_refused([](pydarts_network_options& o) { o.channels = 0; });
  options_refused([](pydarts_network_options& o) { o.cells = -1; });
  options_refused([](pydarts_network_options& o) { o.classes = 1; });
  options_refused([](pydarts_network_options& o) { o.in_channels = 1 << 30; });
  options_refused([](pydarts_network_options& o) { o.recompute = 2; });
  options_refused([](pydarts_network_options& o) { o.auxiliary = 1; });
  pydarts_optimizer_options options = {sizeof options};
  CHECK(pydarts_optimizer_options_defaults(&options) == PYDARTS_OK);
  options.order = 1;
  options.reuse_gradient = 1;
  pydarts_optimizer* made;
  CHECK(pydarts_optimizer_create(net.get(), &options, &made, nullptr, 0) == PYDARTS_INVALID_ARGUMENT && !made);
  capi::Net derived;
  CHECK(capi::derived(derived, capi::runtime()) == PYDARTS_OK);
  CHECK(pydarts_weight_step(optimizer.get(), derived.get(), &images.batch, 0.1, nullptr) ==
        PYDARTS_INVALID_ARGUMENT);  // an optimizer for another network
}

struct Caller {
  capi::Net* net;
  int asked = 0, cancel_at = -1;
  pydarts_status inside = PYDARTS_OK;
};

void a_call_can_be_cancelled() {
  const capi::Images train(1), valid(2);
  Caller caller;
  capi::Net net;
  capi::Optimizer optimizer;
  caller.net = &net;
  pydarts_runtime runtime = capi::runtime(2);
  runtime.user = &caller;
  runtime.cancel = [](void* user) {
    Caller& c = *static_cast<Caller*>(user);
    c.inside = pydarts_network_destroy(c.net->get());
    return int(c.asked++ == c.cancel_at);
  };
  CHECK(capi::supernet(net, runtime) == PYDARTS_OK);
  CHECK(capi::optimizer(optimizer, net) == PYDARTS_OK);
  const auto step = [&] {
    caller.asked = 0;
    return pydarts_search_step(optimizer.get(), net.get(), &train.batch, &valid.batch, 0.1, nullptr);
  };
  const auto before = capi::state(net);
  caller.cancel_at = 1 << 30;
  capi::Net plain;
  capi::Optimizer plain_optimizer;
  CHECK(capi::supernet(plain, capi::runtime()) == PYDARTS_OK);
  CHECK(capi::optimizer(plain_optimizer, plain) == PYDARTS_OK);
  CHECK(pydarts_search_step(plain_optimizer.get(), plain.get(), &train.batch, &valid.batch, 0.1, nullptr) ==
        PYDARTS_OK);
  for (int at : {0, 1, 7, 40, 100}) {
    caller.cancel_at = at;
    CHECK(step() == PYDARTS_CANCELLED);
    CHECK(capi::state(net) == before);
    CHECK(caller.inside == PYDARTS_BUSY);
  }
  caller.cancel_at = -1;
  CHECK(step() == PYDARTS_OK);
  CHECK(caller.asked > 100);
  CHECK(capi::state(net) == capi::state(plain));
}

void two_handles_work_in_two_threads() {
  const capi::Images train(1), valid(2);
  const auto work = [&](int threads, std::vector<Floats>& result) {
    capi::Net net;
    capi::Optimizer optimizer;
    CHECK(capi::supernet(net, capi::runtime(threads)) == PYDARTS_OK);
    CHECK(capi::optimizer(optimizer, net) == PYDARTS_OK);
    for (int i = 0; i < 3; ++i)
      CHECK(pydarts_search_step(optimizer.get(), net.get(), &train.batch, &valid.batch, 0.1, nullptr) == PYDARTS_OK);
    result = capi::state(net);
  };
  std::vector<Floats> alone, first, second;
  work(1, alone);
  std::thread a([&] { work(2, first); }), b([&] { work(1, second); });
  a.join();
  b.join();
  CHECK(first == alone && second == alone);
}

void a_workspace_is_lent() {
  const capi::Images images(1);
  capi::Net net, plain;
  CHECK(capi::supernet(net, capi::runtime(2)) == PYDARTS_OK);
  CHECK(capi::supernet(plain, capi::runtime(2)) == PYDARTS_OK);
  std::size_t bytes = 0;
  CHECK(pydarts_workspace_size(net.get(), 3, 6, 7, 1, &bytes) == PYDARTS_OK);
  void* memory = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  Floats given(capi::info(net).num_weights), usual(given.size());
  const auto pass = [&](const capi::Net& at, Floats& to) {
    return pydarts_gradients(at.get(), &images.batch, to.data(), to.size(), nullptr, 0, nullptr);
  };
  CHECK(pydarts_workspace_set(net.get(), memory, bytes) == PYDARTS_OK);
  CHECK(pass(net, given) == PYDARTS_OK && pass(plain, usual) == PYDARTS_OK && given == usual);
  CHECK(pydarts_workspace_set(net.get(), memory, bytes - 1) == PYDARTS_OK);
  CHECK(pass(net, given) == PYDARTS_INVALID_ARGUMENT);
  std::size_t forward = 0;  // of a loss without gradients
  CHECK(pydarts_workspace_size(net.get(), 3, 6, 7, 0, &forward) == PYDARTS_OK && forward < bytes);
  CHECK(pydarts_workspace_set(net.get(), memory, forward) == PYDARTS_OK);
  Floats gradient(capi::info(net).num_alphas);
  CHECK(pydarts_gradients(net.get(), &images.batch, nullptr, 0, nullptr, 0, nullptr) == PYDARTS_OK);
  CHECK(pydarts_gradients(net.get(), &images.batch, nullptr, 0, gradient.data(), gradient.size(), nullptr) ==
        PYDARTS_INVALID_ARGUMENT);
  CHECK(pydarts_workspace_set(net.get(), nullptr, 1) == PYDARTS_INVALID_ARGUMENT);
  CHECK(pydarts_workspace_set(net.get(), nullptr, 0) == PYDARTS_OK);
  std::free(memory);
  CHECK(pass(net, given) == PYDARTS_OK && given == usual);
}

void a_hessian_vector_product_is_exact_for_a_quadratic() {
  // f(w) = w0^2 w1 has the Hessian (2 w1, 2 w0; 2 w0, 0); its gradient is quadratic: the central difference is exact.
  const pydarts_gradient gradient = [](void* user, const double* w, double* out) {
    out[0] = 2 * w[0] * w[1];
    out[1] = w[0] * w[0];
    return int(--*static_cast<int*>(user) < 0);
  };
  const double w[] = {3, 5}, v[] = {1, 2}, zero[] = {0, 0};
  double out[2];
  char message[200];
  int left = 2;
  CHECK(pydarts_hessian_vector_product(gradient, &left, w, v, 2, 2, 0.01, out, message, sizeof message) == PYDARTS_OK);
  CHECK(std::fabs(out[0] - 22) < 1e-9 && std::fabs(out[1] - 6) < 1e-9 && left == 0);
  CHECK(pydarts_hessian_vector_product(gradient, &left, w, v, 2, 2, 0.01, out, message, sizeof message) ==
        PYDARTS_CANCELLED);
  CHECK(pydarts_hessian_vector_product(gradient, &left, w, zero, 2, 2, 0.01, out, message, sizeof message) ==
        PYDARTS_NOT_FINITE);
  CHECK(pydarts_hessian_vector_product(gradient, &left, w, v, 2, 2, 0, out, message, sizeof message) ==
        PYDARTS_INVALID_ARGUMENT);
  CHECK(std::strcmp(message, "`epsilon` (=0) must be a positive number") == 0);
}

// Two steps of a search and an evaluation; then what is wrong with ranks.
void several_ranks_give_the_bits_of_one() {
  const capi::Images train(1), valid(2);
  const auto results = [&](const pydarts_runtime& r) {
    capi::Net net;
    capi::Optimizer optimizer;
    CHECK(capi::supernet(net, r) == PYDARTS_OK);
    CHECK(capi::optimizer(optimizer, net) == PYDARTS_OK);
    for (int i = 0; i < 2; ++i)
      CHECK(pydarts_search_step(optimizer.get(), net.get(), &train.batch, &valid.batch, 0.1, nullptr) == PYDARTS_OK);
    std::vector<float> numbers(train.labels.size() * 3);
    CHECK(pydarts_logits(net.get(), &train.batch, 0, numbers.data(), numbers.size()) == PYDARTS_OK);
    return numbers;
  };
  const std::vector<float> one = results(capi::runtime());
  Ranks ranks(3);
  const auto runtime_of = [](const pydarts::Communicator& communicator) {
    return capi::with_rank(capi::runtime(), communicator);
  };
  ranks.run([&](const pydarts::Communicator& communicator) { CHECK(results(runtime_of(communicator)) == one); });
  pydarts_runtime old = capi::runtime();  // of a header without ranks: they are not looked at
  old.size = offsetof(pydarts_runtime, rank);
  old.ranks = old.rank = 77;
  CHECK(results(old) == one);
  CHECK(ranks.gathers > 50);
  ranks.broken = true;
  ranks.run([&](const pydarts::Communicator& communicator) {
    capi::Net net;
    CHECK(capi::supernet(net, runtime_of(communicator)) == PYDARTS_UNCONNECTED);
    pydarts_runtime r = runtime_of(communicator);
    r.gather = nullptr;
    CHECK(capi::supernet(net, r) == PYDARTS_INVALID_ARGUMENT);
    r.rank = 3;
    CHECK(capi::supernet(net, r) == PYDARTS_INVALID_ARGUMENT);
  });
}

}  // namespace

int main() {
  CHECK(pydarts_abi() == PYDARTS_ABI);
  CHECK(std::strcmp(pydarts_version(), "0.1.0") == 0);
  for (int status = PYDARTS_OK; status <= PYDARTS_UNCONNECTED; ++status)
    CHECK(std::strcmp(pydarts_status_text(pydarts_status(status)), "an unknown status") != 0);
  a_search_is_that_of_the_engine();
  a_mixture_is_that_of_the_engine();
  training_is_that_of_the_engine();
  texts_are_given_in_two_calls();
  tensors_cover_all_values();
  other_losses_are_those_of_the_engine();
  structs_may_be_of_an_older_header();
  spaces_are_taken();
  skips_and_parts_are_taken();
  nonsense_is_refused();
  a_call_can_be_cancelled();
  two_handles_work_in_two_threads();
  a_workspace_is_lent();
  several_ranks_give_the_bits_of_one();
  a_hessian_vector_product_is_exact_for_a_quadratic();
  return checked();
}

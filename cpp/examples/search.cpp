// SPDX-License-Identifier: MIT
// A search loop of one's own on raw arrays: searches a cell, then trains the network made of it.
#include <pydarts.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "stripes.hpp"

namespace {

struct Destroy {
  void operator()(pydarts_network* network) const { pydarts_network_destroy(network); }
  void operator()(pydarts_optimizer* optimizer) const { pydarts_optimizer_destroy(optimizer); }
};
using Network = std::unique_ptr<pydarts_network, Destroy>;
using Optimizer = std::unique_ptr<pydarts_optimizer, Destroy>;

constexpr int kBatch = 32, kEpochs = 4;

void check(pydarts_status status, const char* message) {
  if (status == PYDARTS_OK) return;
  std::fprintf(stderr, "%s: %s\n", pydarts_status_text(status), message);
  std::exit(1);
}

pydarts_network_options small_network() {
  pydarts_network_options options = {sizeof options};
  pydarts_network_options_defaults(&options);
  options.channels = 4;
  options.cells = 3;
  options.classes = Stripes::kClasses;
  options.in_channels = 1;
  return options;
}

Optimizer make_optimizer(const Network& network) {
  pydarts_optimizer_options options = {sizeof options};
  pydarts_optimizer_options_defaults(&options);
  options.alpha_lr = 3e-3;
  pydarts_optimizer* optimizer;
  char message[256];
  check(pydarts_optimizer_create(network.get(), &options, &optimizer, message, sizeof message), message);
  return Optimizer(optimizer);
}

double cosine(int epoch) { return 0.05 * (1 + std::cos(3.14159265 * epoch / kEpochs)); }

std::string search(const Stripes& train, const Stripes& valid) {
  const pydarts_network_options options = small_network();
  pydarts_network* made;
  char message[256];
  check(pydarts_supernet_create(&options, nullptr, &made, message, sizeof message), message);
  const Network supernet(made);
  const Optimizer optimizer = make_optimizer(supernet);
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    double loss = 0;
    for (int first = 0; first < train.count(); first += kBatch) {
      const pydarts_batch a = train.batch(first, kBatch), b = valid.batch(first, kBatch);
      pydarts_step_info info = {sizeof info};
      check(pydarts_search_step(optimizer.get(), supernet.get(), &a, &b, cosine(epoch), &info),
            pydarts_optimizer_error(optimizer.get()));
      loss += info.valid_loss * kBatch / train.count();
    }
    std::printf("search, epoch %d: validation loss %.4f\n", epoch + 1, loss);
  }
  std::size_t size = 0;
  check(pydarts_network_genotype(supernet.get(), nullptr, 0, &size), pydarts_network_error(supernet.get()));
  std::string genotype(size, '\0');
  check(pydarts_network_genotype(supernet.get(), &genotype[0], size, nullptr), pydarts_network_error(supernet.get()));
  genotype.resize(size - 1);
  return genotype;
}

double accuracy(const Network& network, const Stripes& data) {
  const pydarts_batch all = data.batch(0, data.count());
  std::vector<float> logits(std::size_t(data.count()) * Stripes::kClasses);
  check(pydarts_logits(network.get(), &all, 0, logits.data(), logits.size()), pydarts_network_error(network.get()));
  int right = 0;
  for (int n = 0; n < data.count(); ++n) {
    int best = 0;
    for (int k = 1; k < Stripes::kClasses; ++k)
      if (logits[n * Stripes::kClasses + k] > logits[n * Stripes::kClasses + best]) best = k;
    right += best == all.labels[n];
  }
  return double(right) / data.count();
}

}  // namespace

int main() {
  const Stripes train(128, 1), valid(128, 2), test(256, 3);
  const std::string genotype = search(train, valid);
  std::printf("%s\n", genotype.c_str());

  const pydarts_network_options options = small_network();
  pydarts_network* made;
  char message[256];
  check(pydarts_derived_create(genotype.data(), genotype.size(), &options, nullptr, &made, message, sizeof message),
        message);
  const Network network(made);
  const Optimizer optimizer = make_optimizer(network);
  for (int epoch = 0; epoch < kEpochs; ++epoch)
    for (int first = 0; first < train.count(); first += kBatch) {
      const pydarts_batch batch = train.batch(first, kBatch);
      check(pydarts_weight_step(optimizer.get(), network.get(), &batch, cosine(epoch), nullptr),
            pydarts_optimizer_error(optimizer.get()));
    }
  const double found = accuracy(network, test);
  std::printf("accuracy on images never seen: %.1f %%\n", 100 * found);
  return found > 0.9 ? 0 : 1;
}

// SPDX-License-Identifier: MIT
// Searches a cell whose network stays below a latency on this machine, trains that network, and writes it as a C file:
//   search_under_limit [FILE.c [PROFILE.json]]
//
// Each search step is followed by one of the alphas down the gradient of the expected latency, times a multiplier that
// rises while the expectation is above its target, and falls while it is below. Luo et al., You Only Search Once,
// https://arxiv.org/abs/2208.14446.
#include <pydarts.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "stripes.hpp"

namespace {

struct Destroy {
  void operator()(pydarts_network* network) const { pydarts_network_destroy(network); }
  void operator()(pydarts_optimizer* optimizer) const { pydarts_optimizer_destroy(optimizer); }
  void operator()(pydarts_budget* budget) const { pydarts_budget_destroy(budget); }
};
using Network = std::unique_ptr<pydarts_network, Destroy>;
using Optimizer = std::unique_ptr<pydarts_optimizer, Destroy>;
using Budget = std::unique_ptr<pydarts_budget, Destroy>;

constexpr int kBatch = 32, kSearchEpochs = 4, kTrainEpochs = 20;
constexpr double kAlphaLr = 1e-2;
constexpr double kTarget = 0.95;  // of the limit: the middle of what cells may use
constexpr double kColdest = 0.1;  // temperature of the expectation at the end of the search; it falls from 1
constexpr double kAscent = 5;     // a ratio that is off by 1 over the whole search moves the multiplier by so much
constexpr double kDamping = 30;   // without it the ratio would swing about its target
constexpr double kLargest = 10;   // bound on the multiplier

void check(pydarts_status status, const char* message) {
  if (status == PYDARTS_OK) return;
  std::fprintf(stderr, "%s: %s\n", pydarts_status_text(status), message);
  std::exit(1);
}

pydarts_network_options network_options(int channels) {
  pydarts_network_options options = {sizeof options};
  pydarts_network_options_defaults(&options);
  options.channels = channels;
  options.cells = 3;
  options.classes = Stripes::kClasses;
  options.in_channels = 1;
  return options;
}

Optimizer make_optimizer(const Network& network) {
  pydarts_optimizer_options options = {sizeof options};
  pydarts_optimizer_options_defaults(&options);
  options.alpha_lr = kAlphaLr;
  pydarts_optimizer* optimizer;
  char message[256];
  check(pydarts_optimizer_create(network.get(), &options, &optimizer, message, sizeof message), message);
  return Optimizer(optimizer);
}

double cosine(int epoch, int epochs) { return 0.05 * (1 + std::cos(3.14159265 * epoch / epochs)); }

// What the network that is to be trained costs, with latencies that are measured here on one thread.
Budget make_budget(const char* profile) {
  const pydarts_network_options target = network_options(8);
  pydarts_runtime runtime = {sizeof runtime};
  pydarts_runtime_defaults(&runtime);
  runtime.threads = 1;
  pydarts_budget* made;
  char message[256];
  check(pydarts_budget_create(&target, Stripes::kSize, Stripes::kSize, &runtime, &made, message, sizeof message),
        message);
  Budget budget(made);
  pydarts_profile_options options = {sizeof options};
  pydarts_profile_options_defaults(&options);
  check(pydarts_budget_measure(made, &options), pydarts_budget_error(made));
  if (profile) {  // for later searches, here or in Python
    std::size_t size = 0;
    check(pydarts_budget_write_profile(made, nullptr, 0, &size), pydarts_budget_error(made));
    std::string json(size, '\0');
    check(pydarts_budget_write_profile(made, &json[0], size, nullptr), pydarts_budget_error(made));
    std::ofstream(profile, std::ios::binary).write(json.data(), std::streamsize(size - 1));
  }
  return budget;
}

std::vector<float> alphas_of(const Network& supernet) {
  pydarts_network_info info = {sizeof info};
  check(pydarts_network_get_info(supernet.get(), &info), pydarts_network_error(supernet.get()));
  std::vector<float> alphas(info.num_alphas);
  check(pydarts_network_get(supernet.get(), PYDARTS_ALPHAS, alphas.data(), alphas.size()),
        pydarts_network_error(supernet.get()));
  return alphas;
}

// A step of the alphas towards the target; gives the expectation over the limit.
double press(const Budget& budget, const Network& supernet, double limit, double temperature, double& multiplier,
             int steps) {
  std::vector<float> alphas = alphas_of(supernet);
  std::vector<double> gradient(alphas.size());
  double expected;
  check(pydarts_budget_expected(budget.get(), PYDARTS_COST_LATENCY, alphas.data(), alphas.size(), temperature,
                                &expected, gradient.data()),
        pydarts_budget_error(budget.get()));
  const double ratio = expected / limit;
  double largest = 0;
  for (double g : gradient) largest = std::max(largest, std::fabs(g));
  const double strength = multiplier + kDamping * (ratio - kTarget);
  for (std::size_t i = 0; i < alphas.size() && largest > 0; ++i)
    alphas[i] -= float(kAlphaLr * strength * gradient[i] / largest);
  check(pydarts_network_set(supernet.get(), PYDARTS_ALPHAS, alphas.data(), alphas.size()),
        pydarts_network_error(supernet.get()));
  multiplier = std::min(kLargest, std::max(-kLargest, multiplier + kAscent * (ratio - kTarget) / steps));
  return ratio;
}

std::string search(const Budget& budget, double limit, const Stripes& train, const Stripes& valid) {
  const pydarts_network_options options = network_options(4);
  pydarts_network* made;
  char message[256];
  check(pydarts_supernet_create(&options, nullptr, &made, message, sizeof message), message);
  const Network supernet(made);
  const Optimizer optimizer = make_optimizer(supernet);
  double multiplier = 0, ratio = 0;
  for (int epoch = 0; epoch < kSearchEpochs; ++epoch) {
    double loss = 0;
    for (int first = 0; first < train.count(); first += kBatch) {
      const pydarts_batch a = train.batch(first, kBatch), b = valid.batch(first, kBatch);
      pydarts_step_info info = {sizeof info};
      check(pydarts_search_step(optimizer.get(), supernet.get(), &a, &b, cosine(epoch, kSearchEpochs), &info),
            pydarts_optimizer_error(optimizer.get()));
      const double temperature = std::pow(kColdest, double(epoch) / (kSearchEpochs - 1));
      ratio = press(budget, supernet, limit, temperature, multiplier, kSearchEpochs * train.count() / kBatch);
      loss += info.valid_loss * kBatch / train.count();
    }
    std::printf("search, epoch %d: validation loss %.4f, expected latency %.2f of the limit\n", epoch + 1, loss, ratio);
  }
  pydarts_limits limits = {sizeof limits};
  pydarts_limits_defaults(&limits);
  limits.latency = limit;
  const std::vector<float> alphas = alphas_of(supernet);
  std::size_t size = 0;
  check(pydarts_budget_choose(budget.get(), &limits, alphas.data(), alphas.size(), nullptr, 0, &size),
        pydarts_budget_error(budget.get()));
  std::string genotype(size, '\0');
  check(pydarts_budget_choose(budget.get(), &limits, alphas.data(), alphas.size(), &genotype[0], size, nullptr),
        pydarts_budget_error(budget.get()));
  genotype.resize(size - 1);
  return genotype;
}

double accuracy(const Network& network, const Stripes& data) {
  const pydarts_batch all = data.batch(0, data.count());
  std::vector<float> logits(std::size_t(data.count()) * Stripes::kClasses);
  check(pydarts_logits(network.get(), &all, 0, logits.data(), logits.size()), pydarts_network_error(network.get()));
  int right = 0;
  for (int n = 0; n < data.count(); ++n) {
    const float* row = logits.data() + std::size_t(n) * Stripes::kClasses;
    right += std::max_element(row, row + Stripes::kClasses) - row == all.labels[n];
  }
  return double(right) / data.count();
}

}  // namespace

int main(int argc, char** argv) {
  const Stripes train(128, 1), valid(128, 2), test(256, 3);
  const Budget budget = make_budget(argc > 2 ? argv[2] : nullptr);
  double least, most;
  check(pydarts_budget_range(budget.get(), PYDARTS_COST_LATENCY, &least, &most), pydarts_budget_error(budget.get()));
  const double limit = least + 0.4 * (most - least);
  std::printf("networks of the space take %.1f to %.1f us; the limit is %.1f us\n", 1e6 * least, 1e6 * most,
              1e6 * limit);

  const std::string genotype = search(budget, limit, train, valid);
  std::printf("%s\n", genotype.c_str());
  pydarts_costs costs = {sizeof costs};
  double measured;
  check(pydarts_budget_predict(budget.get(), genotype.data(), genotype.size(), &costs),
        pydarts_budget_error(budget.get()));
  check(pydarts_budget_measure_network(budget.get(), genotype.data(), genotype.size(), 100, &measured),
        pydarts_budget_error(budget.get()));
  std::printf("predicted %.1f us, measured %.1f us; %llu multiply-adds, %llu weights, %llu bytes of activations\n",
              1e6 * costs.latency, 1e6 * measured, static_cast<unsigned long long>(costs.macs),
              static_cast<unsigned long long>(costs.weights), static_cast<unsigned long long>(costs.memory));

  const pydarts_network_options options = network_options(8);
  pydarts_network* made;
  char message[256];
  check(pydarts_derived_create(genotype.data(), genotype.size(), &options, nullptr, &made, message, sizeof message),
        message);
  const Network network(made);
  const Optimizer optimizer = make_optimizer(network);
  for (int epoch = 0; epoch < kTrainEpochs; ++epoch)
    for (int first = 0; first < train.count(); first += kBatch) {
      const pydarts_batch batch = train.batch(first, kBatch);
      check(pydarts_weight_step(optimizer.get(), network.get(), &batch, cosine(epoch, kTrainEpochs), nullptr),
            pydarts_optimizer_error(optimizer.get()));
    }
  const double found = accuracy(network, test);
  std::printf("accuracy on images never seen: %.1f %%\n", 100 * found);

  if (argc > 1) {
    pydarts_c_options to_c = {sizeof to_c};
    pydarts_c_options_defaults(&to_c);
    to_c.name = "stripes";
    to_c.height = to_c.width = Stripes::kSize;
    pydarts_c_file written = {sizeof written};
    check(pydarts_network_to_c(network.get(), &to_c, argv[1], &written), pydarts_network_error(network.get()));
    std::printf("%s: %llu bytes of constants, %llu of static memory\n", argv[1],
                static_cast<unsigned long long>(written.constants), static_cast<unsigned long long>(written.arena));
  }
  return found > 0.9 && costs.latency <= limit ? 0 : 1;
}

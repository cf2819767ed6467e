// SPDX-License-Identifier: MIT
// Costs and limits of the C API: tables, expectations, cells within limits, profiles; and what is refused. That numbers
// are Python's is tested by tests/test_library.py with print_costs.
#include <cmath>
#include <cstring>
#include <limits>

#include "capi.hpp"
#include "check.hpp"

namespace {

constexpr int kRows = 14, kColumns = 8;  // of either kind of cell of DARTS
constexpr std::size_t kAlphas = 2 * kRows * kColumns;
const double kInfinity = std::numeric_limits<double>::infinity();

pydarts_status create(capi::Budget& budget, const pydarts_network_options& target, int height = 8, int width = 7,
                      const pydarts_runtime& runtime = capi::runtime(), std::string* message = nullptr) {
  pydarts_budget* made = nullptr;
  char text[512];
  const pydarts_status status = pydarts_budget_create(&target, height, width, &runtime, &made, text, sizeof text);
  budget.reset(made);
  if (message) *message = text;
  return status;
}

bool error_is(const capi::Budget& budget, const char* text) {
  const char* found = pydarts_budget_error(budget.get());
  if (std::strcmp(found, text) != 0) std::fprintf(stderr, "\"%s\"\n", found);
  return std::strcmp(found, text) == 0;
}

std::vector<float> some_alphas(std::size_t count = kAlphas) {
  std::vector<float> alphas(count);
  pydarts::Random random(3);
  for (float& alpha : alphas) alpha = float(random.normal());
  return alphas;
}

struct Table {
  double fixed = 0;
  std::vector<double> entries = std::vector<double>(kAlphas);
};

pydarts_status table(const capi::Budget& budget, pydarts_cost cost, Table& to) {
  return pydarts_budget_table(budget.get(), cost, &to.fixed, to.entries.data(), to.entries.size());
}

pydarts_status choose(const capi::Budget& budget, const pydarts_limits& limits, const std::vector<float>& alphas,
                      std::string& genotype) {
  char text[4096] = "";
  const pydarts_status status =
      pydarts_budget_choose(budget.get(), &limits, alphas.data(), alphas.size(), text, sizeof text, nullptr);
  genotype = text;
  return status;
}

pydarts_costs predicted(const capi::Budget& budget, const std::string& genotype) {
  pydarts_costs costs = {sizeof costs};
  CHECK(pydarts_budget_predict(budget.get(), genotype.data(), genotype.size(), &costs) == PYDARTS_OK);
  return costs;
}

// The profile of a budget.
std::string written(const capi::Budget& budget) {
  std::size_t size = 0;
  CHECK(pydarts_budget_write_profile(budget.get(), nullptr, 0, &size) == PYDARTS_OK);
  std::string text(size, '\0');
  CHECK(pydarts_budget_write_profile(budget.get(), &text[0], size, nullptr) == PYDARTS_OK);
  text.pop_back();
  return text;
}

void a_network_has_costs() {
  capi::Net net, searched;
  CHECK(capi::derived(net, capi::runtime()) == PYDARTS_OK);
  pydarts_costs costs = {sizeof costs};
  CHECK(pydarts_network_costs(net.get(), 6, 7, &costs) == PYDARTS_OK);
  CHECK(costs.weights == capi::info(net).num_weights && costs.latency == 0);
  pydarts_costs larger = {sizeof larger};
  CHECK(pydarts_network_costs(net.get(), 12, 14, &larger) == PYDARTS_OK);
  CHECK(larger.macs > 3 * costs.macs && larger.macs <= 4 * costs.macs && larger.memory > 3 * costs.memory);
  CHECK(pydarts_network_costs(net.get(), 0, 7, &costs) == PYDARTS_INVALID_ARGUMENT);
  CHECK(std::strcmp(pydarts_network_error(net.get()), "`height` (=0) must lie in 1..16384") == 0);
  CHECK(pydarts_network_costs(net.get(), 6, 7, nullptr) == PYDARTS_INVALID_ARGUMENT);
  CHECK(capi::supernet(searched, capi::runtime()) == PYDARTS_OK);
  CHECK(pydarts_network_costs(searched.get(), 6, 7, &costs) == PYDARTS_INVALID_ARGUMENT);
  pydarts_text_options text = {sizeof text};
  pydarts_text_options_defaults(&text);
  text.vocab_size = 5;
  text.hidden_size = 4;
  pydarts_network* made = nullptr;
  CHECK(pydarts_text_supernet_create(&text, nullptr, &made, nullptr, 0) == PYDARTS_OK);
  const capi::Net recurrent(made);
  CHECK(pydarts_network_costs(recurrent.get(), 6, 7, &costs) == PYDARTS_INVALID_ARGUMENT);
  CHECK(pydarts_workspace_set(recurrent.get(), nullptr, 0) == PYDARTS_INVALID_ARGUMENT);  // as the header says
}

void gradients_are_those_of_differences() {
  capi::Budget budget;
  CHECK(create(budget, capi::options()) == PYDARTS_OK);
  for (std::size_t count : {kAlphas, kAlphas + 2 * 4 * 5}) {  // with the edges' own weights
    std::vector<float> alphas = some_alphas(count);
    std::vector<double> gradient(count);
    double expected, least, most;
    CHECK(pydarts_budget_expected(budget.get(), PYDARTS_COST_MACS, alphas.data(), count, 0.7, &expected,
                                  gradient.data()) == PYDARTS_OK);
    CHECK(pydarts_budget_range(budget.get(), PYDARTS_COST_MACS, &least, &most) == PYDARTS_OK);
    CHECK(least < expected && expected < most);
    for (std::size_t i = 0; i < count; i += 5) {
      const float before = alphas[i], e = 1 / 64.0f;
      double up, down;
      alphas[i] = before + e;
      const double above = alphas[i];
      pydarts_budget_expected(budget.get(), PYDARTS_COST_MACS, alphas.data(), count, 0.7, &up, nullptr);
      alphas[i] = before - e;
      const double below = alphas[i];
      pydarts_budget_expected(budget.get(), PYDARTS_COST_MACS, alphas.data(), count, 0.7, &down, nullptr);
      alphas[i] = before;
      CHECK(std::fabs((up - down) / (above - below) - gradient[i]) < 1e-4 * (most - least));
    }
    // A cold expectation is the cost of the cell that the alphas stand for.
    pydarts_limits none = {sizeof none};
    pydarts_limits_defaults(&none);
    std::string genotype;
    CHECK(choose(budget, none, alphas, genotype) == PYDARTS_OK);
    CHECK(pydarts_budget_expected(budget.get(), PYDARTS_COST_MACS, alphas.data(), count, 1e-5, &expected, nullptr) ==
          PYDARTS_OK);
    CHECK(std::fabs(expected / double(predicted(budget, genotype).macs) - 1) < 1e-9);
  }
}

void an_unlimited_cell_is_the_derived_one() {
  pydarts_network_options options = capi::options();
  for (int partial : {1, 3}) {
    options.partial_channels = partial;
    pydarts_network* made = nullptr;
    const pydarts_runtime runtime = capi::runtime();
    CHECK(pydarts_supernet_create(&options, &runtime, &made, nullptr, 0) == PYDARTS_OK);
    const capi::Net net(made);
    const std::vector<float> alphas = some_alphas(capi::info(net).num_alphas);
    CHECK(pydarts_network_set(net.get(), PYDARTS_ALPHAS, alphas.data(), alphas.size()) == PYDARTS_OK);
    char derived[4096];
    CHECK(pydarts_network_genotype(net.get(), derived, sizeof derived, nullptr) == PYDARTS_OK);
    capi::Budget budget;
    CHECK(create(budget, capi::options()) == PYDARTS_OK);
    pydarts_limits none = {sizeof none};
    pydarts_limits_defaults(&none);
    std::string chosen;
    CHECK(choose(budget, none, alphas, chosen) == PYDARTS_OK && chosen == derived);
  }
}

void limits_are_met() {
  capi::Budget budget;
  CHECK(create(budget, capi::options()) == PYDARTS_OK);
  const std::vector<float> alphas = some_alphas();
  std::string genotype;
  for (pydarts_cost cost : {PYDARTS_COST_MACS, PYDARTS_COST_WEIGHTS}) {
    double least, most;
    CHECK(pydarts_budget_range(budget.get(), cost, &least, &most) == PYDARTS_OK);
    for (double part : {0.0, 0.3, 0.6, 0.9}) {
      pydarts_limits limits = {sizeof limits, 0, 0, 0, 0};
      const double limit = least + part * (most - least);
      (cost == PYDARTS_COST_MACS ? limits.macs : limits.weights) = limit;
      CHECK(choose(budget, limits, alphas, genotype) == PYDARTS_OK);
      const pydarts_costs costs = predicted(budget, genotype);
      const double found = double(cost == PYDARTS_COST_MACS ? costs.macs : costs.weights);
      CHECK(found <= limit && found >= 0.9 * limit);  // of the cheapest cell, too, where nothing is left
    }
  }
  double macs, weights;
  CHECK(pydarts_budget_range(budget.get(), PYDARTS_COST_MACS, &macs, nullptr) == PYDARTS_OK);
  CHECK(pydarts_budget_range(budget.get(), PYDARTS_COST_WEIGHTS, &weights, nullptr) == PYDARTS_OK);
  pydarts_limits both = {sizeof both, 0, 1.5 * macs, 1.2 * weights, 0};
  CHECK(choose(budget, both, alphas, genotype) == PYDARTS_OK);
  pydarts_costs costs = predicted(budget, genotype);
  CHECK(double(costs.macs) <= both.macs && double(costs.weights) <= both.weights);
  pydarts_limits none = {sizeof none, 0, 0, 0, 0};
  CHECK(choose(budget, none, alphas, genotype) == PYDARTS_OK);
  costs = predicted(budget, genotype);
  pydarts_limits memory = {sizeof memory, 0, 0, 0, double(costs.memory) - 4};
  CHECK(choose(budget, memory, alphas, genotype) == PYDARTS_OK);
  CHECK(double(predicted(budget, genotype).memory) <= memory.memory);

  pydarts_limits impossible = {sizeof impossible, 0, 1000, 0, 0};
  CHECK(choose(budget, impossible, alphas, genotype) == PYDARTS_INVALID_ARGUMENT);
  char expected[200];
  std::snprintf(expected, sizeof expected,
                "`limits->macs` (=1000) is met by no cell: the cheapest has %d multiply-adds", int(macs));
  CHECK(error_is(budget, expected));
  impossible = {sizeof impossible, 0, 0, 0, 40};
  CHECK(choose(budget, impossible, alphas, genotype) == PYDARTS_INVALID_ARGUMENT);
  CHECK(std::strstr(pydarts_budget_error(budget.get()), "`limits->memory` (=40) is met by no cell: the cheapest has "));
  CHECK(choose(budget, none, alphas, genotype) == PYDARTS_OK);  // the handle stays usable
}

void other_spaces_have_costs() {
  static const char space[] =
      "{\"name\": \"small\", \"operations\": [\"none\", \"skip_connect\", {\"name\": \"wide\", \"stages\": [\"relu\", "
      "{\"conv\": [1, 3]}, \"batch_norm\"]}], \"dimensions\": 1, \"cells\": [{\"name\": \"only\", \"inputs\": 1, "
      "\"nodes\": 2, \"kept_edges\": 1, \"output\": \"last\"}], \"stack\": {\"stem\": 1, \"layers\": [{\"cell\": "
      "\"only\", \"repeat\": \"cells\"}]}}";
  pydarts_network_options target = capi::options();
  target.space = space;
  target.space_size = sizeof(space) - 1;
  capi::Budget budget;
  CHECK(create(budget, target, 1, 20) == PYDARTS_OK);
  double fixed, entries[9];
  CHECK(pydarts_budget_table(budget.get(), PYDARTS_COST_WEIGHTS, &fixed, entries, 9) == PYDARTS_OK);
  // By hand: of three cells a 1 x 3 convolution of 3 channels and its normalisation; nothing of the others.
  for (int e = 0; e < 3; ++e)
    CHECK(entries[3 * e] == 0 && entries[3 * e + 1] == 0 && entries[3 * e + 2] == 3 * (27 + 6));
  CHECK(fixed == (2 * 3 * 3 + 6) + 3 * (9 + 6) + (3 + 1) * 3);
  CHECK(pydarts_budget_table(budget.get(), PYDARTS_COST_MACS, &fixed, entries, 9) == PYDARTS_OK);
  CHECK(entries[2] == 3 * 27 * 20 && fixed == 20 * (18 + 3 * 9) + 9);
}

void latencies_are_measured_and_kept() {
  pydarts_network_options target = capi::options();
  target.space = "\"s2\"";  // two operations an edge
  target.space_size = 4;
  capi::Budget budget, other, another;
  CHECK(create(budget, target) == PYDARTS_OK);
  CHECK(create(other, target) == PYDARTS_OK);
  std::vector<double> seconds(2 * kRows * 2), again(seconds), corrected(seconds);
  double fixed, other_fixed;
  CHECK(pydarts_budget_table(budget.get(), PYDARTS_COST_LATENCY, &fixed, seconds.data(), seconds.size()) ==
        PYDARTS_INVALID_ARGUMENT);
  CHECK(error_is(budget, "there are no latencies: measure or read them first"));
  CHECK(pydarts_budget_write_profile(budget.get(), nullptr, 0, nullptr) == PYDARTS_INVALID_ARGUMENT);
  pydarts_profile_options options = {sizeof options};
  CHECK(pydarts_profile_options_defaults(&options) == PYDARTS_OK);
  CHECK(options.batch == 1 && options.repeats == 30 && options.networks == 40);
  options.networks = 5;
  options.batch = 2;
  CHECK(pydarts_budget_measure(budget.get(), &options) == PYDARTS_OK);
  CHECK(pydarts_budget_table(budget.get(), PYDARTS_COST_LATENCY, &fixed, seconds.data(), seconds.size()) == PYDARTS_OK);
  double total = 0;
  for (double value : seconds) total += value;
  CHECK(fixed > 0 && total > 0 && total < 10);

  const std::string profile = written(budget);
  CHECK(pydarts_budget_read_profile(other.get(), profile.data(), profile.size()) == PYDARTS_OK);
  CHECK(pydarts_budget_table(other.get(), PYDARTS_COST_LATENCY, &other_fixed, again.data(), again.size()) ==
        PYDARTS_OK);
  CHECK(other_fixed == fixed && again == seconds && written(other) == profile);

  const std::vector<float> alphas = some_alphas(seconds.size());
  double least, most;
  CHECK(pydarts_budget_range(other.get(), PYDARTS_COST_LATENCY, &least, &most) == PYDARTS_OK);
  pydarts_limits limits = {sizeof limits, (least + most) / 2, 0, 0, 0};
  std::string genotype;
  CHECK(choose(other, limits, alphas, genotype) == PYDARTS_OK);
  const double predicted_seconds = predicted(other, genotype).latency;
  CHECK(predicted_seconds <= limits.latency);
  CHECK(pydarts_budget_set_correction(other.get(), 1.5) == PYDARTS_OK);
  CHECK(std::fabs(predicted(other, genotype).latency / predicted_seconds - 1.5) < 1e-12);
  CHECK(pydarts_budget_set_correction(other.get(), 0) == PYDARTS_INVALID_ARGUMENT);
  CHECK(error_is(other, "`factor` (=0) must be positive and finite"));
  double whole = 0;
  CHECK(pydarts_budget_measure_network(other.get(), genotype.data(), genotype.size(), 30, &whole) == PYDARTS_OK);
  CHECK(whole > 0 && whole < 1);
  CHECK(pydarts_budget_measure_network(other.get(), genotype.data(), genotype.size(), 0, &whole) ==
        PYDARTS_INVALID_ARGUMENT);

  // Another target or space, and what is damaged.
  target.channels = 4;
  CHECK(create(another, target) == PYDARTS_OK);
  CHECK(pydarts_budget_read_profile(another.get(), profile.data(), profile.size()) == PYDARTS_BAD_FILE);
  CHECK(std::strstr(pydarts_budget_error(another.get()), "`profile`: it is of 3 cells of 3 channels"));
  target = capi::options();
  CHECK(create(another, target) == PYDARTS_OK);
  CHECK(pydarts_budget_read_profile(another.get(), profile.data(), profile.size()) == PYDARTS_BAD_FILE);
  CHECK(std::strstr(pydarts_budget_error(another.get()), "it is of the space 's2', not of 'darts'"));
  CHECK(create(another, capi::options()) == PYDARTS_OK);
  // Up to the closing brace: with it, the text is whole but for its last line break.
  for (std::size_t size = 0; size + 1 < profile.size(); size += 41)
    CHECK(pydarts_budget_read_profile(other.get(), profile.data(), size) == PYDARTS_BAD_FILE);
  const struct {
    const char *from, *to;
  } damages[] = {{"pydarts-profile", "pydarts-genotype"},
                 {"\"version\": 1", "\"version\": 2"},
                 {"\"batch\": 2", "\"batch\": 0"},
                 {"\"channels\": 3, \"cells\"", "\"channels\": 5000, \"cells\""},
                 {"\"median\": ", "\"median\": NaN, \"other\": "},
                 {"\"factor\": ", "\"factor\": -1, \"other\": "},
                 {"\"operation\": \"sep_conv_3x3\"", "\"operation\": \"sep_conv_5x5\""},
                 {"\"stem\": \"cifar\"", "\"stem\": \"other\""},
                 {"\"error\": ", "\"mistake\": "},
                 {"\"size\": [8, 7]", "\"size\": [8]"}};
  for (const auto& damage : damages) {
    std::string text = profile;
    const std::size_t at = text.find(damage.from);
    CHECK(at != std::string::npos);
    text.replace(at, std::strlen(damage.from), damage.to);
    CHECK(pydarts_budget_read_profile(other.get(), text.data(), text.size()) == PYDARTS_BAD_FILE);
  }
  CHECK(written(other) == profile);  // what it had is there still
}

void measurements_can_be_cancelled() {
  int left = 3;
  pydarts_runtime runtime = capi::runtime();
  runtime.user = &left;
  runtime.cancel = [](void* user) { return int(--*static_cast<int*>(user) < 0); };
  capi::Budget budget;
  CHECK(create(budget, capi::options(), 8, 7, runtime) == PYDARTS_OK);
  pydarts_profile_options options = {sizeof options};
  pydarts_profile_options_defaults(&options);
  CHECK(pydarts_budget_measure(budget.get(), &options) == PYDARTS_CANCELLED);
  Table none;
  CHECK(table(budget, PYDARTS_COST_LATENCY, none) == PYDARTS_INVALID_ARGUMENT);
  CHECK(table(budget, PYDARTS_COST_MACS, none) == PYDARTS_OK);
}

void nonsense_is_refused() {
  capi::Budget budget;
  std::string message;
  pydarts_network_options target = capi::options();
  target.channels = 0;
  CHECK(create(budget, target, 8, 7, capi::runtime(), &message) == PYDARTS_INVALID_ARGUMENT && !budget);
  CHECK(message == "`channels` (=0) must lie in 1..4096");
  target = capi::options();
  CHECK(create(budget, target, 8, 20000, capi::runtime(), &message) == PYDARTS_INVALID_ARGUMENT);
  CHECK(message == "`width` (=20000) must lie in 1..16384");
  target.partial_channels = 3;
  CHECK(create(budget, target) == PYDARTS_INVALID_ARGUMENT);
  target = capi::options();
  target.space = "\"dart\"";
  target.space_size = 6;
  CHECK(create(budget, target, 8, 7, capi::runtime(), &message) == PYDARTS_BAD_FILE);
  CHECK(message == "`target->space`: unknown space 'dart'");
  target.space = "\"darts-1d\"";
  target.space_size = 10;
  CHECK(create(budget, target) == PYDARTS_INVALID_ARGUMENT);  // a height of 8
  target = capi::options();
  target.size = 1000;
  CHECK(create(budget, target) == PYDARTS_INVALID_ARGUMENT);
  CHECK(pydarts_budget_create(nullptr, 8, 8, nullptr, nullptr, nullptr, 0) == PYDARTS_INVALID_ARGUMENT);
  target = capi::options();
  target.channels = 4096;
  target.cells = 1024;
  CHECK(create(budget, target, 16384, 16384, capi::runtime(), &message) == PYDARTS_INVALID_ARGUMENT);

  CHECK(create(budget, capi::options()) == PYDARTS_OK);
  pydarts_budget* b = budget.get();
  std::vector<double> entries(kAlphas);
  double value;
  CHECK(pydarts_budget_table(b, PYDARTS_COST_MACS, &value, entries.data(), 5) == PYDARTS_INVALID_ARGUMENT);
  CHECK(error_is(budget, "`table` has 5 values, not 224"));
  CHECK(pydarts_budget_table(b, 9, &value, entries.data(), kAlphas) == PYDARTS_INVALID_ARGUMENT);
  CHECK(error_is(budget, "`cost` (=9) must be a pydarts_cost"));
  CHECK(pydarts_budget_table(b, PYDARTS_COST_MACS, nullptr, entries.data(), kAlphas) == PYDARTS_INVALID_ARGUMENT);
  CHECK(pydarts_budget_table(nullptr, PYDARTS_COST_MACS, &value, entries.data(), kAlphas) == PYDARTS_INVALID_ARGUMENT);

  std::vector<float> alphas = some_alphas();
  const auto expected = [&](std::size_t count, double temperature) {
    return pydarts_budget_expected(b, PYDARTS_COST_MACS, alphas.data(), count, temperature, &value, nullptr);
  };
  CHECK(expected(kAlphas - 1, 1) == PYDARTS_INVALID_ARGUMENT);
  CHECK(error_is(budget, "`num_alphas` (=223) must be 224, or 264 with the weights of edges"));
  CHECK(expected(kAlphas, 0) == PYDARTS_INVALID_ARGUMENT);
  CHECK(error_is(budget, "`temperature` (=0) must be positive and finite"));
  alphas[7] = std::nanf("");
  CHECK(expected(kAlphas, 1) == PYDARTS_INVALID_ARGUMENT);
  CHECK(error_is(budget, "`alphas[7]` (=nan) must be finite"));
  alphas = some_alphas();
  std::string genotype;
  pydarts_limits limits = {sizeof limits, 0, -1, 0, 0};
  CHECK(choose(budget, limits, alphas, genotype) == PYDARTS_INVALID_ARGUMENT);
  CHECK(error_is(budget, "`limits->macs` (=-1) must be positive, or 0 for none"));
  limits = {sizeof limits, 0, kInfinity, 0, 0};
  CHECK(choose(budget, limits, alphas, genotype) == PYDARTS_INVALID_ARGUMENT);
  limits = {sizeof limits, 1e-3, 0, 0, 0};
  CHECK(choose(budget, limits, alphas, genotype) == PYDARTS_INVALID_ARGUMENT);
  CHECK(error_is(budget, "there are no latencies: measure or read them first"));
  CHECK(pydarts_budget_choose(b, nullptr, alphas.data(), kAlphas, nullptr, 0, nullptr) == PYDARTS_INVALID_ARGUMENT);
  limits = {sizeof limits, 0, 0, 0, 0};
  char small[8];
  std::size_t needed = 0;
  CHECK(pydarts_budget_choose(b, &limits, alphas.data(), kAlphas, small, sizeof small, &needed) == PYDARTS_TOO_SMALL);
  CHECK(needed > sizeof small);

  pydarts_costs costs = {sizeof costs};
  const auto predict = [&](const std::string& text) {
    return pydarts_budget_predict(b, text.data(), text.size(), &costs);
  };
  CHECK(predict("{}") == PYDARTS_BAD_FILE);
  CHECK(predict("{\"format\": \"pydarts-genotype\", \"version\": 1, \"kind\": \"convolutional\", \"space\": "
                "\"nas-bench-201\", \"normal\": []}") == PYDARTS_INVALID_ARGUMENT);
  CHECK(error_is(budget, "`genotype` is of the space 'nas-bench-201', the budget of 'darts', which is another one"));
  // Of the space, with an operation that the search does not try: it can be counted, but has no latency.
  CHECK(predict(capi::kGenotype) == PYDARTS_OK);

  pydarts_profile_options options = {sizeof options, 1, 29, 0};
  CHECK(pydarts_budget_measure(b, &options) == PYDARTS_INVALID_ARGUMENT);
  CHECK(error_is(budget, "`options->repeats` (=29) must lie in 30..1048576"));
  options = {sizeof options, 0, 30, 0};
  CHECK(pydarts_budget_measure(b, &options) == PYDARTS_INVALID_ARGUMENT);
  CHECK(pydarts_budget_measure(b, nullptr) == PYDARTS_INVALID_ARGUMENT);
  capi::Budget large;
  CHECK(create(large, capi::options(), 16384, 16384) == PYDARTS_OK);
  options = {sizeof options, 65536, 30, 0};
  CHECK(pydarts_budget_measure(large.get(), &options) == PYDARTS_INVALID_ARGUMENT);  // before memory is spent
  CHECK(pydarts_budget_read_profile(b, nullptr, 0) == PYDARTS_INVALID_ARGUMENT);
  CHECK(std::strcmp(pydarts_budget_error(nullptr), "the handle is null") == 0);
  CHECK(pydarts_budget_destroy(nullptr) == PYDARTS_OK);
}

}  // namespace

int main() {
  CHECK(pydarts_abi() == 1 && pydarts_abi_revision() == PYDARTS_ABI_REVISION);
  a_network_has_costs();
  gradients_are_those_of_differences();
  an_unlimited_cell_is_the_derived_one();
  limits_are_met();
  other_spaces_have_costs();
  latencies_are_measured_and_kept();
  measurements_can_be_cancelled();
  nonsense_is_refused();
  return checked();
}

// SPDX-License-Identifier: MIT
// Reads cases as JSON from the standard input, an array of objects, and prints what the C API says of their costs: to
// be held against Python's.
#include <cmath>
#include <iostream>
#include <iterator>

#include "capi.hpp"
#include "check.hpp"
#include "core/json.hpp"

using pydarts::Json;

namespace {

using Kind = Json::Kind;

std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

std::string list(const std::vector<double>& values) {
  std::string out = "[";
  for (std::size_t i = 0; i < values.size(); ++i) out += (i ? ", " : "") + number(values[i]);
  return out + "]";
}

std::vector<double> numbers(const Json& json) {
  std::vector<double> found;
  for (const Json& item : json.items) found.push_back(item.number);
  return found;
}

std::string costs_text(const pydarts_costs& c) {
  return list({double(c.macs), double(c.weights), double(c.memory), c.latency});
}

struct Case {
  Case(const Json& json) : json(json), space(write_json(*json.find("space"))) {
    const std::vector<double> shape = numbers(*json.find("shape"));
    pydarts_network_options_defaults(&options);
    height = int(shape[0]);
    width = int(shape[1]);
    options.channels = int(shape[2]);
    options.cells = int(shape[3]);
    options.classes = int(shape[4]);
    options.in_channels = int(shape[5]);
    options.imagenet_stem = int(shape[6]);
    pydarts_network_options target = options;
    target.space = space.c_str();
    target.space_size = space.size();
    pydarts_budget* made = nullptr;
    char message[512];
    const pydarts_runtime runtime = capi::runtime();
    CHECK(pydarts_budget_create(&target, height, width, &runtime, &made, message, sizeof message) == PYDARTS_OK);
    if (!made) std::fprintf(stderr, "%s\n", message);
    budget.reset(made);
  }

  bool is_ok(pydarts_status status) const {
    if (status) std::fprintf(stderr, "%s\n", pydarts_budget_error(budget.get()));
    return status == PYDARTS_OK;
  }

  std::string profile() const {
    const std::string text = write_json(*json.find("profile"));
    CHECK(is_ok(pydarts_budget_read_profile(budget.get(), text.data(), text.size())));
    std::size_t size = 0;
    CHECK(is_ok(pydarts_budget_write_profile(budget.get(), nullptr, 0, &size)));
    std::string written(size, '\0');
    CHECK(is_ok(pydarts_budget_write_profile(budget.get(), &written[0], size, nullptr)));
    written.pop_back();
    return written;
  }

  // Of the budget, and of the network made of it.
  std::string of_genotype(const Json& genotype) const {
    const std::string text = write_json(genotype);
    pydarts_costs predicted = {sizeof predicted}, counted = {sizeof counted};
    CHECK(is_ok(pydarts_budget_predict(budget.get(), text.data(), text.size(), &predicted)));
    pydarts_network* made;
    const pydarts_runtime runtime = capi::runtime();
    CHECK(pydarts_derived_create(text.data(), text.size(), &options, &runtime, &made, nullptr, 0) == PYDARTS_OK);
    const capi::Net net(made);
    CHECK(pydarts_network_costs(net.get(), height, width, &counted) == PYDARTS_OK);
    CHECK(counted.macs == predicted.macs && counted.weights == predicted.weights &&
          counted.memory == predicted.memory && counted.weights == capi::info(net).num_weights);
    return costs_text(predicted);
  }

  std::string table(pydarts_cost cost) const {
    double fixed, least, most;
    std::vector<double> entries(std::size_t(json.find("entries")->number));
    CHECK(is_ok(pydarts_budget_table(budget.get(), cost, &fixed, entries.data(), entries.size())));
    CHECK(is_ok(pydarts_budget_range(budget.get(), cost, &least, &most)));
    return "{\"fixed\": " + number(fixed) + ", \"least\": " + number(least) + ", \"most\": " + number(most) +
           ", \"entries\": " + list(entries) + "}";
  }

  std::string expected(pydarts_cost cost, const std::vector<float>& alphas, double temperature) const {
    double value;
    std::vector<double> gradient(alphas.size());
    CHECK(is_ok(pydarts_budget_expected(budget.get(), cost, alphas.data(), alphas.size(), temperature, &value,
                                        gradient.data())));
    gradient.push_back(value);
    return list(gradient);
  }

  // "null" where no cell meets the limits.
  std::string chosen(const Json& given, const std::vector<float>& alphas) const {
    const std::vector<double> most = numbers(given);
    const pydarts_limits limits = {sizeof limits, most[0], most[1], most[2], most[3]};
    std::vector<char> text(1 << 16);
    const pydarts_status status =
        pydarts_budget_choose(budget.get(), &limits, alphas.data(), alphas.size(), text.data(), text.size(), nullptr);
    CHECK(status == PYDARTS_OK || status == PYDARTS_INVALID_ARGUMENT);
    return status == PYDARTS_OK ? text.data() : pydarts::quoted(pydarts_budget_error(budget.get()));
  }

  std::string text() const {
    std::string out = "{\"profile\": " + profile() + ", \"predicted\": [";
    const char* comma = "";
    for (const Json& genotype : json.find("genotypes")->items) {
      out += comma + of_genotype(genotype);
      comma = ", ";
    }
    out += "], \"tables\": [" + table(PYDARTS_COST_LATENCY) + ", " + table(PYDARTS_COST_MACS) + ", " +
           table(PYDARTS_COST_WEIGHTS) + "], \"expected\": [";
    std::string choices;
    comma = "";
    for (const Json& each : json.find("alphas")->items) {
      const std::vector<double> values = numbers(each);
      const std::vector<float> alphas(values.begin(), values.end());
      for (double temperature : {1.0, 0.1})
        for (pydarts_cost cost : {PYDARTS_COST_LATENCY, PYDARTS_COST_MACS}) {
          out += comma + expected(cost, alphas, temperature);
          comma = ", ";
        }
      for (const Json& limits : json.find("limits")->items)
        choices += (choices.empty() ? "" : ", ") + chosen(limits, alphas);
    }
    return out + "], \"chosen\": [" + choices + "]}";
  }

  const Json& json;
  const std::string space;
  int height, width;
  pydarts_network_options options = {sizeof options};
  capi::Budget budget;
};

}  // namespace

int main() {
  const std::string given{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
  const Json cases = pydarts::parse_json(given.data(), given.size());
  std::string out = "[";
  for (const Json& each : cases.items) out += (out.size() > 1 ? ",\n" : "") + Case(each).text();
  std::printf("%s]\n", out.c_str());
  return checked();
}

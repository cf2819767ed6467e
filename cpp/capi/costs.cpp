// SPDX-License-Identifier: MIT
// Costs and limits of the C API.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "capi/handles.hpp"
#include "capi/runtime.hpp"
#include "capi/tensor_files.hpp"
#include "core/processor.hpp"
#include "costs/budget.hpp"
#include "costs/expectation.hpp"
#include "costs/profile.hpp"
#include "network/limits.hpp"
#include "network/plan.hpp"

using namespace pydarts;

struct pydarts_budget : Border {
  pydarts_budget(Space space, const NetworkShape& shape, const pydarts_runtime& runtime)
      : runtime(runtime), environment(environment_of(runtime)), budget(std::move(space), shape) {}

  Measurement measurement(int batch, int repeats) const {
    Measurement how{environment, batch, repeats, {}};
    if (runtime.cancel) how.cancelled = [this] { return runtime.cancel(runtime.user) != 0; };
    return how;
  }

  const pydarts_runtime runtime;
  const Environment environment;
  Budget budget;
  std::optional<Profile> profile;
};

namespace {

constexpr int kMostBatch = 1 << 16, kMostRepeats = 1 << 20, kMostNetworks = 1 << 12;

const pydarts_costs kCosts = {sizeof(pydarts_costs)};
const pydarts_limits kLimits = {sizeof(pydarts_limits)};
const pydarts_profile_options kProfile = {sizeof(pydarts_profile_options), 1, kMinRepeats, 40};

static_assert(int(CostKind::latency) == PYDARTS_COST_LATENCY && int(CostKind::macs) == PYDARTS_COST_MACS &&
              int(CostKind::weights) == PYDARTS_COST_WEIGHTS && int(CostKind::memory) == PYDARTS_COST_MEMORY);

CostKind kind_of(std::int32_t cost) {
  require(cost >= PYDARTS_COST_LATENCY && cost <= PYDARTS_COST_MEMORY, "`cost` (=", cost, ") must be a pydarts_cost");
  return CostKind(cost);
}

void require_between(int value, const char* name, int least, int most) {
  require(value >= least && value <= most, "`", name, "` (=", value, ") must lie in ", least, "..", most);
}

Genotype genotype_of(const pydarts_budget& handle, const char* genotype, std::size_t size) {
  require(genotype, "`genotype` is null");
  Genotype read = reading("`genotype`", [&] { return read_genotype(genotype, size); });
  const Space& space = handle.budget.space();
  require(is_same(read.space, space), "`genotype` is of the space '", read.space.name, "', the budget of '", space.name,
          "', which is another one");
  return read;
}

struct Alphas {
  const float* values;
  bool edges;  // whether those of the edges' own weights are among them
};

Alphas alphas_of(const pydarts_budget& handle, const float* alphas, std::size_t count) {
  const Space& space = handle.budget.space();
  const std::size_t operations = table_offsets(space).back(), edges = num_edge_alphas(space);
  require(count == operations || count == operations + edges, "`num_alphas` (=", count, ") must be ", operations,
          ", or ", operations + edges, " with the weights of edges");
  require(alphas, "`alphas` is null");
  for (std::size_t i = 0; i < count; ++i)
    require(std::isfinite(alphas[i]), "`alphas[", i, "]` (=", alphas[i], ") must be finite");
  return {alphas, count > operations};
}

Limits limits_of(const pydarts_limits* limits) {
  const pydarts_limits l = known(limits, "limits", kLimits);
  const struct {
    const char* name;
    double value;
  } given[] = {{"latency", l.latency}, {"macs", l.macs}, {"weights", l.weights}, {"memory", l.memory}};
  Limits found{};
  for (int i = 0; i < kCostKinds; ++i) {
    require(given[i].value >= 0 && std::isfinite(given[i].value), "`limits->", given[i].name, "` (=", given[i].value,
            ") must be positive, or 0 for none");
    found.most[i] = given[i].value > 0 ? given[i].value : std::numeric_limits<double>::infinity();
  }
  return found;
}

// Of the machine that measured, for those who read a profile.
Json environment_json() {
  const Processor& cpu = processor();
  Json json;
  json.kind = Json::Kind::object;
  const auto add = [&](const char* name, const std::string& value) {
    json.names.emplace_back(name);
    json.items.emplace_back();
    json.items.back().kind = Json::Kind::string;
    json.items.back().text = value;
  };
  add("cpu_model", cpu.vendor[0] ? text(cpu.vendor, " family ", cpu.family, " model ", cpu.model) : "");
  add("instruction_set", instruction_set().name);
  add("pydarts", pydarts_version());
  return json;
}

void take(pydarts_budget& handle, Profile profile) {
  handle.budget.set_latency(profile.latency());
  handle.profile = std::move(profile);
}

}  // namespace

pydarts_status pydarts_network_costs(const pydarts_network* network, int32_t height, int32_t width,
                                     pydarts_costs* costs) {
  return Border::cross(network, [&] {
    const Graph& graph = network->engine().graph();  // over images
    require(network->genotype.has_value() || network->model.has_value(),
            "`network` is a supernet: costs are those of a derived network");
    check_images(graph, 1, graph.in_channels, height, width);
    Plan(graph, 1, height, width, false, false);  // where the sizes of states do not fit each other, it says so
    const NetworkConfig& c = network->config;
    const Counts counts =
        count_network(*network->genotype, {height, width, c.channels, c.cells, c.classes, c.in_channels, c.stem});
    pydarts_costs values = kCosts;
    values.macs = std::uint64_t(counts.macs);
    values.weights = std::uint64_t(counts.weights);
    values.memory = std::uint64_t(counts.memory);
    fill(costs, "costs", values);
  });
}

pydarts_status pydarts_budget_create(const pydarts_network_options* target, int32_t height, int32_t width,
                                     const pydarts_runtime* runtime, pydarts_budget** budget, char* message,
                                     size_t message_size) {
  if (budget) *budget = nullptr;
  return guarded(message, message_size, [&] {
    require(budget, "`budget` is null");
    pydarts_network_options defaults = {sizeof defaults};
    pydarts_network_options_defaults(&defaults);
    const pydarts_network_options o = known(target, "target", defaults);
    require(o.auxiliary_skip == 0 && o.partial_channels == 1,
            "`target->auxiliary_skip` and `partial_channels` (=", o.auxiliary_skip, ", ", o.partial_channels,
            ") are for supernets");
    require(o.imagenet_stem == 0 || o.imagenet_stem == 1, "`target->imagenet_stem` (=", o.imagenet_stem,
            ") must be 0 or 1");
    Space space =
        o.space ? reading("`target->space`", [&] { return read_space(o.space, o.space_size); }) : darts_space();
    const NetworkShape shape{
        height, width, o.channels, o.cells, o.classes, o.in_channels, o.imagenet_stem ? Stem::imagenet : Stem::cifar};
    *budget = std::make_unique<pydarts_budget>(std::move(space), shape, runtime_of(runtime)).release();
  });
}

pydarts_status pydarts_budget_destroy(pydarts_budget* budget) { return Border::destroy(budget); }

const char* pydarts_budget_error(const pydarts_budget* budget) { return budget ? budget->message() : kNoHandle; }

pydarts_status pydarts_budget_table(const pydarts_budget* budget, int32_t cost, double* fixed, double* table,
                                    size_t count) {
  return Border::cross(budget, [&] {
    const CostTable found = budget->budget.table(kind_of(cost));
    require(fixed, "`fixed` is null");
    require_array(table, count, found.entries.size(), "table");
    *fixed = found.fixed;
    std::copy(found.entries.begin(), found.entries.end(), table);
  });
}

pydarts_status pydarts_budget_range(const pydarts_budget* budget, int32_t cost, double* least, double* most) {
  return Border::cross(budget, [&] {
    const CostTable found = budget->budget.table(kind_of(cost));
    const Space& space = budget->budget.space();
    const double low = least_cost(space, found), high = largest_cost(space, found);
    if (least) *least = low;
    if (most) *most = high;
  });
}

pydarts_status pydarts_budget_predict(const pydarts_budget* budget, const char* genotype, size_t genotype_size,
                                      pydarts_costs* costs) {
  return Border::cross(budget, [&] {
    const auto found = budget->budget.predict(genotype_of(*budget, genotype, genotype_size));
    pydarts_costs values = kCosts;
    values.latency = found[PYDARTS_COST_LATENCY];
    values.macs = std::uint64_t(found[PYDARTS_COST_MACS]);
    values.weights = std::uint64_t(found[PYDARTS_COST_WEIGHTS]);
    values.memory = std::uint64_t(found[PYDARTS_COST_MEMORY]);
    fill(costs, "costs", values);
  });
}

pydarts_status pydarts_budget_expected(const pydarts_budget* budget, int32_t cost, const float* alphas,
                                       size_t num_alphas, double temperature, double* expected, double* gradient) {
  return Border::cross(budget, [&] {
    const CostTable table = budget->budget.table(kind_of(cost));
    const Alphas a = alphas_of(*budget, alphas, num_alphas);
    require(temperature > 0 && std::isfinite(temperature), "`temperature` (=", temperature,
            ") must be positive and finite");
    require(expected, "`expected` is null");
    const Space& space = budget->budget.space();
    std::vector<double> by_logs;
    const double value = expected_cost(space, log_weights(space, a.values, a.edges), table, temperature, by_logs);
    if (gradient) {
      const std::vector<double> found = alpha_gradient(space, a.values, a.edges, by_logs);
      std::copy(found.begin(), found.end(), gradient);
    }
    *expected = value;
  });
}

pydarts_status pydarts_limits_defaults(pydarts_limits* limits) {
  return guarded(nullptr, 0, [&] { fill(limits, "limits", kLimits); });
}

pydarts_status pydarts_budget_choose(const pydarts_budget* budget, const pydarts_limits* limits, const float* alphas,
                                     size_t num_alphas, char* buffer, size_t capacity, size_t* needed) {
  return Border::cross(budget, [&] {
    const Limits most = limits_of(limits);
    const Alphas a = alphas_of(*budget, alphas, num_alphas);
    const Genotype found = budget->budget.choose(log_weights(budget->budget.space(), a.values, a.edges), most);
    give_text(write_genotype(found), buffer, capacity, needed);
  });
}

pydarts_status pydarts_profile_options_defaults(pydarts_profile_options* options) {
  return guarded(nullptr, 0, [&] { fill(options, "options", kProfile); });
}

pydarts_status pydarts_budget_measure(pydarts_budget* budget, const pydarts_profile_options* options) {
  return Border::cross(budget, [&] {
    const pydarts_profile_options o = known(options, "options", kProfile);
    require_between(o.batch, "options->batch", 1, kMostBatch);
    require_between(o.repeats, "options->repeats", kMinRepeats, kMostRepeats);
    require_between(o.networks, "options->networks", 0, kMostNetworks);
    const Budget& b = budget->budget;
    Profile made = measure_profile(b.space(), b.shape(), budget->measurement(o.batch, o.repeats), o.networks);
    made.environment = environment_json();
    take(*budget, std::move(made));
  });
}

pydarts_status pydarts_budget_read_profile(pydarts_budget* budget, const char* profile, size_t profile_size) {
  return Border::cross(budget, [&] {
    require(profile, "`profile` is null");
    const Budget& b = budget->budget;
    Profile read = reading("`profile`", [&] { return read_profile(profile, profile_size, b.space(), b.shape()); });
    take(*budget, std::move(read));
  });
}

pydarts_status pydarts_budget_write_profile(const pydarts_budget* budget, char* buffer, size_t capacity,
                                            size_t* needed) {
  return Border::cross(budget, [&] {
    require(budget->profile.has_value(), "there are no latencies: measure or read them first");
    give_text(write_profile(*budget->profile), buffer, capacity, needed);
  });
}

pydarts_status pydarts_budget_measure_network(const pydarts_budget* budget, const char* genotype, size_t genotype_size,
                                              int32_t repeats, double* seconds) {
  return Border::cross(budget, [&] {
    require_between(repeats, "repeats", 1, kMostRepeats);
    require(seconds, "`seconds` is null");
    const Genotype cells = genotype_of(*budget, genotype, genotype_size);
    const int batch = budget->profile ? budget->profile->batch : 1;
    *seconds = measure_genotypes({cells}, budget->budget.shape(), budget->measurement(batch, repeats))[0].median;
  });
}

pydarts_status pydarts_budget_set_correction(pydarts_budget* budget, double factor) {
  return Border::cross(budget, [&] {
    require(factor > 0 && std::isfinite(factor), "`factor` (=", factor, ") must be positive and finite");
    budget->budget.set_correction(factor);
  });
}

// SPDX-License-Identifier: MIT
// Python's view of what networks cost. Genotypes come and go as JSON; a shape is (height, width, channels, cells,
// classes, in_channels, stem), a place as `Place` in pydarts/costs/shape.py, a timing (median, low, high).
#include <limits>
#include <map>
#include <string>
#include <tuple>

#include "bindings/engine.hpp"
#include "core/environment.hpp"
#include "costs/budget.hpp"
#include "costs/correction.hpp"
#include "costs/expectation.hpp"
#include "costs/profile.hpp"

namespace pydarts {
namespace {

using Doubles = Array<double>;
using ShapeTuple = std::tuple<int, int, int, int, int, int, std::string>;
using PlaceTuple = std::tuple<std::string, int, int, std::pair<int, int>, int>;
using TimingTuple = std::tuple<double, double, double>;
using CountsTuple = std::tuple<std::int64_t, std::int64_t, std::int64_t>;
using Factors = std::map<Profile::Group, double>;

Genotype genotype_of(const std::string& json) { return read_genotype(json.data(), json.size()); }

std::vector<Genotype> genotypes_of(const std::vector<std::string>& texts) {
  std::vector<Genotype> found;
  for (const std::string& text : texts) found.push_back(genotype_of(text));
  return found;
}

NetworkShape shape_of(const ShapeTuple& s) {
  return {std::get<0>(s), std::get<1>(s), std::get<2>(s),         std::get<3>(s),
          std::get<4>(s), std::get<5>(s), stem_of(std::get<6>(s))};
}

Place place_of(const PlaceTuple& p) {
  const auto [height, width] = std::get<3>(p);
  return {std::get<0>(p), std::get<1>(p), std::get<2>(p), height, width, std::get<4>(p)};
}

PlaceTuple tuple_of(const Place& p) { return {p.operation, p.inputs, p.channels, {p.height, p.width}, p.stride}; }
TimingTuple tuple_of(const Timing& t) { return {t.median, t.low, t.high}; }
CountsTuple tuple_of(const Counts& c) { return {c.macs, c.weights, c.memory}; }
Timing timing_of(const TimingTuple& t) { return {std::get<0>(t), std::get<1>(t), std::get<2>(t)}; }

std::vector<TimingTuple> tuples_of(const std::vector<Timing>& timings) {
  std::vector<TimingTuple> found;
  for (const Timing& timing : timings) found.push_back(tuple_of(timing));
  return found;
}

std::optional<std::string> text_of(const std::optional<Genotype>& genotype) {
  if (!genotype) return std::nullopt;
  return write_genotype(*genotype);
}

std::vector<double> entries_of(const Space& space, const Doubles& values, const char* name) {
  const std::size_t entries = table_offsets(space).back();
  require(std::size_t(values.size()) == entries, "`", name, "` has ", values.size(), " entries, not ", entries);
  return {values.data(), values.data() + values.size()};
}

void check_table(const Space& space, const CostTable& table) {
  const std::size_t entries = table_offsets(space).back();
  require(table.entries.size() == entries, "`table` has ", table.entries.size(), " entries, not ", entries);
}

CostKind kind_of(int kind) {
  require(kind >= 0 && kind < kCostKinds, "`kind` (=", kind, ") must lie in 0..", kCostKinds - 1);
  return CostKind(kind);
}

// Ctrl-C ends it.
template <class Measure>
auto measured(int batch, int threads, int repeats, Measure measure) {
  require(batch >= 1, "`batch` (=", batch, ") must be positive");
  require(threads >= 1 && threads <= kMaxThreads, "`threads` (=", threads, ") must lie in 1..", kMaxThreads);
  require(repeats >= 1, "`repeats` (=", repeats, ") must be positive");
  const std::optional<Clock::time_point> no_deadline;
  try {
    py::gil_scoped_release release;
    return measure(Measurement{Environment{threads}, batch, repeats, Interrupt(no_deadline)});
  } catch (const Cancelled&) {
    throw py::error_already_set();
  }
}

}  // namespace

void bind_costs(py::module_& m) {
  py::class_<Space>(m, "Space")
      .def(py::init([](const std::string& json) { return read_space(json.data(), json.size()); }), py::arg("json"))
      .def(
          "places",
          [](const Space& self, const ShapeTuple& shape) {
            std::vector<std::vector<PlaceTuple>> found;
            for (const auto& where : places(self, shape_of(shape))) {
              found.emplace_back();
              for (const Place& place : where) found.back().push_back(tuple_of(place));
            }
            return found;
          },
          py::arg("shape"));

  py::class_<CostTable>(m, "CostTable")
      .def(py::init([](double fixed, const Doubles& entries, bool pools_once) {
             return CostTable{fixed, {entries.data(), entries.data() + entries.size()}, pools_once};
           }),
           py::arg("fixed"), py::arg("entries"), py::arg("pools_once"))
      .def_readonly("fixed", &CostTable::fixed)
      .def_property_readonly(
          "entries",
          [](const CostTable& self) { return Doubles(py::ssize_t(self.entries.size()), self.entries.data()); })
      .def_readonly("pools_once", &CostTable::pools_once)
      .def(
          "predict",
          [](const CostTable& self, const std::string& genotype) {
            const Genotype read = genotype_of(genotype);
            check_table(read.space, self);
            return self.predict(read);
          },
          py::arg("genotype"));

  m.def(
      "count_network",
      [](const std::string& genotype, const ShapeTuple& shape) {
        return tuple_of(count_network(genotype_of(genotype), shape_of(shape)));
      },
      py::arg("genotype"), py::arg("shape"));
  m.def(
      "count_fixed",
      [](const Space& space, const ShapeTuple& shape) {
        return tuple_of(count_network(without_operations(space), shape_of(shape)));
      },
      py::arg("space"), py::arg("shape"));
  m.def(
      "count_operation",
      [](const Space& space, const PlaceTuple& place) {
        const Place at = place_of(place);
        return tuple_of(count_operation(operation_of(space, at.operation), at, space));
      },
      py::arg("space"), py::arg("place"));
  m.def(
      "expected_cost",
      [](const Space& space, const Doubles& log_weights, const CostTable& table, double temperature) {
        check_table(space, table);
        require(temperature > 0, "`temperature` (=", temperature, ") must be positive");
        std::vector<double> gradient;
        const double value =
            expected_cost(space, entries_of(space, log_weights, "log_weights"), table, temperature, gradient);
        return std::make_pair(value, Doubles(py::ssize_t(gradient.size()), gradient.data()));
      },
      py::arg("space"), py::arg("log_weights"), py::arg("table"), py::arg("temperature"));
  m.def(
      "choose_cell",
      [](const Space& space, const Doubles& values, const CostTable& table, double least, double most) {
        check_table(space, table);
        return text_of(choose_cell(space, entries_of(space, values, "values"), table, least, most));
      },
      py::arg("space"), py::arg("values"), py::arg("table"), py::arg("least"), py::arg("most"));
  m.def(
      "cost_range",
      [](const Space& space, const CostTable& table) {
        check_table(space, table);
        return std::make_pair(least_cost(space, table), largest_cost(space, table));
      },
      py::arg("space"), py::arg("table"));
  m.def(
      "fit_correction",
      [](const std::vector<std::vector<double>>& parts, const std::vector<double>& measured) {
        require(!parts.empty() && parts.size() == measured.size(), "there are ", parts.size(), " `parts` and ",
                measured.size(), " `measured`");
        for (const auto& row : parts) require(row.size() == parts[0].size(), "the rows of `parts` differ in length");
        const Correction found = fit_correction(parts, measured);
        return std::make_pair(found.factors, found.error);
      },
      py::arg("parts"), py::arg("measured"));

  py::class_<Budget>(m, "Budget")
      .def(py::init([](const Space& space, const ShapeTuple& shape) {
             return std::make_unique<Budget>(space, shape_of(shape));
           }),
           py::arg("space"), py::arg("shape"))
      .def_property("correction", &Budget::correction, &Budget::set_correction)
      .def_property_readonly("has_latency", &Budget::has_latency)
      .def(
          "set_latency",
          [](Budget& self, const CostTable& table) {
            check_table(self.space(), table);
            self.set_latency(table);
          },
          py::arg("table"))
      .def(
          "table", [](const Budget& self, int kind) { return self.table(kind_of(kind)); }, py::arg("kind"))
      .def(
          "least", [](const Budget& self, int kind) { return self.least(kind_of(kind)); }, py::arg("kind"))
      .def(
          "predict",
          [](const Budget& self, const std::string& genotype) { return self.predict(genotype_of(genotype)); },
          py::arg("genotype"))
      .def(
          "find",
          [](const Budget& self, const Doubles& log_weights, const std::array<double, kCostKinds>& most) {
            const std::vector<double> logs = entries_of(self.space(), log_weights, "log_weights");
            // The table of the memory is made when it is first wanted: not without the lock.
            if (most[int(CostKind::memory)] < kInfinity) self.table(CostKind::memory);
            py::gil_scoped_release release;
            return text_of(self.find(logs, {most}));
          },
          py::arg("log_weights"), py::arg("most"));

  py::class_<Profile>(m, "Profile")
      .def(py::init([](const Space& space, const ShapeTuple& shape,
                       const std::vector<std::pair<PlaceTuple, TimingTuple>>& timings, const TimingTuple& fixed,
                       double fixed_factor, const Factors& factors) {
             Profile made{space, shape_of(shape), 1, 1, {}, timing_of(fixed), timing_of(fixed)};
             for (const auto& [place, timing] : timings) made.timings[place_of(place)] = timing_of(timing);
             for (const auto& where : places(space, made.shape))
               for (const Place& place : where)
                 require(made.timings.count(place) > 0, "there is no time of '", place.operation, "' from ",
                         place.inputs, " to ", place.channels, " channels at ", place.height, " x ", place.width,
                         " with stride ", place.stride);
             made.fixed_factor = fixed_factor;
             made.factors = factors;
             return made;
           }),
           py::arg("space"), py::arg("shape"), py::arg("timings"), py::arg("fixed"), py::arg("fixed_factor"),
           py::arg("factors"))
      .def_readonly("fixed_factor", &Profile::fixed_factor)
      .def_readonly("factors", &Profile::factors)
      .def_readonly("error", &Profile::error)
      .def("latency", &Profile::latency)
      .def(
          "fit",
          [](Profile& self, const std::vector<std::string>& genotypes, const std::vector<double>& seconds) {
            require(!genotypes.empty() && genotypes.size() == seconds.size(), "there are ", genotypes.size(),
                    " `genotypes` and ", seconds.size(), " `seconds`");
            std::vector<Timing> timings;
            for (double median : seconds) timings.push_back({median, median, median});
            fit_factors(self, genotypes_of(genotypes), timings);
          },
          py::arg("genotypes"), py::arg("seconds"));

  m.def(
      "measure_places",
      [](const Space& space, const std::vector<PlaceTuple>& wanted, int batch, int threads, int repeats) {
        std::vector<Place> all;
        for (const PlaceTuple& place : wanted) all.push_back(place_of(place));
        const auto found =
            measured(batch, threads, repeats, [&](const Measurement& how) { return measure_places(space, all, how); });
        std::vector<TimingTuple> timings;
        for (const Place& place : all) timings.push_back(tuple_of(found.at(place)));
        return timings;
      },
      py::arg("space"), py::arg("places"), py::arg("batch"), py::arg("threads"), py::arg("repeats"));
  m.def(
      "measure_genotypes",
      [](const std::vector<std::string>& genotypes, const ShapeTuple& shape, int batch, int threads, int repeats) {
        const std::vector<Genotype> cells = genotypes_of(genotypes);
        const NetworkShape sizes = shape_of(shape);
        return tuples_of(measured(batch, threads, repeats,
                                  [&](const Measurement& how) { return measure_genotypes(cells, sizes, how); }));
      },
      py::arg("genotypes"), py::arg("shape"), py::arg("batch"), py::arg("threads"), py::arg("repeats"));
  m.def(
      "measure_fixed",
      [](const Space& space, const ShapeTuple& shape, int batch, int threads, int repeats) {
        const NetworkShape sizes = shape_of(shape);
        return measured(batch, threads, repeats, [&](const Measurement& how) {
          return std::make_pair(tuple_of(measure_genotypes({without_operations(space)}, sizes, how)[0]),
                                tuple_of(measure_stem(space, sizes, how)));
        });
      },
      py::arg("space"), py::arg("shape"), py::arg("batch"), py::arg("threads"), py::arg("repeats"));
}

}  // namespace pydarts

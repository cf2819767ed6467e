// SPDX-License-Identifier: MIT
// Limits on the cost of the network that is to be trained, and the cells that meet them.
#pragma once
#include <array>
#include <optional>

#include "costs/choice.hpp"

namespace pydarts {

enum class CostKind { latency, macs, weights, memory };
constexpr int kCostKinds = 4;

struct Limits {
  std::array<double, kCostKinds> most;  // by CostKind: seconds, multiply-adds, weights, bytes; infinity: none
};

class Budget {
 public:
  // InvalidArgument if there is no such network.
  Budget(Space space, const NetworkShape& shape);

  const Space& space() const { return space_; }
  const NetworkShape& shape() const { return shape_; }

  bool has_latency() const { return tables_[int(CostKind::latency)].has_value(); }
  void set_latency(CostTable table) { tables_[int(CostKind::latency)] = std::move(table); }
  // What measured latencies were over predicted ones: predictions are multiplied by it.
  void set_correction(double factor) { correction_ = factor; }
  double correction() const { return correction_; }

  // With the correction. InvalidArgument if there are no latencies.
  CostTable table(CostKind kind) const;

  // By CostKind: of latency what is predicted, 0 if that is not known, the others counted.
  std::array<double, kCostKinds> predict(const Genotype& genotype) const;

  // The likeliest cell that meets the limits, of those that use at least nine tenths of a limit if there are such. For
  // one limit on latency, multiply-adds or weights it is the likeliest one; for several of them, and for memory, others
  // are penalised until they are met, and a likelier one may be missed. Nothing if none was found.
  std::optional<Genotype> find(const std::vector<double>& log_weights, const Limits& limits) const;
  // The same; InvalidArgument if none was found: it says what the least is.
  Genotype choose(const std::vector<double>& log_weights, const Limits& limits) const;

  // What the cheapest cell has: of memory the least of those that were tried.
  double least(CostKind kind) const;

 private:
  std::optional<Genotype> likeliest(const std::vector<double>& log_weights, const Limits& limits,
                                    const std::vector<CostKind>& binding) const;
  std::optional<Genotype> meet(const std::vector<double>& log_weights, const Limits& limits,
                               const std::vector<CostKind>& binding, const CostKind* first, bool uses_most) const;
  std::vector<CostKind> binding(const Limits& limits) const;

  Space space_;
  NetworkShape shape_;
  double correction_ = 1;
  mutable std::array<std::optional<CostTable>, kCostKinds> tables_;  // that of the memory once it is asked for
};

}  // namespace pydarts

// SPDX-License-Identifier: MIT
#include "capi/runtime.hpp"

#include "capi/border.hpp"

namespace pydarts {
namespace {

const pydarts_runtime kDefaults = {sizeof(pydarts_runtime)};

}  // namespace

pydarts_runtime runtime_of(const pydarts_runtime* runtime) {
  return runtime ? known(runtime, "runtime", kDefaults) : kDefaults;
}

Environment environment_of(const pydarts_runtime& runtime) {
  require(runtime.threads >= 0 && runtime.threads <= kMaxThreads, "`runtime->threads` (=", runtime.threads,
          ") must lie in 0..", kMaxThreads);
  require(!runtime.allocate == !runtime.release, "`runtime` needs both of `allocate` and `release`, or neither");
  const int threads = runtime.threads ? runtime.threads : default_threads();
  return {{threads, runtime.parallel_for, runtime.user},
          {runtime.user, runtime.allocate, runtime.release},
          {runtime.user, runtime.log}};
}

Environment environment_alone(const pydarts_runtime& runtime) {
  require(runtime.ranks >= 0 && runtime.ranks <= 1, "`runtime->ranks` (=", runtime.ranks,
          ") must be 0 or 1: one process computes this");
  return environment_of(runtime);
}

Communicator communicator_of(const pydarts_runtime& runtime) {
  require(runtime.ranks >= 0 && runtime.ranks <= kMaxRanks, "`runtime->ranks` (=", runtime.ranks, ") must lie in 0..",
          kMaxRanks);
  if (runtime.ranks <= 1) return {};
  require(runtime.rank >= 0 && runtime.rank < runtime.ranks, "`runtime->rank` (=", runtime.rank, ") must lie in 0..",
          runtime.ranks - 1);
  require(runtime.gather && runtime.broadcast, "`runtime` needs `gather` and `broadcast` for ", runtime.ranks,
          " ranks");
  return {runtime.rank, runtime.ranks, runtime.gather, runtime.broadcast, runtime.user};
}

}  // namespace pydarts

pydarts_status pydarts_runtime_defaults(pydarts_runtime* runtime) {
  return pydarts::guarded(nullptr, 0, [&] { pydarts::fill(runtime, "runtime", pydarts::runtime_of(nullptr)); });
}

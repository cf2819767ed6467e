// SPDX-License-Identifier: MIT
// Profiles of latency, read by a budget of the target that the seed is of.
#include "fuzz.hpp"

namespace {

pydarts_budget* budget;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char space[] = "\"s2\"";
  pydarts_network_options target = capi::options();
  target.channels = 2;
  target.cells = 1;
  target.classes = 2;
  target.in_channels = 1;
  target.space = space;
  target.space_size = sizeof(space) - 1;
  const pydarts_runtime runtime = capi::runtime();
  if (pydarts_budget_create(&target, 8, 8, &runtime, &budget, nullptr, 0) != PYDARTS_OK) std::abort();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* bytes, std::size_t size) {
  const fuzz::Exact file(bytes, size);
  const pydarts_status status = pydarts_budget_read_profile(budget, file.data.get(), file.size);
  if (!fuzz::good(status, status == PYDARTS_OK ? bytes : nullptr)) return 0;
  double least, most;
  if (pydarts_budget_range(budget, PYDARTS_COST_LATENCY, &least, &most) == PYDARTS_INTERNAL) std::abort();
  std::size_t needed = 0;
  if (pydarts_budget_write_profile(budget, nullptr, 0, &needed) != PYDARTS_OK) std::abort();
  std::string text(needed, '\0');
  if (pydarts_budget_write_profile(budget, &text[0], needed, nullptr) != PYDARTS_OK) std::abort();
  if (pydarts_budget_read_profile(budget, text.c_str(), needed - 1) != PYDARTS_OK) {
    std::fprintf(stderr, "does not read again: %s\n", pydarts_budget_error(budget));
    std::abort();
  }
  return 0;
}

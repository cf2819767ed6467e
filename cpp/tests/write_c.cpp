// SPDX-License-Identifier: MIT
// Writes a model's folder, the first argument, as a C file, the second one, and prints what is told of it, and what the
// network costs: to be held against Python's.
#include "capi.hpp"
#include "check.hpp"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  pydarts_network* made;
  char message[512];
  const pydarts_runtime runtime = capi::runtime();
  CHECK(pydarts_model_load(argv[1], &runtime, &made, message, sizeof message) == PYDARTS_OK);
  const capi::Net net(made);
  pydarts_c_options options = {sizeof options};
  CHECK(pydarts_c_options_defaults(&options) == PYDARTS_OK);
  pydarts_c_file file = {sizeof file};
  CHECK(pydarts_network_to_c(net.get(), &options, argv[2], &file) == PYDARTS_OK);
  const pydarts_network_info info = capi::info(net);
  pydarts_costs costs = {sizeof costs};
  CHECK(pydarts_network_costs(net.get(), info.image_height, info.image_width, &costs) == PYDARTS_OK);
  if (failed_checks) std::fprintf(stderr, "%s\n", pydarts_network_error(net.get()));
  for (std::uint64_t number : {file.constants, file.arena, file.macs, costs.macs, costs.weights, costs.memory})
    std::printf("%llu\n", static_cast<unsigned long long>(number));
  return checked();
}

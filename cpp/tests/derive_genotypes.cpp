// SPDX-License-Identifier: MIT
// Reads the alphas of supernets from the standard input, 2 * 14 * 8 numbers each, and prints their genotypes: to be
// held against Python's.
#include <cstdio>

#include "capi.hpp"
#include "check.hpp"

int main() {
  capi::Net net;
  CHECK(capi::supernet(net, capi::runtime()) == PYDARTS_OK);
  std::vector<float> alphas(capi::info(net).num_alphas);
  for (;;) {
    for (float& alpha : alphas)
      if (std::scanf("%f", &alpha) != 1) return checked();
    char text[4096];
    CHECK(pydarts_network_set(net.get(), PYDARTS_ALPHAS, alphas.data(), alphas.size()) == PYDARTS_OK);
    CHECK(pydarts_network_genotype(net.get(), text, sizeof text, nullptr) == PYDARTS_OK);
    std::printf("%s\n", text);
  }
}

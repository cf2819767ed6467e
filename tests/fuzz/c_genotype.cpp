// SPDX-License-Identifier: MIT
// Genotypes and spaces in JSON: the first byte says whether of images, of text, or a supernet's space.
#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* bytes, std::size_t size) {
  if (size == 0) return 0;
  const fuzz::Exact file(bytes + 1, size - 1);
  const pydarts_runtime runtime = capi::runtime();
  const pydarts_network_options options = capi::options();
  pydarts_network* made = nullptr;
  pydarts_status status;
  if (bytes[0] == 'r') {
    pydarts_text_options text = {sizeof text};
    pydarts_text_options_defaults(&text);
    text.vocab_size = 5;
    text.hidden_size = 3;
    status = pydarts_text_derived_create(file.data.get(), file.size, &text, &runtime, &made, nullptr, 0);
  } else if (bytes[0] == 's') {
    pydarts_network_options of_space = options;
    of_space.space = file.data.get();
    of_space.space_size = file.size;
    status = pydarts_supernet_create(&of_space, &runtime, &made, nullptr, 0);
  } else {
    status = pydarts_derived_create(file.data.get(), file.size, &options, &runtime, &made, nullptr, 0);
  }
  const capi::Net net(made);
  if (!fuzz::good(status, made) || bytes[0] == 'r') return 0;
  // What was taken makes a network, whose genotype reads again.
  const capi::Images images(1, 2);
  float logits[2 * 3];
  if (pydarts_logits(net.get(), &images.batch, 0, logits, 6) == PYDARTS_INTERNAL) std::abort();
  std::size_t needed = 0;
  if (pydarts_network_genotype(net.get(), nullptr, 0, &needed) != PYDARTS_OK) return 0;
  std::string text(needed, '\0');
  if (pydarts_network_genotype(net.get(), &text[0], needed, nullptr) != PYDARTS_OK) std::abort();
  pydarts_network* again = nullptr;
  if (pydarts_derived_create(text.c_str(), needed - 1, &options, &runtime, &again, nullptr, 0) != PYDARTS_OK) {
    std::fprintf(stderr, "does not read again: %s\n", text.c_str());
    std::abort();
  }
  pydarts_network_destroy(again);
  return 0;
}

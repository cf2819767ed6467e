// SPDX-License-Identifier: MIT
// The state of an optimizer over images (`i`) or text, which stays as it was where a file is refused.
#include "fuzz.hpp"

namespace {

capi::Net image_net, text_net;
capi::Optimizer image_optimizer, text_optimizer;

std::string state(const capi::Optimizer& optimizer) {
  std::size_t size = 0;
  if (pydarts_optimizer_write(optimizer.get(), nullptr, 0, &size) != PYDARTS_OK) std::abort();
  std::string bytes(size, '\0');
  if (pydarts_optimizer_write(optimizer.get(), &bytes[0], size, nullptr) != PYDARTS_OK) std::abort();
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  if (capi::derived(image_net, capi::runtime()) != PYDARTS_OK) std::abort();
  if (capi::optimizer(image_optimizer, image_net) != PYDARTS_OK) std::abort();
  pydarts_text_options options = {sizeof options};
  pydarts_text_options_defaults(&options);
  options.vocab_size = 3;
  options.hidden_size = 2;
  const pydarts_runtime runtime = capi::runtime();
  pydarts_network* made;
  if (pydarts_text_supernet_create(&options, &runtime, &made, nullptr, 0) != PYDARTS_OK) std::abort();
  text_net.reset(made);
  if (capi::optimizer(text_optimizer, text_net) != PYDARTS_OK) std::abort();
  if (const char* seeds = std::getenv("SEEDS")) {  // whole files to begin with
    const std::string to = seeds;
    capi::write(to + "/image", "i" + state(image_optimizer));
    capi::write(to + "/text", "t" + state(text_optimizer));
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* bytes, std::size_t size) {
  if (size == 0) return 0;
  const capi::Optimizer& optimizer = bytes[0] == 'i' ? image_optimizer : text_optimizer;
  const fuzz::Exact file(bytes + 1, size - 1);
  const std::string before = state(optimizer);
  const pydarts_status status = pydarts_optimizer_read(optimizer.get(), file.data.get(), file.size);
  if (fuzz::good(status, status == PYDARTS_OK ? bytes : nullptr)) return 0;
  if (state(optimizer) != before) std::abort();
  return 0;
}

// SPDX-License-Identifier: MIT
// Models over images (`d`: model.json, `w`: model.safetensors) and over text (`D`, `W`): the other of the two files is
// whole.
#include "fuzz.hpp"

namespace {

const char kCell[] =
    "{\"format\": \"pydarts-genotype\", \"version\": 1, \"kind\": \"recurrent\", \"recurrent\": [[\"relu\", 0], "
    "[\"tanh\", 1]], \"concat\": [1, 2]}";
const std::string kTextDescription =
    std::string("{\"format\": \"pydarts-language-model\", \"version\": 1, \"genotype\": ") + kCell +
    ", \"level\": \"char\", \"tokens\": [\"<unk>\", \"a\", \"b\"], \"config\": {\"hidden_size\": 2, \"dropout\": 0.5, "
    "\"dropout_hidden\": 0.25, \"dropout_input\": 0.5, \"dropout_embedding\": 0.1}, \"history\": []}";

std::string image_weights, text_weights;

std::string saved(const capi::Net& net, const std::string& path) {
  if (pydarts_network_save(net.get(), path.c_str()) != PYDARTS_OK) std::abort();
  return capi::content(path);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* folder = std::getenv("TMPDIR");
  const std::string path = std::string(folder ? folder : ".") + "/weights";
  capi::Net net;
  if (capi::derived(net, capi::runtime()) != PYDARTS_OK) std::abort();
  image_weights = saved(net, path);
  pydarts_text_options options = {sizeof options};
  pydarts_text_options_defaults(&options);
  options.vocab_size = 3;
  options.hidden_size = 2;
  const pydarts_runtime runtime = capi::runtime();
  pydarts_network* made;
  if (pydarts_text_derived_create(kCell, sizeof(kCell) - 1, &options, &runtime, &made, nullptr, 0) != PYDARTS_OK)
    std::abort();
  text_weights = saved(capi::Net(made), path);
  if (const char* seeds = std::getenv("SEEDS")) {  // whole files to begin with
    const std::string to = seeds;
    capi::write(to + "/description", "d" + capi::kDescription);
    capi::write(to + "/weights", "w" + image_weights);
    capi::write(to + "/text_description", "D" + kTextDescription);
    capi::write(to + "/text_weights", "W" + text_weights);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* bytes, std::size_t size) {
  if (size == 0) return 0;
  const bool text = bytes[0] == 'D' || bytes[0] == 'W', weights = bytes[0] == 'w' || bytes[0] == 'W';
  const fuzz::Exact file(bytes + 1, size - 1);
  const std::string& whole = weights ? text ? kTextDescription : capi::kDescription
                             : text  ? text_weights
                                     : image_weights;
  const pydarts_runtime runtime = capi::runtime();
  pydarts_network* made = nullptr;
  const char *json = weights ? whole.data() : file.data.get(), *tensors = weights ? file.data.get() : whole.data();
  const std::size_t json_size = weights ? whole.size() : file.size, rest = weights ? file.size : whole.size();
  const auto read = text ? pydarts_text_model_read : pydarts_model_read;
  const pydarts_status status = read(json, json_size, tensors, rest, &runtime, &made, nullptr, 0);
  const capi::Net net(made);
  if (!fuzz::good(status, made)) return 0;
  const pydarts_network_info info = capi::info(net);
  for (std::int32_t i = 0; i < info.classes; ++i) {
    std::size_t needed = 0;
    if (pydarts_network_label(net.get(), i, nullptr, 0, &needed) != PYDARTS_OK) std::abort();
  }
  if (text) return 0;
  const capi::Images images(1, 2);
  std::vector<float> logits(2 * std::size_t(info.classes));
  if (pydarts_logits(net.get(), &images.batch, 0, logits.data(), logits.size()) == PYDARTS_INTERNAL) std::abort();
  return 0;
}

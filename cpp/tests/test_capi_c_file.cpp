// SPDX-License-Identifier: MIT
// C files of the C API: what is told of them, and what is refused. That their text is Python's is tested by
// tests/test_library.py with write_c.
#include <cstring>
#include <limits>

#include "capi.hpp"
#include "check.hpp"

namespace {

pydarts_c_options options(int height = 6, int width = 7) {
  pydarts_c_options o = {sizeof o};
  pydarts_c_options_defaults(&o);
  o.height = height;
  o.width = width;
  return o;
}

void a_file_is_written(const std::string& path) {
  capi::Net net;
  CHECK(capi::derived(net, capi::runtime()) == PYDARTS_OK);
  pydarts_c_options o = options();
  o.name = "tiny";
  pydarts_c_file file = {sizeof file};
  CHECK(pydarts_network_to_c(net.get(), &o, path.c_str(), &file) == PYDARTS_OK);
  const std::string text = capi::content(path);
  CHECK(text.find("void tiny_predict(const float *image, float *logits);") != std::string::npos);
  CHECK(text.find("static float tiny_arena[" + std::to_string(file.arena / 4) + "];") != std::string::npos);
  CHECK(text.find("NAME") == std::string::npos);
  pydarts_costs costs = {sizeof costs};
  CHECK(pydarts_network_costs(net.get(), 6, 7, &costs) == PYDARTS_OK);
  CHECK(file.macs == costs.macs);
  CHECK(file.constants > 4 * capi::info(net).num_weights / 2);

  const float mean[] = {1.5f, 2}, deviation[] = {0.5f, 4};
  o.mean = mean;
  o.deviation = deviation;
  CHECK(pydarts_network_to_c(net.get(), &o, path.c_str(), nullptr) == PYDARTS_OK);
  CHECK(capi::content(path).find("tiny_mean[2] = {\n  1.5f, 2.0f,\n};") != std::string::npos);
  CHECK(capi::content(path).find("tiny_unit[2] = {\n  0.5f, 4.0f,\n};") != std::string::npos);
}

void a_models_labels_end_no_comment(const std::string& folder) {
  capi::Net net;
  CHECK(capi::derived(net, capi::runtime()) == PYDARTS_OK);
  std::string description = capi::kDescription;
  const std::size_t at = description.find("a\\u00e9");
  CHECK(at != std::string::npos);
  description.replace(at, 7,
                      "*/ int x; /*?"
                      "?/");
  const std::string weights = folder + "/weights";
  CHECK(pydarts_network_save(net.get(), weights.c_str()) == PYDARTS_OK);
  const std::string bytes = capi::content(weights), path = folder + "/labels.c";
  pydarts_network* made = nullptr;
  CHECK(pydarts_model_read(description.data(), description.size(), bytes.data(), bytes.size(), nullptr, &made, nullptr,
                           0) == PYDARTS_OK);
  const capi::Net model(made);
  const pydarts_c_options o = options(0, 0);  // those of the model
  CHECK(pydarts_network_to_c(model.get(), &o, path.c_str(), nullptr) == PYDARTS_OK);
  const std::string text = capi::content(path);
  CHECK(text.find("* / int x; / *? ?/") != std::string::npos);
  CHECK(text.find("(2, 6, 7)") != std::string::npos && text.find("model_mean[2] = {\n  1.5f, 2.0f,") != text.npos);
}

void nonsense_is_refused(const std::string& folder) {
  capi::Net net, searched;
  CHECK(capi::derived(net, capi::runtime()) == PYDARTS_OK);
  CHECK(capi::supernet(searched, capi::runtime()) == PYDARTS_OK);
  const std::string path = folder + "/refused.c";
  const auto write = [&](const capi::Net& from, const pydarts_c_options& o) {
    return pydarts_network_to_c(from.get(), &o, path.c_str(), nullptr);
  };
  CHECK(write(searched, options()) == PYDARTS_INVALID_ARGUMENT);
  CHECK(capi::error_is(searched, "`network` is a supernet: what is written in C is a derived network"));
  for (const char* name : {"", "1a", "a b", "a;", "\xc3\xa9", "a23456789012345678901234567890123456789012345678x"}) {
    pydarts_c_options o = options();
    o.name = name;
    CHECK(write(net, o) == PYDARTS_INVALID_ARGUMENT);
    CHECK(capi::error_is(net, "`options->name` (=" + std::string(name) +
                                  ") must begin with a letter, and go on with up to 47 letters, digits and _"));
  }
  CHECK(write(net, options(0, 7)) == PYDARTS_INVALID_ARGUMENT);
  CHECK(write(net, options(6, 1 << 20)) == PYDARTS_INVALID_ARGUMENT);
  pydarts_c_options o = options();
  const float zero[] = {1, 0}, nan[] = {1, std::numeric_limits<float>::quiet_NaN()};
  o.deviation = zero;
  CHECK(write(net, o) == PYDARTS_INVALID_ARGUMENT);
  CHECK(capi::error_is(net, "`options->deviation[1]` (=0) must be positive and finite"));
  o = options();
  o.mean = nan;
  CHECK(write(net, o) == PYDARTS_INVALID_ARGUMENT);
  o = options();
  o.size = 4;
  CHECK(write(net, o) == PYDARTS_INVALID_ARGUMENT);
  CHECK(pydarts_network_to_c(net.get(), nullptr, path.c_str(), nullptr) == PYDARTS_INVALID_ARGUMENT);
  o = options();
  CHECK(pydarts_network_to_c(net.get(), &o, nullptr, nullptr) == PYDARTS_INVALID_ARGUMENT);
  CHECK(capi::content(path).empty());
  CHECK(pydarts_network_to_c(net.get(), &o, (folder + "/no/such/folder.c").c_str(), nullptr) == PYDARTS_BAD_FILE);
  // Running statistics that overflow in what is folded.
  std::vector<float> weights = capi::values(net, PYDARTS_WEIGHTS), running = capi::values(net, PYDARTS_RUNNING);
  for (float& value : weights) value = std::numeric_limits<float>::max();
  for (float& value : running) value = 0;
  CHECK(pydarts_network_set(net.get(), PYDARTS_WEIGHTS, weights.data(), weights.size()) == PYDARTS_OK);
  CHECK(pydarts_network_set(net.get(), PYDARTS_RUNNING, running.data(), running.size()) == PYDARTS_OK);
  CHECK(write(net, options()) == PYDARTS_INVALID_ARGUMENT);
  CHECK(std::strstr(pydarts_network_error(net.get()), "`network` has NaN or infinite numbers in model_weight_"));
  CHECK(capi::content(path).empty());
}

// A residual block halves its shortcut by a pool that rounds down, and its convolutions round up.
void sizes_that_a_network_does_not_take_are_refused(const std::string& folder) {
  const char genotype[] =
      "{\"format\": \"pydarts-genotype\", \"version\": 1, \"kind\": \"convolutional\", \"space\": \"nas-bench-201\", "
      "\"normal\": [[\"nor_conv_3x3\", 0], [\"none\", 0], [\"skip_connect\", 1], [\"none\", 0], [\"none\", 1], "
      "[\"nor_conv_1x1\", 2]]}";
  pydarts_network_options o = capi::options();
  o.cells = 1;
  const pydarts_runtime runtime = capi::runtime();
  pydarts_network* made;
  CHECK(pydarts_derived_create(genotype, sizeof genotype - 1, &o, &runtime, &made, nullptr, 0) == PYDARTS_OK);
  const capi::Net net(made);
  const std::string path = folder + "/odd.c";
  const pydarts_c_options odd = options(6, 6), even = options(8, 8);
  pydarts_costs costs = {sizeof costs};
  CHECK(pydarts_network_to_c(net.get(), &odd, path.c_str(), nullptr) == PYDARTS_INVALID_ARGUMENT);
  CHECK(std::strstr(pydarts_network_error(net.get()), "1 x 1 pixels"));
  CHECK(capi::content(path).empty());
  CHECK(pydarts_network_costs(net.get(), 6, 6, &costs) == PYDARTS_INVALID_ARGUMENT);
  CHECK(pydarts_network_costs(net.get(), 8, 8, &costs) == PYDARTS_OK);
  CHECK(pydarts_network_to_c(net.get(), &even, path.c_str(), nullptr) == PYDARTS_OK);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;  // an empty folder
  a_file_is_written(std::string(argv[1]) + "/tiny.c");
  a_models_labels_end_no_comment(argv[1]);
  nonsense_is_refused(argv[1]);
  sizes_that_a_network_does_not_take_are_refused(argv[1]);
  return checked();
}

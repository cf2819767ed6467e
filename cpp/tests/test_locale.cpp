// SPDX-License-Identifier: MIT
// A program around us may have chosen a locale that groups digits and has another decimal point: what is written, read
// and said stays the same. Takes an empty folder as its argument.
#include <clocale>
#include <filesystem>
#include <locale>
#include <sstream>
#include <string>
#include <vector>

#include "capi.hpp"
#include "check.hpp"
#include "core/error.hpp"

namespace fs = std::filesystem;

namespace {

struct Grouped : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\1"; }
  std::string do_truename() const override { return "wahr"; }
};

// Bytes of a file in a text encoding of its own.
struct Shifted : std::codecvt<char, char, std::mbstate_t> {
  bool do_always_noconv() const noexcept override { return false; }
  result do_out(std::mbstate_t&, const char* from, const char* end, const char*& next, char* to, char* to_end,
                char*& to_next) const override {
    for (; from < end && to < to_end; ++from, ++to) *to = char(*from + 1);
    next = from;
    to_next = to;
    return from < end ? partial : ok;
  }
  result do_in(std::mbstate_t&, const char* from, const char* end, const char*& next, char* to, char* to_end,
               char*& to_next) const override {
    for (; from < end && to < to_end; ++from, ++to) *to = char(*from - 1);
    next = from;
    to_next = to;
    return from < end ? partial : ok;
  }
};

// All that leaves the library as text or as a file.
struct Said {
  std::vector<std::string> texts;
  std::string file;
};

Said everything(const std::string& folder) {
  Said said;
  auto& texts = said.texts;
  texts.push_back(pydarts::text(1234567, ' ', 1234.5, ' ', std::size_t(98765), ' ', true));

  capi::Net net, other;
  pydarts_runtime runtime = capi::runtime();
  runtime.user = &texts;
  runtime.log = [](void* to, const char* line) { static_cast<std::vector<std::string>*>(to)->push_back(line); };
  CHECK(capi::derived(net, runtime) == PYDARTS_OK);
  const std::string path = folder + "/model.safetensors";
  CHECK(pydarts_network_save(net.get(), path.c_str()) == PYDARTS_OK);
  said.file = capi::content(path);
  CHECK(capi::derived(other, capi::runtime()) == PYDARTS_OK);
  std::vector<float> other_weights = capi::values(net, PYDARTS_WEIGHTS);
  for (float& weight : other_weights) weight += 1;
  CHECK(pydarts_network_set(other.get(), PYDARTS_WEIGHTS, other_weights.data(), other_weights.size()) == PYDARTS_OK);
  CHECK(pydarts_network_load(other.get(), path.c_str()) == PYDARTS_OK);
  CHECK(capi::state(other) == capi::state(net));

  CHECK(capi::write(folder + "/model.json", capi::kDescription));
  pydarts_network* made;
  CHECK(pydarts_model_load(folder.c_str(), nullptr, &made, nullptr, 0) == PYDARTS_OK);
  const capi::Net model(made);
  if (model) {
    CHECK(capi::state(model) == capi::state(net));
    const std::uint8_t pixels[] = {0, 255, 3, 4};
    float out[4];
    CHECK(pydarts_normalize_u8(model.get(), 1, 2, 1, 2, pixels, out) == PYDARTS_OK);
    CHECK(out[0] == -3 && out[1] == 507 && out[2] == 0.25 && out[3] == 0.5);
  }

  capi::Net supernet;
  CHECK(capi::supernet(supernet, capi::runtime()) == PYDARTS_OK);
  std::size_t needed = 0;
  CHECK(pydarts_network_genotype(supernet.get(), nullptr, 0, &needed) == PYDARTS_OK);
  std::string genotype(needed, '\0');
  CHECK(pydarts_network_genotype(supernet.get(), &genotype[0], genotype.size(), nullptr) == PYDARTS_OK);
  texts.push_back(genotype);
  for (std::size_t i = 0; i < capi::info(net).num_tensors; ++i) {
    pydarts_tensor tensor = {sizeof tensor};
    CHECK(pydarts_network_tensor(net.get(), i, &tensor) == PYDARTS_OK);
    texts.push_back(tensor.name);
  }

  char message[300] = "";
  pydarts_network_options options = capi::options();
  options.channels = 12345;
  CHECK(pydarts_supernet_create(&options, nullptr, &made, message, sizeof message) == PYDARTS_INVALID_ARGUMENT);
  texts.push_back(message);
  options = capi::options();
  options.auxiliary_weight = -1234.5;
  CHECK(pydarts_derived_create(capi::kGenotype, sizeof(capi::kGenotype) - 1, &options, nullptr, &made, message,
                               sizeof message) == PYDARTS_INVALID_ARGUMENT);
  texts.push_back(message);
  const std::string broken = "[1.5e3, " + std::string(1200, ' ') + "x";
  CHECK(pydarts_derived_create(broken.data(), broken.size(), &options, nullptr, &made, message, sizeof message) ==
        PYDARTS_BAD_FILE);
  texts.push_back(message);
  return said;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const Said usual = everything(argv[1]);
  CHECK(usual.texts[0] == "1234567 1234.5 98765 1");
  const std::locale classic = std::locale::classic();
  std::locale::global(std::locale(std::locale(classic, new Grouped), new Shifted));
  {  // the locale does what it is here for
    std::ostringstream out;
    out << 1234.5;
    CHECK(out.str() == "1.2.3.4,5");
  }
  for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "en_US.UTF-8"}) std::setlocale(LC_ALL, name);
  const Said grouped = everything(argv[1]);
  CHECK(grouped.texts == usual.texts);
  CHECK(grouped.file == usual.file);
  std::locale::global(classic);
  return checked();
}

// SPDX-License-Identifier: MIT
// Files cut short at every byte and with bits turned over: refused or read, but never believed. To be run under
// AddressSanitizer too: every file stands in memory of exactly its size.
#include <cstring>
#include <filesystem>

#include "capi.hpp"
#include "check.hpp"

namespace fs = std::filesystem;

namespace {

constexpr int kFlips = 3000;

// With a space of its own.
const char kOwnSpace[] =
    "{\"format\": \"pydarts-genotype\", \"version\": 1, \"kind\": \"convolutional\", \"space\": {\"name\": \"own\", "
    "\"dimensions\": 2, \"operations\": [\"none\", \"skip_connect\", {\"name\": \"a\", \"stages\": [\"relu\", "
    "{\"conv\": [3, 5], \"dilation\": 2}, \"batch_norm\", {\"max_pool\": 3}]}], \"extra_operations\": [], "
    "\"conv_bias\": true, \"parameter_names\": \"darts\", \"cells\": [{\"name\": \"c\", \"inputs\": 1, "
    "\"preprocessed\": true, \"nodes\": 2, \"output\": \"last\", \"kept_edges\": \"all\", \"keeps_none\": true}], "
    "\"stack\": {\"stem\": 2, \"layers\": [{\"cell\": \"c\", \"repeat\": \"cells\"}, {\"cell\": \"residual_block\", "
    "\"stride\": 2, \"channels\": 2}], \"norm_relu\": true}}, \"c\": [[\"a\", 0], [\"none\", 0], [\"skip_connect\", "
    "1]]}";

// Memory of exactly these bytes.
class Exact {
 public:
  explicit Exact(const std::string& bytes) : data_(new char[bytes.size()]), size_(bytes.size()) {
    if (size_) std::memcpy(data_.get(), bytes.data(), size_);
  }
  const char* data() const { return data_.get(); }
  std::size_t size() const { return size_; }

 private:
  std::unique_ptr<char[]> data_;
  std::size_t size_;
};

pydarts_status read_genotype(const std::string& bytes) {
  const Exact file(bytes);
  const pydarts_network_options options = capi::options();
  const pydarts_runtime runtime = capi::runtime();
  pydarts_network* made;
  char message[100];
  const pydarts_status status =
      pydarts_derived_create(file.data(), file.size(), &options, &runtime, &made, message, sizeof message);
  CHECK((status == PYDARTS_OK) == (made != nullptr));
  pydarts_network_destroy(made);
  return status;
}

pydarts_status read_model(const std::string& description, const std::string& weights) {
  const Exact json(description), file(weights);
  const pydarts_runtime runtime = capi::runtime();
  pydarts_network* made;
  char message[100];
  const pydarts_status status =
      pydarts_model_read(json.data(), json.size(), file.data(), file.size(), &runtime, &made, message, sizeof message);
  CHECK((status == PYDARTS_OK) == (made != nullptr));
  pydarts_network_destroy(made);
  return status;
}

template <class Read>
void damage(const char* what, const std::string& whole, std::size_t flippable, const Read& read) {
  CHECK(read(whole) == PYDARTS_OK);
  int refused = 0;
  for (std::size_t size = 0; size < whole.size(); size += size < flippable ? 1 : 997)
    CHECK(read(whole.substr(0, size)) == PYDARTS_BAD_FILE);
  CHECK(read(whole + "x") == PYDARTS_BAD_FILE);
  pydarts::Random random(9);
  for (int i = 0; i < kFlips; ++i) {
    std::string turned = whole;
    const int flips = 1 + int(random.uniform() * 3);
    for (int k = 0; k < flips; ++k)
      turned[std::size_t(random.uniform() * double(flippable))] ^= char(1 << int(random.uniform() * 8));
    const pydarts_status status = read(turned);
    CHECK(status == PYDARTS_OK || status == PYDARTS_BAD_FILE || status == PYDARTS_INVALID_ARGUMENT);
    refused += status != PYDARTS_OK;
  }
  std::printf("%s: %d of %d damaged ones refused\n", what, refused, kFlips);
  CHECK(refused > kFlips / 2);
}

void json_is_strict() {
  const std::string good = capi::kGenotype;
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = good;
    changed.replace(changed.find(from), from.size(), to);
    return changed;
  };
  CHECK(read_genotype(" \n" + with("max_pool_3x3", "max\\u005fpool_3x3") + "\t") == PYDARTS_OK);
  CHECK(read_genotype(with("\"version\": 1", "\"version\": 1.0")) == PYDARTS_BAD_FILE);
  CHECK(read_genotype(with("\"version\": 1", "\"version\": true")) == PYDARTS_BAD_FILE);
  CHECK(read_genotype(with("\"version\": 1", "\"version\": 01")) == PYDARTS_BAD_FILE);
  CHECK(read_genotype(with("\"version\": 1", "\"version\": 2")) == PYDARTS_BAD_FILE);
  CHECK(read_genotype(with("\"version\": 1", "\"version\": 1, \"version\": 1")) == PYDARTS_BAD_FILE);
  CHECK(read_genotype(with("\"version\": 1", "\"version\": 1, \"more\": 1")) == PYDARTS_BAD_FILE);
  CHECK(read_genotype(with("convolutional", "recurrent")) == PYDARTS_BAD_FILE);
  CHECK(read_genotype(with("[2, 3]", "[2, 3,]")) == PYDARTS_BAD_FILE);
  CHECK(read_genotype(with("[2, 3]", "[2, 4]")) == PYDARTS_INVALID_ARGUMENT);
  CHECK(read_genotype(with("[2, 3]", "[2, -3]")) == PYDARTS_BAD_FILE);
  CHECK(read_genotype(with("[2, 3]", "[2, 1e99999]")) == PYDARTS_BAD_FILE);
  CHECK(read_genotype(with("max_pool_3x3", "none")) == PYDARTS_INVALID_ARGUMENT);
  CHECK(read_genotype(with("max_pool_3x3", "max\\ud800pool")) == PYDARTS_BAD_FILE);
  CHECK(read_genotype(with("max_pool_3x3", "max\xc3\xa9")) == PYDARTS_INVALID_ARGUMENT);  // no such operation
  for (const char* none : {"\xff", "\x80", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80"})
    CHECK(read_genotype(with("max_pool_3x3", none)) == PYDARTS_BAD_FILE);  // not UTF-8
  CHECK(read_genotype(with("[2, 3]", std::string(40, '[') + std::string(40, ']'))) == PYDARTS_BAD_FILE);
  CHECK(read_genotype(std::string(1 << 20, '[')) == PYDARTS_BAD_FILE);
}

// What a description claims is held against the size of the weights before anything is allocated for it.
void claims_are_not_believed(const std::string& weights) {
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = capi::kDescription;
    changed.replace(changed.find(from), from.size(), to);
    return read_model(changed, weights);
  };
  CHECK(with("\"channels\": 3", "\"channels\": 4096") == PYDARTS_BAD_FILE);
  CHECK(with("\"channels\": 3", "\"channels\": 65535") == PYDARTS_BAD_FILE);
  CHECK(with("\"cells\": 3", "\"cells\": 1024") == PYDARTS_BAD_FILE);
  CHECK(with("\"in_channels\": 2", "\"in_channels\": 3") == PYDARTS_BAD_FILE);
  CHECK(with("4e0]", "0]") == PYDARTS_BAD_FILE);
  CHECK(with("[1.5, 2]", "[NaN, 2]") == PYDARTS_BAD_FILE);
  CHECK(with("\"auxiliary_weight\": 0.4", "\"auxiliary_weight\": -1") == PYDARTS_BAD_FILE);
  CHECK(with("[6, 7]", "[6]") == PYDARTS_BAD_FILE);
  CHECK(with("\"a\\u00e9\"", "null") == PYDARTS_BAD_FILE);
  CHECK(with("pydarts-model", "pydarts-other") == PYDARTS_BAD_FILE);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;  // an empty folder
  const std::string path = (fs::path(argv[1]) / "weights").u8string();
  capi::Net net;
  CHECK(capi::derived(net, capi::runtime()) == PYDARTS_OK);
  CHECK(pydarts_network_save(net.get(), path.c_str()) == PYDARTS_OK);
  const std::string weights = capi::content(path);
  const std::size_t header = 8 + (unsigned char)weights[0] + 256 * std::size_t((unsigned char)weights[1]);

  json_is_strict();
  claims_are_not_believed(weights);
  damage("genotype", capi::kGenotype, sizeof(capi::kGenotype) - 1, read_genotype);
  damage("space", kOwnSpace, sizeof(kOwnSpace) - 1, read_genotype);
  damage("description", capi::kDescription, capi::kDescription.size(),
         [&](const std::string& bytes) { return read_model(bytes, weights); });
  damage("weights", weights, header, [&](const std::string& bytes) {
    const Exact file(bytes);
    const auto before = capi::values(net, PYDARTS_WEIGHTS);
    const pydarts_status status = pydarts_network_read(net.get(), file.data(), file.size());
    if (status != PYDARTS_OK) CHECK(capi::values(net, PYDARTS_WEIGHTS) == before);
    return status;
  });
  return checked();
}

// SPDX-License-Identifier: MIT
// What the tests of the C API share: handles that free themselves, small networks, random images.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "core/communicator.hpp"
#include "core/random.hpp"
#include "pydarts.h"

namespace capi {

struct Destroy {
  void operator()(pydarts_network* network) const { pydarts_network_destroy(network); }
  void operator()(pydarts_optimizer* optimizer) const { pydarts_optimizer_destroy(optimizer); }
  void operator()(pydarts_budget* budget) const { pydarts_budget_destroy(budget); }
};
using Net = std::unique_ptr<pydarts_network, Destroy>;
using Optimizer = std::unique_ptr<pydarts_optimizer, Destroy>;
using Budget = std::unique_ptr<pydarts_budget, Destroy>;

inline const char kGenotype[] =
    "{\"format\": \"pydarts-genotype\", \"version\": 1, \"kind\": \"convolutional\","
    " \"normal\": [[\"sep_conv_3x3\", 0], [\"max_pool_3x3\", 1], [\"dil_conv_5x5\", 2], [\"skip_connect\", 0]],"
    " \"normal_concat\": [2, 3],"
    " \"reduce\": [[\"avg_pool_3x3\", 0], [\"skip_connect\", 1], [\"conv_7x1_1x7\", 2], [\"max_pool_3x3\", 1]],"
    " \"reduce_concat\": [3, 2]}";

// Of a model whose network is that of derived() below.
inline const std::string kDescription =
    std::string("{\"format\": \"pydarts-model\", \"version\": 1, \"genotype\": ") + kGenotype +
    ", \"in_channels\": 2, \"labels\": [\"a\\u00e9\", 7, true], \"normalization\": {\"mean\": [1.5, 2], "
    "\"std\": [0.5, 4e0]}, \"image_size\": [6, 7], \"image_layout\": null, \"config\": {\"preset\": \"quick\", "
    "\"channels\": 3, \"cells\": 3, \"auxiliary\": false, \"auxiliary_weight\": 0.4}, "
    "\"history\": [{\"loss\": NaN}]}";

inline pydarts_network_options options() {
  pydarts_network_options o = {sizeof o};
  pydarts_network_options_defaults(&o);
  o.channels = 3;
  o.cells = 3;
  o.classes = 3;
  o.in_channels = 2;
  o.seed = 11;
  return o;
}

inline pydarts_runtime runtime(int threads = 1) {
  pydarts_runtime r = {sizeof r};
  pydarts_runtime_defaults(&r);
  r.threads = threads;
  return r;
}

// That of a rank.
inline pydarts_runtime with_rank(pydarts_runtime r, const pydarts::Communicator& communicator) {
  r.user = communicator.context;
  r.rank = communicator.rank;
  r.ranks = communicator.size;
  r.gather = communicator.gather;
  r.broadcast = communicator.broadcast;
  return r;
}

inline pydarts_status supernet(Net& net, const pydarts_runtime& r, int cells = 3) {
  pydarts_network_options o = options();
  o.cells = cells;
  pydarts_network* made;
  const pydarts_status status = pydarts_supernet_create(&o, &r, &made, nullptr, 0);
  net.reset(made);
  return status;
}

inline pydarts_status derived(Net& net, const pydarts_runtime& r) {
  const pydarts_network_options o = options();
  pydarts_network* made;
  const pydarts_status status = pydarts_derived_create(kGenotype, sizeof(kGenotype) - 1, &o, &r, &made, nullptr, 0);
  net.reset(made);
  return status;
}

inline pydarts_status optimizer(Optimizer& made_optimizer, const Net& net, int order = 2) {
  pydarts_optimizer_options o = {sizeof o};
  pydarts_optimizer_options_defaults(&o);
  o.order = order;
  pydarts_optimizer* made;
  const pydarts_status status = pydarts_optimizer_create(net.get(), &o, &made, nullptr, 0);
  made_optimizer.reset(made);
  return status;
}

inline pydarts_network_info info(const Net& net) {
  pydarts_network_info i = {sizeof i};
  pydarts_network_get_info(net.get(), &i);
  return i;
}

inline std::vector<float> values(const Net& net, pydarts_kind kind) {
  const pydarts_network_info i = info(net);
  std::vector<float> v(kind == PYDARTS_WEIGHTS ? i.num_weights : kind == PYDARTS_ALPHAS ? i.num_alphas : i.num_running);
  pydarts_network_get(net.get(), kind, v.data(), v.size());
  return v;
}

// Everything that a failed call must leave as it was.
inline std::vector<std::vector<float>> state(const Net& net) {
  return {values(net, PYDARTS_WEIGHTS), values(net, PYDARTS_ALPHAS), values(net, PYDARTS_RUNNING)};
}

inline bool error_is(const Net& net, const std::string& text) {
  const bool same = pydarts_network_error(net.get()) == text;
  if (!same) std::fprintf(stderr, "\"%s\"\n", pydarts_network_error(net.get()));
  return same;
}

struct Images {
  std::vector<float> pixels;
  std::vector<std::int32_t> labels;
  pydarts_batch batch = {sizeof batch};

  explicit Images(std::uint64_t seed, int samples = 3, int height = 6, int width = 7)
      : pixels(std::size_t(samples) * 2 * height * width) {
    pydarts::Random random(seed);
    for (float& pixel : pixels) pixel = float(random.normal());
    for (int i = 0; i < samples; ++i) labels.push_back(i % 3);
    pydarts_batch_defaults(&batch);
    batch.samples = samples;
    batch.channels = 2;
    batch.height = height;
    batch.width = width;
    batch.images = pixels.data();
    batch.labels = labels.data();
  }
  Images(const Images&) = delete;
};

inline std::string content(const std::string& path) {
  std::string bytes;
  if (std::FILE* file = std::fopen(path.c_str(), "rb")) {
    for (int c; (c = std::fgetc(file)) != EOF;) bytes += char(c);
    std::fclose(file);
  }
  return bytes;
}

inline bool write(const std::string& path, const std::string& bytes) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (!file) return false;
  const bool whole = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  return (std::fclose(file) == 0) && whole;
}

}  // namespace capi

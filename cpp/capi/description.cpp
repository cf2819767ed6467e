// SPDX-License-Identifier: MIT
#include "capi/description.hpp"

#include <cmath>

#include "core/bad_file.hpp"

namespace pydarts {
namespace {

using Kind = Json::Kind;

constexpr const char* kFormat = "pydarts-model";
constexpr int kVersion = 2;  // 1: classes alone

int count(const Json& json, const char* name) {
  return int(json.at(name, Kind::number).integer(name, 1, (1 << 16) - 1));
}

LossFunction loss_of(const Json& json) {
  if (!json.find("task")) return {};
  const std::string& task = json.at("task", Kind::string).text;
  if (task == "multiclass") return {};
  if (task == "multilabel") return {LossKind::sigmoid};
  require_file(task == "regression", "`task` (=", task.substr(0, 40), ") is unknown");
  const std::string& loss = json.at("loss", Kind::string).text;
  require_file(loss == "mse" || loss == "huber", "`loss` (=", loss.substr(0, 40), ") must be 'mse' or 'huber'");
  return {loss == "mse" ? LossKind::squared : LossKind::huber, json.at("huber_delta", Kind::number).number};
}

std::vector<double> by_output(const Json& scale, const char* name, std::size_t outputs) {
  std::vector<double> values;
  for (const Json& item : scale.at(name, Kind::array).items) {
    values.push_back(item.number);
    require_file(item.kind == Kind::number && std::isfinite(item.number), "`", name, "` holds what is no number");
  }
  require_file(values.size() == outputs, "`", name, "` has ", values.size(), " entries for ", outputs, " outputs");
  return values;
}

std::vector<float> by_channel(const Json& normalization, const char* name, int channels) {
  std::vector<float> values;
  for (const Json& item : normalization.at(name, Kind::array).items) {
    values.push_back(float(item.number));
    require_file(item.kind == Kind::number && std::isfinite(values.back()), "`", name, "` holds what is no number");
  }
  require_file(int(values.size()) == channels, "`", name, "` has ", values.size(), " entries for ", channels,
               " channels");
  return values;
}

std::string label(const Json& item) {
  require_file(item.kind == Kind::string || item.kind == Kind::number || item.kind == Kind::boolean,
               "`labels` holds what is neither text nor number");
  return item.kind == Kind::boolean ? (item.truth ? "true" : "false") : item.text;
}

}  // namespace

Description read_description(const char* text, std::size_t size) {
  require_file(size <= kMaxDescription, "it has ", size, " bytes, more than ", kMaxDescription);
  const Json json = parse_json(text, size);
  const Json* format = json.find("format");
  require_file(format && format->kind == Kind::string && format->text == kFormat,
               "it is not the description of a pydarts model");
  json.at("version", Kind::number).integer("version", 1, kVersion);
  Description d;
  const Json& config = json.at("config", Kind::object);
  const Json& labels = json.at("labels", Kind::array);
  d.config = {count(config, "channels"), count(config, "cells"), int(labels.items.size()), count(json, "in_channels")};
  if (config.find("stem")) {
    const std::string& stem = config.at("stem", Kind::string).text;
    require_file(stem == "cifar" || stem == "imagenet", "`stem` (=", stem.substr(0, 40),
                 ") must be 'cifar' or 'imagenet'");
    d.config.stem = stem_of(stem);
  }
  d.config.loss = loss_of(json);
  if (d.config.loss.kind == LossKind::squared || d.config.loss.kind == LossKind::huber) {
    const Json& scale = json.at("scale", Kind::object);
    d.target_mean = by_output(scale, "mean", labels.items.size());
    d.target_deviation = by_output(scale, "std", labels.items.size());
  }
  d.auxiliary = config.at("auxiliary", Kind::boolean).truth;
  d.auxiliary_weight = config.at("auxiliary_weight", Kind::number).number;
  d.genotype = read_genotype(json.at("genotype", Kind::object));
  for (const Json& item : labels.items) d.labels.push_back(label(item));
  const Json& normalization = json.at("normalization", Kind::object);
  d.mean = by_channel(normalization, "mean", d.config.in_channels);
  d.deviation = by_channel(normalization, "std", d.config.in_channels);
  for (float value : d.deviation) require_file(value > 0, "`std` (=", value, ") must be positive");
  const Json& image = json.at("image_size", Kind::array);
  require_file(image.items.size() == 2, "`image_size` is not a pair");
  d.height = int(image.items[0].integer("image_size", 1, (1 << 16) - 1));
  d.width = int(image.items[1].integer("image_size", 1, (1 << 16) - 1));
  return d;
}

}  // namespace pydarts

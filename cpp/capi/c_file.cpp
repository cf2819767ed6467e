// SPDX-License-Identifier: MIT
// A network as a C file, of the C API.
#include "export/c_file.hpp"

#include <cmath>
#include <filesystem>
#include <map>

#include "capi/files.hpp"
#include "capi/handles.hpp"
#include "network/limits.hpp"
#include "network/plan.hpp"

namespace fs = std::filesystem;
using namespace pydarts;

namespace {

const pydarts_c_options kOptions = {sizeof(pydarts_c_options)};
const pydarts_c_file kWritten = {sizeof(pydarts_c_file)};
constexpr std::size_t kMostName = 48, kMostLabels = 400;

std::string checked_name(const char* given) {
  const std::string name = given ? given : "model";
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  bool good = !name.empty() && name.size() <= kMostName && letter(name[0]);
  for (char c : name) good = good && (letter(c) || (c >= '0' && c <= '9') || c == '_');
  require(good, "`options->name` (=", name.substr(0, 60),
          ") must begin with a letter, and go on with up to 47 letters,", " digits and _");
  return name;
}

std::vector<float> by_channel(const float* given, const std::vector<float>* own, int channels, float otherwise) {
  if (given) return {given, given + channels};
  return own ? *own : std::vector<float>(std::size_t(channels), otherwise);
}

// The weights and running statistics by name; numbers come out of a regression as they are predicted.
TensorOf tensors_of(const pydarts_network& network,
                    const std::map<std::string, const pydarts_network::Tensor*>& names) {
  return [&](const std::string& name, std::size_t count) {
    const auto found = names.find(name);
    if (found == names.end() || found->second->count != count)
      throw std::logic_error("the network has no '" + name + "' of " + std::to_string(count));
    const float* values = network.values(found->second->kind).data() + found->second->offset;
    std::vector<double> taken(values, values + count);
    if (!network.model || network.model->target_mean.empty()) return taken;
    const Description& model = *network.model;
    const std::size_t outputs = model.target_mean.size();
    for (std::size_t i = 0; i < count; ++i) {
      if (name == "classifier.weight") taken[i] = values[i] * float(model.target_deviation[i / (count / outputs)]);
      if (name == "classifier.bias")
        taken[i] = values[i] * float(model.target_deviation[i]) + float(model.target_mean[i]);
    }
    return taken;
  };
}

std::vector<std::string> about(const pydarts_network& network, const std::string& name, int height, int width) {
  std::string genotype = write_genotype(*network.genotype), labels;
  std::string line;
  for (std::size_t i = 0; i < genotype.size(); ++i)
    if (genotype[i] != '\n') line += genotype[i];
  const int classes = network.classes();
  for (int k = 0; k < classes && labels.size() <= kMostLabels; ++k)
    labels += text(k ? ", " : "", network.model ? network.model->labels[k] : text(k));
  if (labels.size() > kMostLabels) labels = labels.substr(0, kMostLabels) + " ...";
  const bool numbers = network.model && !network.model->target_mean.empty();
  return {"SPDX-License-Identifier: MIT", "", text("A network of pydarts ", pydarts_version(), " in float: ", line),
          text(name, "_predict takes an image (", network.config.in_channels, ", ", height, ", ", width,
               "), raw, and gives ", classes, numbers ? " numbers" : " logits", ", of: ", labels)};
}

}  // namespace

pydarts_status pydarts_c_options_defaults(pydarts_c_options* options) {
  return guarded(nullptr, 0, [&] { fill(options, "options", kOptions); });
}

pydarts_status pydarts_network_to_c(const pydarts_network* network, const pydarts_c_options* options, const char* path,
                                    pydarts_c_file* written) {
  return Border::cross(network, [&] {
    const Graph& graph = network->engine().graph();
    require(network->genotype.has_value(), "`network` is a supernet: what is written in C is a derived network");
    const pydarts_c_options o = known(options, "options", kOptions);
    const std::string name = checked_name(o.name);
    require(path, "`path` is null");
    const Description* model = network->model ? &*network->model : nullptr;
    const int height = o.height == 0 && model ? model->height : o.height;
    const int width = o.width == 0 && model ? model->width : o.width;
    check_images(graph, 1, graph.in_channels, height, width);
    Plan(graph, 1, height, width, false, false);  // where the sizes of states do not fit each other, it says so
    const std::vector<float> mean = by_channel(o.mean, model ? &model->mean : nullptr, graph.in_channels, 0);
    const std::vector<float> deviation =
        by_channel(o.deviation, model ? &model->deviation : nullptr, graph.in_channels, 1);
    for (int c = 0; c < graph.in_channels; ++c) {
      require(std::isfinite(mean[c]), "`options->mean[", c, "]` (=", mean[c], ") must be finite");
      require(deviation[c] > 0 && std::isfinite(deviation[c]), "`options->deviation[", c, "]` (=", deviation[c],
              ") must be positive and finite");
    }
    pydarts_c_file values = kWritten;
    if (written) known(written, "written", values);
    std::map<std::string, const pydarts_network::Tensor*> names;
    for (const pydarts_network::Tensor& tensor : network->tensors) names[tensor.name] = &tensor;
    const CProgram program = c_program(*network->genotype, network->config, height, width, tensors_of(*network, names));
    const CFile file = c_file(program, name, mean, deviation, about(*network, name, height, width));
    const fs::path to = fs::u8path(path);
    const std::string done = text("wrote ", path);
    require_file(replace_file(to, {{file.text.data(), file.text.size()}}), path, ": it cannot be written");
    values.constants = std::uint64_t(file.constants);
    values.arena = std::uint64_t(file.arena);
    values.macs = std::uint64_t(file.macs);
    if (written) fill(written, "written", values);
    network->log(done);
  });
}

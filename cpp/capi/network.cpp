// SPDX-License-Identifier: MIT
// Networks of the C API: creation, values, texts, files.
#include <cmath>
#include <filesystem>
#include <memory>
#include <utility>

#include "capi/creation.hpp"
#include "capi/handles.hpp"
#include "capi/runtime.hpp"
#include "capi/tensor_files.hpp"
#include "spaces/genotype.hpp"
#include "spaces/recurrent_genotype.hpp"

namespace fs = std::filesystem;
using namespace pydarts;

namespace {

const pydarts_network_options kOptions = {
    sizeof(pydarts_network_options), 16, 8, 10, 3, 0, 0, 0, 0.4, nullptr, 0, 0, 0, 1, 1.0, PYDARTS_CROSS_ENTROPY};

bool flag(std::int32_t value, const char* name) {
  require(value == 0 || value == 1, "`", name, "` (=", value, ") must be 0 or 1");
  return value == 1;
}

NetworkConfig config_of(const pydarts_network_options& o) {
  const Stem stem = flag(o.imagenet_stem, "options->imagenet_stem") ? Stem::imagenet : Stem::cifar;
  const bool skip = flag(o.auxiliary_skip, "options->auxiliary_skip");
  require(o.loss >= PYDARTS_CROSS_ENTROPY && o.loss <= PYDARTS_HUBER, "`options->loss` (=", o.loss,
          ") must be a pydarts_loss_kind");
  return {o.channels, o.cells, o.classes,          o.in_channels,
          stem,       skip,    o.partial_channels, {LossKind(o.loss), o.huber_delta}};
}

static_assert(int(LossKind::softmax) == PYDARTS_CROSS_ENTROPY && int(LossKind::sigmoid) == PYDARTS_SIGMOID &&
              int(LossKind::squared) == PYDARTS_MSE && int(LossKind::huber) == PYDARTS_HUBER);

Graph graph_of(const NetworkConfig& config, const Genotype& genotype, bool auxiliary, double auxiliary_weight) {
  require(auxiliary_weight >= 0 && std::isfinite(auxiliary_weight), "`auxiliary_weight` (=", auxiliary_weight,
          ") must be at least 0");
  return derived_graph(genotype, config, auxiliary, auxiliary_weight);
}

std::unique_ptr<pydarts_network> derived(Graph graph, const NetworkConfig& config, const Genotype& genotype,
                                         std::uint64_t seed, const pydarts_runtime& runtime, bool recompute) {
  auto network = std::make_unique<pydarts_network>(std::move(graph), seed, runtime, recompute);
  network->genotype = genotype;
  network->config = config;
  return network;
}

// The network of a description, whose weights are for `load`, which has `size` bytes of them.
template <class Load>
std::unique_ptr<pydarts_network> model_of(const char* json, std::size_t json_size, const std::string& name,
                                          const pydarts_runtime& runtime, std::size_t size, const Load& load) {
  auto [description, graph] = reading(name, [&] {
    Description d = read_description(json, json_size);
    Graph described = graph_of(d.config, d.genotype, d.auxiliary, d.auxiliary_weight);
    require(described.num_weights <= size / sizeof(float), "it describes ", described.num_weights,
            " weights, more than the other file can hold");
    return std::pair(std::move(d), std::move(described));
  });
  // What is wrong from here on, with the runtime, is no fault of the file.
  auto network = derived(std::move(graph), description.config, description.genotype, 0, runtime, false);
  network->model = std::move(description);
  load(*network);
  return network;
}

void load(const pydarts_network& network, const fs::path& path) {
  const std::string done = text("read ", path.u8string());  // nothing may fail once the weights are changed
  load_tensors(path, network.stored(), network.environment.memory);
  network.log(done);
}

void save(const pydarts_network& network, const fs::path& path) {
  const std::string done = text("wrote ", path.u8string());
  save_tensors(path, network.stored());
  network.log(done);
}

}  // namespace

pydarts_network::pydarts_network(Graph graph, std::uint64_t seed, const pydarts_runtime& runtime_, bool recompute)
    : runtime(runtime_), environment(environment_of(runtime)) {
  network.emplace(std::move(graph), seed, environment, recompute);
  const Communicator ranks = communicator_of(runtime);
  if (ranks.several()) network->use_communicator(ranks);
  if (runtime.cancel) network->set_cancel([this] { return runtime.cancel(runtime.user) != 0; });
  const Graph& g = network->graph();
  for (const Parameter& p : g.parameters) tensors.push_back({p.name, p.shape, PYDARTS_WEIGHTS, p.offset, p.size});
  for (const BatchNorm& norm : g.norms) {
    const std::size_t count = std::size_t(norm.channels);
    tensors.push_back({norm.name + ".running_mean", {norm.channels}, PYDARTS_RUNNING, norm.running, count});
    tensors.push_back({norm.name + ".running_var", {norm.channels}, PYDARTS_RUNNING, norm.running + count, count});
  }
  for (const AlphaGroup& group : g.alpha_groups)
    tensors.push_back({group.name,
                       {group.rows, group.columns},
                       PYDARTS_ALPHAS,
                       std::size_t(group.offset),
                       std::size_t(group.rows) * group.columns});
}

Vector<float>& pydarts_network::values(pydarts_kind kind) const {
  switch (kind) {
    case PYDARTS_WEIGHTS:
      return network ? network->weights() : text->weights();
    case PYDARTS_ALPHAS:
      return network ? network->alphas() : text->alphas();
    case PYDARTS_RUNNING:
      return network ? network->running() : text->running();
  }
  throw InvalidArgument(pydarts::text("`kind` (=", int(kind), ") is unknown"));
}

std::vector<StoredTensor> pydarts_network::stored() const {
  std::vector<StoredTensor> list;
  for (const Tensor& t : tensors)
    if (t.kind != PYDARTS_ALPHAS)
      list.push_back({t.name, {t.shape.begin(), t.shape.end()}, values(t.kind).data() + t.offset, t.count});
  return list;
}

namespace pydarts {

void require_array(const void* array, std::size_t count, std::size_t wanted, const char* name) {
  require(count == wanted, "`", name, "` has ", count, " values, not ", wanted);
  require(array || wanted == 0, "`", name, "` is null");
}

}  // namespace pydarts

pydarts_status pydarts_network_options_defaults(pydarts_network_options* options) {
  return guarded(nullptr, 0, [&] { fill(options, "options", kOptions); });
}

pydarts_status pydarts_supernet_create(const pydarts_network_options* options, const pydarts_runtime* runtime,
                                       pydarts_network** network, char* message, size_t message_size) {
  return create(network, message, message_size, [&] {
    const pydarts_network_options o = known(options, "options", kOptions);
    require(o.auxiliary == 0, "`options->auxiliary` (=", o.auxiliary, ") must be 0 in a supernet");
    Space space =
        o.space ? reading("`options->space`", [&] { return read_space(o.space, o.space_size); }) : darts_space();
    auto made = std::make_unique<pydarts_network>(supernet_graph(space, config_of(o)), o.seed, runtime_of(runtime),
                                                  flag(o.recompute, "options->recompute"));
    made->space = std::move(space);
    return made;
  });
}

pydarts_status pydarts_derived_create(const char* genotype, size_t genotype_size,
                                      const pydarts_network_options* options, const pydarts_runtime* runtime,
                                      pydarts_network** network, char* message, size_t message_size) {
  return create(network, message, message_size, [&] {
    const pydarts_network_options o = known(options, "options", kOptions);
    require(genotype, "`genotype` is null");
    require(!o.space, "`options->space` must be null: the genotype names its own");
    require(o.auxiliary_skip == 0 && o.partial_channels == 1,
            "`options->auxiliary_skip` and `partial_channels` (=", o.auxiliary_skip, ", ", o.partial_channels,
            ") are for supernets");
    const Genotype cells = reading("`genotype`", [&] { return read_genotype(genotype, genotype_size); });
    const NetworkConfig config = config_of(o);
    Graph graph = graph_of(config, cells, flag(o.auxiliary, "options->auxiliary"), o.auxiliary_weight);
    return derived(std::move(graph), config, cells, o.seed, runtime_of(runtime),
                   flag(o.recompute, "options->recompute"));
  });
}

pydarts_status pydarts_model_load(const char* folder, const pydarts_runtime* runtime, pydarts_network** network,
                                  char* message, size_t message_size) {
  return create(network, message, message_size, [&] {
    require(folder, "`folder` is null");
    const fs::path description = fs::u8path(folder) / "model.json", weights = fs::u8path(folder) / "model.safetensors";
    const std::string name = description.u8string();
    const pydarts_runtime rules = runtime_of(runtime);
    const MemoryHooks memory = environment_of(rules).memory;
    const Vector<char> json = reading(name, [&] { return file_content(description, 0, kMaxDescription, memory); });
    std::error_code error;
    const std::uintmax_t size = fs::file_size(weights, error);
    require_file(!error, weights.u8string(), ": there is no such file");
    return model_of(json.data(), json.size(), name, rules, std::size_t(size),
                    [&](const pydarts_network& made) { load(made, weights); });
  });
}

pydarts_status pydarts_model_read(const void* description, size_t description_size, const void* weights,
                                  size_t weights_size, const pydarts_runtime* runtime, pydarts_network** network,
                                  char* message, size_t message_size) {
  return create(network, message, message_size, [&] {
    require(description, "`description` is null");
    require(weights, "`weights` is null");
    return model_of(static_cast<const char*>(description), description_size, "`description`", runtime_of(runtime),
                    weights_size, [&](const pydarts_network& made) {
                      reading("`weights`", [&] {
                        read_safetensors(static_cast<const char*>(weights), weights_size, made.stored());
                      });
                    });
  });
}

pydarts_status pydarts_network_destroy(pydarts_network* network) { return Border::destroy(network); }

const char* pydarts_network_error(const pydarts_network* network) { return network ? network->message() : kNoHandle; }

pydarts_status pydarts_network_get_info(const pydarts_network* network, pydarts_network_info* info) {
  return Border::cross(network, [&] {
    pydarts_network_info values = {};
    values.num_weights = network->values(PYDARTS_WEIGHTS).size();
    values.num_alphas = network->values(PYDARTS_ALPHAS).size();
    values.num_running = network->values(PYDARTS_RUNNING).size();
    values.num_tensors = network->tensors.size();
    values.classes = network->classes();
    values.threads = network->environment.threads.count;
    if (network->network) {
      const Graph& graph = network->engine().graph();
      values.in_channels = graph.in_channels;
      values.num_droppable = graph.droppables;
      values.loss = std::int32_t(graph.loss.kind);
    }
    if (network->model) {
      values.normalization = 1;
      values.image_height = network->model->height;
      values.image_width = network->model->width;
    }
    values.instruction_set = instruction_set().name;
    fill(info, "info", values);
  });
}

pydarts_status pydarts_network_tensor(const pydarts_network* network, size_t index, pydarts_tensor* tensor) {
  return Border::cross(network, [&] {
    require(index < network->tensors.size(), "`index` (=", index, ") must be less than ", network->tensors.size());
    const pydarts_network::Tensor& t = network->tensors[index];
    pydarts_tensor values = {0, t.name.c_str(), t.kind, t.offset, t.count, std::int32_t(t.shape.size())};
    std::copy(t.shape.begin(), t.shape.end(), values.shape);
    fill(tensor, "tensor", values);
  });
}

pydarts_status pydarts_network_get(const pydarts_network* network, pydarts_kind kind, float* values, size_t count) {
  return Border::cross(network, [&] {
    const Vector<float>& from = network->values(kind);
    require_array(values, count, from.size(), "values");
    std::copy(from.begin(), from.end(), values);
  });
}

pydarts_status pydarts_network_set(pydarts_network* network, pydarts_kind kind, const float* values, size_t count) {
  return Border::cross(network, [&] {
    Vector<float>& to = network->values(kind);
    require_array(values, count, to.size(), "values");
    for (std::size_t i = 0; i < count; ++i)
      require(std::isfinite(values[i]), "`values[", i, "]` (=", values[i], ") must be finite");
    for (const pydarts_network::Tensor& tensor : network->tensors)
      for (std::size_t i = tensor.offset;
           tensor.kind == kind && is_variance(tensor.name) && i < tensor.offset + tensor.count; ++i)
        require(values[i] >= 0, "`values[", i, "]` (=", values[i], ") is a variance of '", tensor.name,
                "', which must not be negative");
    std::copy_n(values, count, to.begin());
  });
}

pydarts_status pydarts_network_load(pydarts_network* network, const char* path) {
  return Border::cross(network, [&] {
    require(path, "`path` is null");
    load(*network, fs::u8path(path));
  });
}

pydarts_status pydarts_network_read(pydarts_network* network, const void* file, size_t file_size) {
  return Border::cross(network, [&] {
    require(file, "`file` is null");
    reading("`file`", [&] { read_safetensors(static_cast<const char*>(file), file_size, network->stored()); });
  });
}

pydarts_status pydarts_network_save(pydarts_network* network, const char* path) {
  return Border::cross(network, [&] {
    require(path, "`path` is null");
    save(*network, fs::u8path(path));
  });
}

pydarts_status pydarts_network_set_skip_weight(pydarts_network* network, double weight) {
  return Border::cross(network, [&] {
    require(network->engine().graph().skip >= 0, "the network has no auxiliary skips");
    require(weight >= 0 && std::isfinite(weight), "`weight` (=", weight, ") must be at least 0");
    network->engine().set_skip_weight(weight);
  });
}

pydarts_status pydarts_network_genotype(const pydarts_network* network, char* buffer, size_t capacity, size_t* needed) {
  return Border::cross(network, [&] {
    if (network->text)
      return give_text(write_recurrent_genotype(recurrent_genotype(*network)), buffer, capacity, needed);
    if (network->genotype) return give_text(write_genotype(*network->genotype), buffer, capacity, needed);
    const float* alphas = network->engine().alphas().data();
    const auto& groups = network->engine().graph().alpha_groups;
    Genotype derived{*network->space, {}};
    for (std::size_t i = 0; i < derived.space.cells.size(); ++i) {
      const float* edges = groups[i].edges < 0 ? nullptr : alphas + groups[groups[i].edges].offset;
      derived.cells.push_back(derive_cell(derived.space.cells[i], alphas + groups[i].offset, edges));
    }
    give_text(write_genotype(derived), buffer, capacity, needed);
  });
}

pydarts_status pydarts_network_label(const pydarts_network* network, int32_t index, char* buffer, size_t capacity,
                                     size_t* needed) {
  return Border::cross(network, [&] {
    const int classes = network->classes();
    require(index >= 0 && index < classes, "`index` (=", index, ") must lie in 0..", classes - 1);
    if (network->text_model && !network->text_model->tokens.empty())
      return give_text(network->text_model->tokens[index], buffer, capacity, needed);
    give_text(network->model ? network->model->labels[index] : text(index), buffer, capacity, needed);
  });
}

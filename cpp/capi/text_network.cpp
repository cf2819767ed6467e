// SPDX-License-Identifier: MIT
// Networks over text of the C API: creation, files of language models, the stream of the dropout masks.
#include <cmath>

#include "capi/creation.hpp"
#include "capi/files.hpp"
#include "capi/runtime.hpp"
#include "capi/tensor_files.hpp"
#include "spaces/recurrent_genotype.hpp"

namespace fs = std::filesystem;
using namespace pydarts;

namespace {

const pydarts_text_options kOptions = {sizeof(pydarts_text_options), 0, 300, 0, 0.75, 0.25, 0.75, 0.2, nullptr, 0};

// Weights of a network over text, to be held against a file's before memory is spent.
std::size_t weights_of(std::size_t nodes, std::size_t vocabulary, std::size_t hidden) {
  return hidden * vocabulary + 2 * hidden * hidden * (nodes + 2) + vocabulary;
}

Dropout dropout_of(const pydarts_text_options& o) {
  const struct {
    const char* name;
    double value;
  } rates[] = {{"dropout", o.dropout},
               {"dropout_hidden", o.dropout_hidden},
               {"dropout_input", o.dropout_input},
               {"dropout_embedding", o.dropout_embedding}};
  for (const auto& rate : rates)
    require(rate.value >= 0 && rate.value < 1, "`options->", rate.name, "` (=", rate.value, ") must lie in [0, 1)");
  return {o.dropout, o.dropout_hidden, o.dropout_input, o.dropout_embedding};
}

pydarts_text_options checked(const pydarts_text_options* options) {
  const pydarts_text_options o = known(options, "options", kOptions);
  require(o.vocab_size >= 2 && o.vocab_size <= 1 << 20, "`options->vocab_size` (=", o.vocab_size, ") must lie in 2..",
          1 << 20);
  require(o.hidden_size >= 1 && o.hidden_size <= 1 << 14, "`options->hidden_size` (=", o.hidden_size,
          ") must lie in 1..", 1 << 14);
  require(o.vocabulary || o.vocabulary_length == 0, "`options->vocabulary` is null, but `vocabulary_length` is ",
          o.vocabulary_length);
  return o;
}

std::unique_ptr<pydarts_network> derived(TextDescription description, int vocab_size, std::uint64_t seed,
                                         const pydarts_runtime& runtime) {
  auto network = std::make_unique<pydarts_network>(derived_cell(description.genotype), vocab_size, description.hidden,
                                                   description.dropout, seed, runtime);
  network->text_model = std::move(description);
  return network;
}

std::unique_ptr<pydarts_network> model_of(const char* json, std::size_t json_size, const std::string& name,
                                          const pydarts_runtime& runtime, std::size_t size) {
  TextDescription description = reading(name, [&] {
    TextDescription d = read_text_description(json, json_size);
    const std::size_t weights = weights_of(d.genotype.operations.size(), d.tokens.size(), d.hidden);
    require(weights <= size / sizeof(float), "it describes ", weights, " weights, more than the other file can hold");
    return d;
  });
  // What is wrong from here on, with the runtime, is no fault of the file.
  const int vocab_size = int(description.tokens.size());
  return derived(std::move(description), vocab_size, 0, runtime);
}

}  // namespace

pydarts_network::pydarts_network(const RecurrentCell& cell, int vocabulary, int hidden_size, const Dropout& dropout,
                                 std::uint64_t seed, const pydarts_runtime& runtime_)
    : runtime(runtime_),
      environment(environment_of(runtime)),
      hidden{Vector<float>(environment.memory), Vector<float>(environment.memory), Vector<float>(environment.memory),
             Vector<float>(environment.memory)} {
  text.emplace(cell, vocabulary, hidden_size, dropout, seed, environment.threads, environment.memory);
  const Communicator ranks = communicator_of(runtime);
  if (ranks.several()) text->use_communicator(ranks);
  if (runtime.cancel) text->set_cancel([this] { return runtime.cancel(runtime.user) != 0; });
  for (const auto& p : text->parameters()) {
    std::vector<int> shape{p.rows};
    if (p.columns) shape.push_back(p.columns);
    tensors.push_back({p.name, std::move(shape), PYDARTS_WEIGHTS, p.offset, p.size});
  }
  if (!cell.search) return;
  const std::size_t count = std::size_t(hidden_size);
  tensors.push_back({"rnns.0.bn.running_mean", {hidden_size}, PYDARTS_RUNNING, 0, count});
  tensors.push_back({"rnns.0.bn.running_var", {hidden_size}, PYDARTS_RUNNING, count, count});
  constexpr int columns = 1 + kActivations;
  const std::size_t alphas = text->num_alphas();
  tensors.push_back({"recurrent", {int(alphas) / columns, columns}, PYDARTS_ALPHAS, 0, alphas});
}

CellGenotype pydarts::recurrent_genotype(const pydarts_network& network) {
  return network.text_model ? network.text_model->genotype : derive_recurrent_cell(network.text->alphas().data());
}

pydarts_status pydarts_text_options_defaults(pydarts_text_options* options) {
  return guarded(nullptr, 0, [&] { fill(options, "options", kOptions); });
}

pydarts_status pydarts_text_supernet_create(const pydarts_text_options* options, const pydarts_runtime* runtime,
                                            pydarts_network** network, char* message, size_t message_size) {
  return create(network, message, message_size, [&] {
    const pydarts_text_options o = checked(options);
    require(!o.vocabulary, "`options->vocabulary` must be null in a supernet");
    return std::make_unique<pydarts_network>(RecurrentCell::supernet(kRecurrentNodes), o.vocab_size, o.hidden_size,
                                             dropout_of(o), o.seed, runtime_of(runtime));
  });
}

pydarts_status pydarts_text_derived_create(const char* genotype, size_t genotype_size,
                                           const pydarts_text_options* options, const pydarts_runtime* runtime,
                                           pydarts_network** network, char* message, size_t message_size) {
  return create(network, message, message_size, [&] {
    const pydarts_text_options o = checked(options);
    require(genotype, "`genotype` is null");
    TextDescription d;
    d.hidden = o.hidden_size;
    d.dropout = dropout_of(o);
    reading("`genotype`", [&] {
      require_file(genotype_size <= kMaxGenotypeText, "it has ", genotype_size, " bytes, more than ", kMaxGenotypeText);
      d.genotype = read_recurrent_genotype(parse_json(genotype, genotype_size));
    });
    if (o.vocabulary)
      reading("`options->vocabulary`", [&] {
        require_file(o.vocabulary_length <= kMaxTextDescription, "it has ", o.vocabulary_length, " bytes, more than ",
                     kMaxTextDescription);
        read_vocabulary(parse_json(o.vocabulary, o.vocabulary_length), d);
        require_file(int(d.tokens.size()) == o.vocab_size, "`tokens` has ", d.tokens.size(),
                     " entries; `options->vocab_size` is ", o.vocab_size);
      });
    return derived(std::move(d), o.vocab_size, o.seed, runtime_of(runtime));
  });
}

pydarts_status pydarts_text_model_load(const char* folder, const pydarts_runtime* runtime, pydarts_network** network,
                                       char* message, size_t message_size) {
  return create(network, message, message_size, [&] {
    require(folder, "`folder` is null");
    const fs::path description = fs::u8path(folder) / "model.json", weights = fs::u8path(folder) / "model.safetensors";
    const std::string name = description.u8string();
    const pydarts_runtime rules = runtime_of(runtime);
    const MemoryHooks memory = environment_of(rules).memory;
    const Vector<char> json = reading(name, [&] { return file_content(description, 0, kMaxTextDescription, memory); });
    std::error_code error;
    const std::uintmax_t size = fs::file_size(weights, error);
    require_file(!error, weights.u8string(), ": there is no such file");
    auto made = model_of(json.data(), json.size(), name, rules, std::size_t(size));
    load_tensors(weights, made->stored(), memory);
    made->log(text("read ", weights.u8string()));
    return made;
  });
}

pydarts_status pydarts_text_model_read(const void* description, size_t description_size, const void* weights,
                                       size_t weights_size, const pydarts_runtime* runtime, pydarts_network** network,
                                       char* message, size_t message_size) {
  return create(network, message, message_size, [&] {
    require(description, "`description` is null");
    require(weights, "`weights` is null");
    auto made = model_of(static_cast<const char*>(description), description_size, "`description`", runtime_of(runtime),
                         weights_size);
    reading("`weights`", [&] { read_safetensors(static_cast<const char*>(weights), weights_size, made->stored()); });
    return made;
  });
}

pydarts_status pydarts_text_model_save(const pydarts_network* network, const char* folder) {
  return Border::cross(network, [&] {
    require(folder, "`folder` is null");
    network->recurrent();  // of text
    require(network->text_model.has_value(), "`network` is a supernet: a model has a derived cell");
    require(!network->text_model->tokens.empty(), "`network` was made without `options->vocabulary`");
    const fs::path to = fs::u8path(folder), description = to / "model.json", weights = to / "model.safetensors";
    const std::string json = write_text_description(*network->text_model);
    const std::string done = text("wrote ", weights.u8string());
    std::error_code ignored;
    fs::create_directories(to, ignored);  // one that fails is found by what follows
    save_tensors(weights, network->stored());
    require_file(replace_file(description, {{json.data(), json.size()}}), description.u8string(),
                 ": it cannot be written");
    network->log(done);
  });
}

pydarts_status pydarts_network_stream(const pydarts_network* network, uint64_t* stream) {
  return Border::cross(network, [&] {
    require(stream, "`stream` is null");
    *stream = network->text ? network->text->random().state() : network->engine().noise_step();
  });
}

pydarts_status pydarts_network_set_stream(pydarts_network* network, uint64_t stream) {
  return Border::cross(network, [&] {
    if (network->text)
      network->recurrent().random() = Random(stream);
    else
      network->engine().set_noise_step(stream);
  });
}

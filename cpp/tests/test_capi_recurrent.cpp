// SPDX-License-Identifier: MIT
// Networks over text and the optimiser's state through the C API. Given a folder and `print`, the numbers of a fixed
// run, and with `load` those of the model in it, for tests/test_library.py to compare.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <filesystem>

#include "allocations.hpp"
#include "capi.hpp"
#include "check.hpp"
#include "ranks.hpp"

namespace fs = std::filesystem;

namespace {

constexpr int kVocabulary = 9, kHidden = 20, kLength = 6, kBatch = 3;
const char kCell[] =
    "{\"format\": \"pydarts-genotype\", \"version\": 1, \"kind\": \"recurrent\", \"recurrent\": [[\"relu\", 0], "
    "[\"tanh\", 1], [\"sigmoid\", 0], [\"identity\", 2]], \"concat\": [1, 2, 4]}";
const char kWords[] =
    "{\"level\": \"char\", \"tokens\": [\"<unk>\", \"a\", \"b\", \"c\", \"d\", \"\\u00e9\", \"\\n\", \"\\\"\", "
    "\" \"]}";

pydarts_runtime hooked_runtime() {
  pydarts_runtime runtime = capi::runtime();
  runtime.user = &hooked;
  runtime.allocate = [](void* user, std::size_t bytes, std::size_t alignment) {
    return static_cast<Allocations*>(user)->take(bytes, alignment);
  };
  runtime.release = [](void* user, void* memory, std::size_t) { static_cast<Allocations*>(user)->give_back(memory); };
  return runtime;
}

pydarts_text_options options(double dropout = 0) {
  pydarts_text_options o = {sizeof o};
  pydarts_text_options_defaults(&o);
  o.vocab_size = kVocabulary;
  o.hidden_size = kHidden;
  o.seed = 5;
  o.dropout = o.dropout_hidden = o.dropout_input = o.dropout_embedding = dropout;
  return o;
}

pydarts_status text_supernet(capi::Net& net, const pydarts_runtime& r, double dropout = 0) {
  const pydarts_text_options o = options(dropout);
  pydarts_network* made;
  const pydarts_status status = pydarts_text_supernet_create(&o, &r, &made, nullptr, 0);
  net.reset(made);
  return status;
}

pydarts_status text_derived(capi::Net& net, const pydarts_runtime& r, double dropout = 0) {
  pydarts_text_options o = options(dropout);
  o.vocabulary = kWords;
  o.vocabulary_length = sizeof(kWords) - 1;
  pydarts_network* made;
  const pydarts_status status = pydarts_text_derived_create(kCell, sizeof(kCell) - 1, &o, &r, &made, nullptr, 0);
  net.reset(made);
  return status;
}

pydarts_status text_optimizer(capi::Optimizer& to, const capi::Net& net, int order = 2, double momentum = 0) {
  pydarts_optimizer_options o = {sizeof o};
  pydarts_text_optimizer_options_defaults(&o);
  o.order = order;
  o.momentum = momentum;
  pydarts_optimizer* made;
  const pydarts_status status = pydarts_optimizer_create(net.get(), &o, &made, nullptr, 0);
  to.reset(made);
  return status;
}

// Tokens that tests/test_library.py makes as well, and a state that is carried.
struct Text {
  std::vector<std::int32_t> x, y;
  std::vector<float> hidden = std::vector<float>(kBatch * kHidden);
  pydarts_segment segment = {sizeof segment};

  explicit Text(int step) {
    for (int i = 0; i < kLength * kBatch; ++i) {
      x.push_back((7 * i + step) % kVocabulary);
      y.push_back((5 * i + 2 * step + 1) % kVocabulary);
    }
    pydarts_segment_defaults(&segment);
    segment.length = kLength;
    segment.batch = kBatch;
    segment.x = x.data();
    segment.y = y.data();
    segment.hidden = segment.hidden_after = hidden.data();
  }
  Text(const Text&) = delete;
};

std::vector<char> state(const capi::Optimizer& optimizer) {
  std::size_t size = 0;
  CHECK(pydarts_optimizer_write(optimizer.get(), nullptr, 0, &size) == PYDARTS_OK);
  std::vector<char> bytes(size);
  CHECK(pydarts_optimizer_write(optimizer.get(), bytes.data(), size, nullptr) == PYDARTS_OK);
  return bytes;
}

std::uint64_t stream(const capi::Net& net) {
  std::uint64_t value = 0;
  CHECK(pydarts_network_stream(net.get(), &value) == PYDARTS_OK);
  return value;
}

std::string genotype(const capi::Net& net) {
  char text[1000] = "";
  CHECK(pydarts_network_genotype(net.get(), text, sizeof text, nullptr) == PYDARTS_OK);
  return text;
}

pydarts_status step(const capi::Net& net, const capi::Optimizer& o, Text& train, Text& valid) {
  return valid.segment.x && capi::info(net).num_alphas
             ? pydarts_text_search_step(o.get(), net.get(), &train.segment, &valid.segment, 0.5, nullptr)
             : pydarts_text_weight_step(o.get(), net.get(), &train.segment, 0.5, nullptr);
}

// The same bits for any number of threads.
void threads_do_not_count() {
  std::vector<std::vector<std::vector<float>>> results;
  for (int threads : {1, 2, 3}) {
    capi::Net net;
    capi::Optimizer o;
    CHECK(text_supernet(net, capi::runtime(threads), 0.3) == PYDARTS_OK);
    CHECK(text_optimizer(o, net) == PYDARTS_OK);
    Text train(0), valid(1);
    for (int i = 0; i < 3; ++i) CHECK(step(net, o, train, valid) == PYDARTS_OK);
    results.push_back(capi::state(net));
    results.back().push_back(train.hidden);
    results.back().push_back(valid.hidden);
  }
  CHECK(results[0] == results[1] && results[0] == results[2]);
}

// Nor for any number of ranks.
void ranks_do_not_count() {
  const auto results = [](const pydarts_runtime& runtime) {
    capi::Net net;
    capi::Optimizer o;
    CHECK(text_supernet(net, runtime, 0.3) == PYDARTS_OK);
    CHECK(text_optimizer(o, net) == PYDARTS_OK);
    Text train(0), valid(1);
    for (int i = 0; i < 3; ++i) CHECK(step(net, o, train, valid) == PYDARTS_OK);
    std::vector<std::vector<float>> found = capi::state(net);
    found.push_back(train.hidden);
    found.push_back(valid.hidden);
    return found;
  };
  const auto one = results(capi::runtime());
  for (int size : {2, 4}) {
    Ranks ranks(size);
    ranks.run([&](const pydarts::Communicator& communicator) {
      CHECK(results(capi::with_rank(capi::runtime(), communicator)) == one);
    });
  }
}

// A run that is cut in two by files goes on to the same bits, which need every part of the state.
void resumed(bool search, int order, const fs::path& folder) {
  const auto make = [&](capi::Net& net, capi::Optimizer& o) {
    CHECK((search ? text_supernet(net, capi::runtime(), 0.3) : text_derived(net, capi::runtime(), 0.3)) == PYDARTS_OK);
    CHECK(text_optimizer(o, net, order, 0.9) == PYDARTS_OK);
  };
  capi::Net net, other;
  capi::Optimizer o, other_o, fresh;
  make(net, o);
  make(other, other_o);
  Text train(0), valid(1);
  for (int i = 0; i < 2; ++i) CHECK(step(net, o, train, valid) == PYDARTS_OK);
  const std::string path = (folder / "optimizer.safetensors").u8string();
  CHECK(pydarts_optimizer_save(o.get(), path.c_str()) == PYDARTS_OK);
  for (pydarts_kind kind : {PYDARTS_WEIGHTS, PYDARTS_ALPHAS, PYDARTS_RUNNING}) {
    const std::vector<float> values = capi::values(net, kind);
    CHECK(pydarts_network_set(other.get(), kind, values.data(), values.size()) == PYDARTS_OK);
  }
  CHECK(pydarts_network_set_stream(other.get(), stream(net)) == PYDARTS_OK);
  CHECK(state(o) != state(other_o));
  CHECK(pydarts_optimizer_load(other_o.get(), path.c_str()) == PYDARTS_OK);
  CHECK(state(o) == state(other_o));
  const std::string file = capi::content(path);
  const std::vector<char> written = state(o);
  CHECK(file == std::string(written.begin(), written.end()));
  Text train_copy(0), valid_copy(1);
  train_copy.hidden = train.hidden;
  valid_copy.hidden = valid.hidden;
  train_copy.segment.hidden = train_copy.segment.hidden_after = train_copy.hidden.data();
  valid_copy.segment.hidden = valid_copy.segment.hidden_after = valid_copy.hidden.data();
  for (int i = 0; i < 2; ++i) {
    CHECK(step(net, o, train, valid) == PYDARTS_OK);
    CHECK(step(other, other_o, train_copy, valid_copy) == PYDARTS_OK);
  }
  CHECK(capi::state(net) == capi::state(other) && state(o) == state(other_o));
  CHECK(train.hidden == train_copy.hidden && stream(net) == stream(other));
}

// The same for an optimiser over images.
void resumed_over_images() {
  capi::Net net, other;
  capi::Optimizer o, other_o;
  CHECK(capi::supernet(net, capi::runtime()) == PYDARTS_OK && capi::supernet(other, capi::runtime()) == PYDARTS_OK);
  CHECK(capi::optimizer(o, net) == PYDARTS_OK && capi::optimizer(other_o, other) == PYDARTS_OK);
  const capi::Images train(1), valid(2);
  const auto step = [&](const capi::Net& n, const capi::Optimizer& with) {
    CHECK(pydarts_search_step(with.get(), n.get(), &train.batch, &valid.batch, 0.1, nullptr) == PYDARTS_OK);
  };
  step(net, o);
  step(net, o);
  for (pydarts_kind kind : {PYDARTS_WEIGHTS, PYDARTS_ALPHAS, PYDARTS_RUNNING}) {
    const std::vector<float> values = capi::values(net, kind);
    CHECK(pydarts_network_set(other.get(), kind, values.data(), values.size()) == PYDARTS_OK);
  }
  const std::vector<char> bytes = state(o);
  CHECK(pydarts_optimizer_read(other_o.get(), bytes.data(), bytes.size()) == PYDARTS_OK);
  step(net, o);
  step(other, other_o);
  CHECK(capi::state(net) == capi::state(other) && state(o) == state(other_o));
}

// What noise operations draw goes on as well.
void noise_goes_on() {
  static const char space[] = "\"s4\"";
  const pydarts_runtime r = capi::runtime();
  capi::Net nets[2];
  capi::Optimizer optimizers[2];
  const capi::Images train(1), valid(2);
  for (int i = 0; i < 2; ++i) {
    pydarts_network_options o = capi::options();
    o.space = space;
    o.space_size = sizeof(space) - 1;
    pydarts_network* made;
    CHECK(pydarts_supernet_create(&o, &r, &made, nullptr, 0) == PYDARTS_OK);
    nets[i].reset(made);
    CHECK(capi::optimizer(optimizers[i], nets[i]) == PYDARTS_OK);
  }
  const auto step = [&](int i) {
    CHECK(pydarts_search_step(optimizers[i].get(), nets[i].get(), &train.batch, &valid.batch, 0.1, nullptr) ==
          PYDARTS_OK);
  };
  step(0);
  for (pydarts_kind kind : {PYDARTS_WEIGHTS, PYDARTS_ALPHAS, PYDARTS_RUNNING}) {
    const std::vector<float> values = capi::values(nets[0], kind);
    CHECK(pydarts_network_set(nets[1].get(), kind, values.data(), values.size()) == PYDARTS_OK);
  }
  const std::vector<char> bytes = state(optimizers[0]);
  CHECK(pydarts_optimizer_read(optimizers[1].get(), bytes.data(), bytes.size()) == PYDARTS_OK);
  CHECK(stream(nets[0]) != stream(nets[1]));
  CHECK(pydarts_network_set_stream(nets[1].get(), stream(nets[0])) == PYDARTS_OK);
  step(0);
  step(1);
  CHECK(capi::state(nets[0]) == capi::state(nets[1]));
}

// A file that is cut short or has bits turned over: refused, or read, and if refused nothing is changed.
void damaged_states() {
  capi::Net net;
  capi::Optimizer o;
  CHECK(text_supernet(net, capi::runtime()) == PYDARTS_OK && text_optimizer(o, net) == PYDARTS_OK);
  Text train(0), valid(1);
  CHECK(step(net, o, train, valid) == PYDARTS_OK);
  const std::vector<char> whole = state(o);
  const auto refused = [&](const std::vector<char>& bytes) {
    const std::unique_ptr<char[]> exact(new char[bytes.size()]);
    std::copy(bytes.begin(), bytes.end(), exact.get());
    const pydarts_status status = pydarts_optimizer_read(o.get(), exact.get(), bytes.size());
    CHECK(status == PYDARTS_OK || status == PYDARTS_BAD_FILE);
    if (status == PYDARTS_BAD_FILE) return true;
    CHECK(pydarts_optimizer_read(o.get(), whole.data(), whole.size()) == PYDARTS_OK);
    return false;
  };
  for (std::size_t size = 0; size < 600; ++size) CHECK(refused({whole.begin(), whole.begin() + size}));
  CHECK(refused({whole.begin(), whole.end() - 1}));
  pydarts::Random random(3);
  for (int i = 0; i < 1500; ++i) {
    std::vector<char> bytes = whole;
    bytes[std::size_t(random.uniform() * (i % 2 ? 500 : double(bytes.size())))] ^= char(1 << i % 8);
    refused(bytes);
  }
  CHECK(state(o) == whole);
  const auto steps_at =
      8 + std::size_t(static_cast<unsigned char>(whole[0])) + 256 * static_cast<unsigned char>(whole[1]);
  std::vector<char> negative = whole;
  negative[steps_at + 7] = char(0x80);  // of the steps
  CHECK(refused(negative));
  negative = whole;
  const std::size_t second = steps_at + 8 + 4 * capi::info(net).num_alphas;
  const float value = -1;
  std::memcpy(&negative[second], &value, 4);
  CHECK(refused(negative));
  CHECK(std::strstr(pydarts_optimizer_error(o.get()), "alphas.second_moment"));
  capi::Net image;
  capi::Optimizer other;
  CHECK(capi::derived(image, capi::runtime()) == PYDARTS_OK && capi::optimizer(other, image) == PYDARTS_OK);
  CHECK(pydarts_optimizer_read(other.get(), whole.data(), whole.size()) == PYDARTS_BAD_FILE);
}

// A model file that is damaged is refused or read, but never believed.
void models(const fs::path& folder) {
  capi::Net net;
  CHECK(text_derived(net, capi::runtime()) == PYDARTS_OK);
  const std::string name = (folder / "language").u8string();
  CHECK(pydarts_text_model_save(net.get(), name.c_str()) == PYDARTS_OK);
  const std::string json = capi::content(name + "/model.json"), weights = capi::content(name + "/model.safetensors");
  const pydarts_runtime r = capi::runtime();
  const auto read = [&](const std::string& description, const std::string& file, capi::Net& to) {
    const std::unique_ptr<char[]> first(new char[description.size()]), second(new char[file.size()]);
    std::copy(description.begin(), description.end(), first.get());
    std::copy(file.begin(), file.end(), second.get());
    pydarts_network* made;
    const pydarts_status status =
        pydarts_text_model_read(first.get(), description.size(), second.get(), file.size(), &r, &made, nullptr, 0);
    to.reset(made);
    CHECK((status == PYDARTS_OK) == bool(to));
    return status;
  };
  capi::Net again, loaded;
  CHECK(read(json, weights, again) == PYDARTS_OK);
  CHECK(capi::state(again) == capi::state(net) && genotype(again) == genotype(net));
  char label[20];
  CHECK(pydarts_network_label(again.get(), 5, label, sizeof label, nullptr) == PYDARTS_OK);
  CHECK(std::string(label) == "\xc3\xa9");
  pydarts_network* made;
  CHECK(pydarts_text_model_load(name.c_str(), &r, &made, nullptr, 0) == PYDARTS_OK);
  loaded.reset(made);
  CHECK(capi::state(loaded) == capi::state(net));
  CHECK(pydarts_text_model_save(loaded.get(), name.c_str()) == PYDARTS_OK);
  CHECK(capi::content(name + "/model.json") == json);
  for (std::size_t size = 0; size + 2 < json.size(); ++size)
    CHECK(read(json.substr(0, size), weights, again) == PYDARTS_BAD_FILE);
  pydarts::Random random(4);
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = json;
    damaged[std::size_t(random.uniform() * double(json.size()))] ^= char(1 << i % 8);
    const pydarts_status status = read(damaged, weights, again);
    CHECK(status == PYDARTS_OK || status == PYDARTS_BAD_FILE);
  }
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"\"hidden_size\": 20", "\"hidden_size\": 16384"},  // memory that the weights do not warrant
           {"\"dropout\": 0", "\"dropout\": 1"},
           {"\"<unk>\"", "\"unk\""},
           {"\"a\"", "\"b\""},
           {"\"a\"", "\"ab\""},
           {"\"a\"", "\"\""},
           {"\"identity\", 2", "\"identity\", 4"},
           {"\"identity\", 2", "\"none\", 2"},
           {"[1, 2, 4]", "[1, 2, 5]"},
           {"[1, 2, 4]", "[1, 2, 2]"},
           {"[1, 2, 4]", "[]"}}) {
    std::string wrong = json;
    CHECK(wrong.find(from) != std::string::npos);
    if (wrong.find(from) != std::string::npos) wrong.replace(wrong.find(from), from.size(), to);
    CHECK(read(wrong, weights, again) == PYDARTS_BAD_FILE);
  }
}

// Functions of one kind refuse networks of the other.
void kinds() {
  capi::Net text, image, cell;
  capi::Optimizer text_o, image_o, cell_o;
  CHECK(text_supernet(text, capi::runtime()) == PYDARTS_OK && capi::supernet(image, capi::runtime()) == PYDARTS_OK);
  CHECK(text_derived(cell, capi::runtime()) == PYDARTS_OK && text_optimizer(cell_o, cell) == PYDARTS_OK);
  CHECK(text_optimizer(text_o, text) == PYDARTS_OK && capi::optimizer(image_o, image) == PYDARTS_OK);
  Text train(0), valid(1);
  const capi::Images images(1);
  const auto no = PYDARTS_INVALID_ARGUMENT;
  float logits[9] = {};
  std::size_t bytes;
  CHECK(pydarts_logits(text.get(), &images.batch, 0, logits, 9) == no);
  CHECK(pydarts_workspace_size(text.get(), 1, 6, 6, 0, &bytes) == no);
  CHECK(pydarts_workspace_set(text.get(), nullptr, 0) == no);
  CHECK(pydarts_network_set_skip_weight(text.get(), 1) == no);
  CHECK(pydarts_search_step(text_o.get(), text.get(), &images.batch, &images.batch, 0.1, nullptr) == no);
  CHECK(pydarts_weight_step(text_o.get(), text.get(), &images.batch, 0.1, nullptr) == no);
  CHECK(pydarts_text_evaluate(image.get(), &train.segment, nullptr) == no);
  CHECK(pydarts_network_stream(image.get(), nullptr) == no);
  CHECK(pydarts_text_model_save(image.get(), "x") == no && pydarts_text_model_save(text.get(), "x") == no);
  CHECK(pydarts_text_weight_step(image_o.get(), image.get(), &train.segment, 0.1, nullptr) == no);
  CHECK(pydarts_text_search_step(cell_o.get(), cell.get(), &train.segment, &valid.segment, 0.1, nullptr) == no);
  CHECK(pydarts_text_search_step(text_o.get(), text.get(), nullptr, &valid.segment, 0.1, nullptr) == no);
  train.x[4] = kVocabulary;
  CHECK(step(text, text_o, train, valid) == no);
  CHECK(std::strstr(pydarts_optimizer_error(text_o.get()), "`train->x[4]` (=9) must lie in 0..8"));
  train.x[4] = 0;
  train.hidden[3] = std::nanf("");
  CHECK(step(text, text_o, train, valid) == no);
  CHECK(std::strstr(pydarts_optimizer_error(text_o.get()), "train->hidden[3]"));
  pydarts_optimizer_options o = {sizeof o};
  pydarts_text_optimizer_options_defaults(&o);
  pydarts_optimizer* made;
  CHECK(pydarts_optimizer_create(image.get(), &o, &made, nullptr, 0) == no);  // `tar` is for text
  o.size = offsetof(pydarts_optimizer_options, capped_clip);                  // of the header before
  CHECK(pydarts_optimizer_create(image.get(), &o, &made, nullptr, 0) == PYDARTS_OK);
  CHECK(pydarts_optimizer_destroy(made) == PYDARTS_OK);
}

// A cancelled call leaves everything as it was, and what follows gives what it would have given.
void cancelled() {
  struct Calls {
    int left = -1;
  } calls;
  pydarts_runtime r = capi::runtime();
  r.user = &calls;
  r.cancel = [](void* user) { return int(static_cast<Calls*>(user)->left-- == 0); };
  capi::Net net, plain;
  capi::Optimizer o, plain_o;
  CHECK(text_supernet(net, r, 0.3) == PYDARTS_OK && text_optimizer(o, net) == PYDARTS_OK);
  CHECK(text_supernet(plain, capi::runtime(), 0.3) == PYDARTS_OK && text_optimizer(plain_o, plain) == PYDARTS_OK);
  Text train(0), valid(1), train_copy(0), valid_copy(1);
  const auto before = capi::state(net);
  const auto before_o = state(o);
  int failures = 0;
  for (;; ++failures) {
    calls.left = failures;
    const pydarts_status status = step(net, o, train, valid);
    if (status == PYDARTS_OK) break;
    CHECK(status == PYDARTS_CANCELLED);
    CHECK(capi::state(net) == before && state(o) == before_o);
    CHECK(train.hidden == train_copy.hidden && valid.hidden == valid_copy.hidden);
    if (failed_checks) return;
  }
  CHECK(failures > 20);
  CHECK(step(plain, plain_o, train_copy, valid_copy) == PYDARTS_OK);
  CHECK(capi::state(net) == capi::state(plain) && train.hidden == train_copy.hidden);
}

// The n-th allocation fails, for every n; and a second step of the same sizes allocates nothing.
void memory(Allocations& from) {
  for (bool search : {true, false}) {
    const auto make = [&](capi::Net& net) {
      return search ? text_supernet(net, hooked_runtime(), 0.3) : text_derived(net, hooked_runtime(), 0.3);
    };
    bool done = false;
    for (int i = 0; !done && !failed_checks; ++i) {
      const long long live = heap.live, live_hooked = hooked.live;
      capi::Net net;
      from.fail_at = i;
      const pydarts_status status = make(net);
      from.fail_at = -1;
      done = status == PYDARTS_OK;
      CHECK(done || (status == PYDARTS_OUT_OF_MEMORY && !net));
      net.reset();
      CHECK(heap.live == live && hooked.live == live_hooked);
      CHECK(!done || i > 3);
    }
    done = false;
    for (int i = 0; !done && !failed_checks; ++i) {
      Text train(0), valid(1);
      capi::Net net;
      capi::Optimizer o;
      CHECK(make(net) == PYDARTS_OK && text_optimizer(o, net) == PYDARTS_OK);
      const auto before = capi::state(net);
      const auto before_o = state(o);
      from.fail_at = i;
      const pydarts_status status = step(net, o, train, valid);
      from.fail_at = -1;
      done = status == PYDARTS_OK;
      CHECK(!done || i > 3 || &from == &heap);
      if (!done) {
        CHECK(status == PYDARTS_OUT_OF_MEMORY);
        CHECK(capi::state(net) == before && state(o) == before_o);
        CHECK(step(net, o, train, valid) == PYDARTS_OK);
      }
      from.fail_at = 0;  // whatever is allocated now
      CHECK(step(net, o, train, valid) == PYDARTS_OK);
      from.fail_at = -1;
    }
  }
}

void busy() {
  capi::Net net;
  struct Seen {
    pydarts_network* network = nullptr;
    pydarts_status status = PYDARTS_OK;
  } seen;
  pydarts_runtime r = capi::runtime();
  r.user = &seen;
  r.cancel = [](void* user) {
    Seen& s = *static_cast<Seen*>(user);
    if (s.network) s.status = pydarts_network_destroy(s.network);
    return 0;
  };
  CHECK(text_supernet(net, r) == PYDARTS_OK);
  seen.network = net.get();
  Text text(0);
  CHECK(pydarts_text_evaluate(net.get(), &text.segment, nullptr) == PYDARTS_OK);
  CHECK(seen.status == PYDARTS_BUSY);
}

// Steps of inference are a segment.
void inference() {
  capi::Net net;
  CHECK(text_derived(net, capi::runtime(2)) == PYDARTS_OK);
  Text text(0);
  pydarts_loss loss = {sizeof loss};
  CHECK(pydarts_text_evaluate(net.get(), &text.segment, &loss) == PYDARTS_OK);
  std::vector<float> hidden(kBatch * kHidden), p(kBatch * kVocabulary);
  double total = 0;
  for (int t = 0; t < kLength; ++t) {
    CHECK(pydarts_text_next(net.get(), kBatch, text.x.data() + t * kBatch, hidden.data(), hidden.data(), p.data(),
                            p.size()) == PYDARTS_OK);
    for (int b = 0; b < kBatch; ++b) total -= std::log(double(p[b * kVocabulary + text.y[t * kBatch + b]]));
  }
  CHECK(hidden == text.hidden);
  CHECK(std::fabs(total / (kLength * kBatch) - loss.value) < 1e-5);
  std::size_t bytes = 0, more = 0;
  CHECK(pydarts_text_memory(net.get(), kLength, kBatch, 0, &bytes) == PYDARTS_OK);
  CHECK(pydarts_text_memory(net.get(), kLength, kBatch, 1, &more) == PYDARTS_OK);
  CHECK(bytes > 0 && more > bytes);
}

void print(const char* name, const std::vector<float>& values) {
  std::printf("%s", name);
  for (float value : values) std::printf(" %a", double(value));
  std::printf("\n");
}

// Bilevel steps of both orders, then weight steps, and a saved model.
void run(const fs::path& folder) {
  for (int order : {1, 2}) {
    capi::Net net;
    capi::Optimizer o;
    CHECK(text_supernet(net, capi::runtime(2), 0.3) == PYDARTS_OK && text_optimizer(o, net, order) == PYDARTS_OK);
    Text train(0), valid(1);
    std::vector<float> gradient(capi::info(net).num_alphas), weights(capi::info(net).num_weights);
    CHECK(pydarts_text_gradients(net.get(), &train.segment, 0.5, 0.25, weights.data(), weights.size(), gradient.data(),
                                 gradient.size(), nullptr) == PYDARTS_OK);
    print("d_weights", weights);
    print("d_alphas", gradient);
    for (int i = 0; i < 3; ++i) CHECK(step(net, o, train, valid) == PYDARTS_OK);
    for (const auto& values : capi::state(net)) print("values", values);
    print("hidden", train.hidden);
    print("hidden", valid.hidden);
    CHECK(pydarts_text_arch_gradient(o.get(), net.get(), &train.segment, &valid.segment, 0.5, gradient.data(),
                                     gradient.size()) == PYDARTS_OK);
    print("gradient", gradient);
    std::printf("%s\n", genotype(net).c_str());
  }
  capi::Net net;
  capi::Optimizer o;
  CHECK(text_derived(net, capi::runtime(), 0.3) == PYDARTS_OK && text_optimizer(o, net) == PYDARTS_OK);
  Text train(0), valid(1);
  for (int i = 0; i < 3; ++i) CHECK(step(net, o, train, valid) == PYDARTS_OK);
  print("weights", capi::values(net, PYDARTS_WEIGHTS));
  std::vector<float> p(kVocabulary);
  const std::int32_t token = 3;
  CHECK(pydarts_text_next(net.get(), 1, &token, nullptr, nullptr, p.data(), p.size()) == PYDARTS_OK);
  print("probabilities", p);
  CHECK(pydarts_text_model_save(net.get(), (folder / "model").u8string().c_str()) == PYDARTS_OK);
}

// The probabilities of the model in a folder.
void load(const char* folder) {
  const pydarts_runtime r = capi::runtime();
  pydarts_network* made;
  CHECK(pydarts_text_model_load(folder, &r, &made, nullptr, 0) == PYDARTS_OK);
  const capi::Net net(made);
  std::vector<float> p(kVocabulary);
  const std::int32_t token = 3;
  CHECK(pydarts_text_next(net.get(), 1, &token, nullptr, nullptr, p.data(), p.size()) == PYDARTS_OK);
  for (float value : p) std::printf("%a ", double(value));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;  // an empty folder
  const fs::path folder = argv[1];
  if (argc == 3) {
    if (std::string(argv[2]) == "load")
      load(argv[1]);
    else
      run(folder);
    return checked();
  }
  threads_do_not_count();
  ranks_do_not_count();
  for (bool search : {true, false})
    for (int order : {1, 2}) resumed(search, order, folder);
  resumed_over_images();
  noise_goes_on();
  damaged_states();
  models(folder);
  kinds();
  cancelled();
  for (Allocations* from : {&heap, &hooked}) memory(*from);
  busy();
  inference();
  return checked();
}

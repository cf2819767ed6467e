// SPDX-License-Identifier: MIT
// A recurrent cell in the small: searched over a text of its own, trained, saved for Python's LanguageModel.load if a
// folder is given, and made to write. The state of the network is carried from segment to segment.
#include <pydarts.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace {

struct Destroy {
  void operator()(pydarts_network* network) const { pydarts_network_destroy(network); }
  void operator()(pydarts_optimizer* optimizer) const { pydarts_optimizer_destroy(optimizer); }
};
using Network = std::unique_ptr<pydarts_network, Destroy>;
using Optimizer = std::unique_ptr<pydarts_optimizer, Destroy>;

constexpr int kHidden = 32, kLength = 16, kBatch = 4, kSegments = 12, kSearchEpochs = 6, kTrainEpochs = 40;
constexpr double kSearchRate = 0.5, kRate = 4;
const char kVocabulary[] = "{\"level\": \"char\", \"tokens\": [\"<unk>\", \" \", \"a\", \"b\", \"c\", \"d\"]}";
const char kTokens[] = "? abcd";
const char kPhrase[] = "abba caba dada ";

void check(pydarts_status status, const char* message) {
  if (status == PYDARTS_OK) return;
  std::fprintf(stderr, "%s: %s\n", pydarts_status_text(status), message);
  std::exit(1);
}

std::int32_t token(int place) {
  const char letter = kPhrase[place % (int(sizeof kPhrase) - 1)];
  return std::int32_t(std::find(kTokens, kTokens + sizeof kTokens - 1, letter) - kTokens);
}

// kBatch sequences side by side, which begin at different places of the phrase.
class Text {
 public:
  explicit Text(int begin) : begin_(begin), hidden_(kBatch * kHidden) {}

  pydarts_segment segment(int index) {
    for (int t = 0; t < kLength; ++t)
      for (int b = 0; b < kBatch; ++b) {
        const int place = begin_ + 4 * b + index * kLength + t;
        x_[t * kBatch + b] = token(place);
        y_[t * kBatch + b] = token(place + 1);
      }
    pydarts_segment segment = {sizeof segment};
    pydarts_segment_defaults(&segment);
    segment.length = kLength;
    segment.batch = kBatch;
    segment.x = x_;
    segment.y = y_;
    segment.hidden = segment.hidden_after = hidden_.data();
    return segment;
  }
  void rewind() { std::fill(hidden_.begin(), hidden_.end(), 0.0f); }

 private:
  int begin_;
  std::int32_t x_[kLength * kBatch], y_[kLength * kBatch];
  std::vector<float> hidden_;
};

pydarts_text_options small_network() {
  pydarts_text_options options = {sizeof options};
  pydarts_text_options_defaults(&options);
  options.vocab_size = int(sizeof kTokens) - 1;
  options.hidden_size = kHidden;
  options.dropout = options.dropout_hidden = options.dropout_input = options.dropout_embedding = 0;
  return options;
}

Optimizer make_optimizer(const Network& network) {
  pydarts_optimizer_options options = {sizeof options};
  pydarts_text_optimizer_options_defaults(&options);
  pydarts_optimizer* optimizer;
  char message[256];
  check(pydarts_optimizer_create(network.get(), &options, &optimizer, message, sizeof message), message);
  return Optimizer(optimizer);
}

std::string search() {
  const pydarts_text_options options = small_network();
  pydarts_network* made;
  char message[256];
  check(pydarts_text_supernet_create(&options, nullptr, &made, message, sizeof message), message);
  const Network supernet(made);
  const Optimizer optimizer = make_optimizer(supernet);
  Text train(0), valid(7);
  for (int epoch = 0; epoch < kSearchEpochs; ++epoch) {
    train.rewind();
    valid.rewind();
    double loss = 0;
    for (int i = 0; i < kSegments; ++i) {
      const pydarts_segment a = train.segment(i), b = valid.segment(i);
      pydarts_step_info info = {sizeof info};
      check(pydarts_text_search_step(optimizer.get(), supernet.get(), &a, &b, kSearchRate, &info),
            pydarts_optimizer_error(optimizer.get()));
      loss += info.valid_loss / kSegments;
    }
    std::printf("search, epoch %d: validation loss %.4f\n", epoch + 1, loss);
  }
  std::size_t size = 0;
  check(pydarts_network_genotype(supernet.get(), nullptr, 0, &size), pydarts_network_error(supernet.get()));
  std::string genotype(size, '\0');
  check(pydarts_network_genotype(supernet.get(), &genotype[0], size, nullptr), pydarts_network_error(supernet.get()));
  genotype.resize(size - 1);
  return genotype;
}

// Writes on where `letter` ends, the likeliest token each time; gives how many are those of the phrase.
int write_on(const Network& network, int steps) {
  std::vector<float> hidden(kHidden), probabilities(sizeof kTokens - 1);
  int right = 0;
  std::int32_t next = token(0);
  for (int i = 1; i <= steps; ++i) {
    check(pydarts_text_next(network.get(), 1, &next, hidden.data(), hidden.data(), probabilities.data(),
                            probabilities.size()),
          pydarts_network_error(network.get()));
    next = std::int32_t(std::max_element(probabilities.begin(), probabilities.end()) - probabilities.begin());
    std::putchar(kTokens[next]);
    right += next == token(i);
    next = token(i);  // what follows is asked after what stands there
  }
  std::putchar('\n');
  return right;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string genotype = search();
  std::printf("%s\n", genotype.c_str());

  pydarts_text_options options = small_network();
  options.vocabulary = kVocabulary;
  options.vocabulary_length = sizeof kVocabulary - 1;
  pydarts_network* made;
  char message[256];
  check(
      pydarts_text_derived_create(genotype.data(), genotype.size(), &options, nullptr, &made, message, sizeof message),
      message);
  const Network network(made);
  const Optimizer optimizer = make_optimizer(network);
  Text train(0);
  for (int epoch = 0; epoch < kTrainEpochs; ++epoch) {
    train.rewind();
    for (int i = 0; i < kSegments; ++i) {
      const pydarts_segment segment = train.segment(i);
      check(pydarts_text_weight_step(optimizer.get(), network.get(), &segment, kRate, nullptr),
            pydarts_optimizer_error(optimizer.get()));
    }
  }
  Text test(0);
  const pydarts_segment segment = test.segment(0);
  pydarts_loss loss = {sizeof loss};
  check(pydarts_text_evaluate(network.get(), &segment, &loss), pydarts_network_error(network.get()));
  std::printf("loss %.4f\n", loss.value);
  if (argc > 1) check(pydarts_text_model_save(network.get(), argv[1]), pydarts_network_error(network.get()));
  const int right = write_on(network, 45);
  std::printf("%d of 45 letters are those of the phrase\n", right);
  return right >= 40 ? 0 : 1;
}

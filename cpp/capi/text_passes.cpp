// SPDX-License-Identifier: MIT
// Passes and steps over text of the C API.
#include <cmath>
#include <ostream>

#include "bilevel/recurrent_oracle.hpp"
#include "capi/handles.hpp"
#include "network/limits.hpp"

using namespace pydarts;

namespace {

const pydarts_segment kSegment = {sizeof(pydarts_segment)};
constexpr long long kMostTokens = 1 << 26;

// How errors name an argument, or a member of one: text that costs nothing until it is wanted.
struct Name {
  const char* owner;  // null: an argument by itself
  const char* name;
};

std::ostream& operator<<(std::ostream& out, const Name& name) {
  return name.owner ? out << name.owner << "->" << name.name : out << name.name;
}

void check_tokens(const RecurrentNetwork<float>& network, const std::int32_t* tokens, int length, int batch,
                  const Name& name) {
  require(tokens, "`", name, "` is null");
  for (std::size_t i = 0; i < std::size_t(length) * batch; ++i)
    require(tokens[i] >= 0 && tokens[i] < network.vocabulary(), "`", name, "[", i, "]` (=", tokens[i],
            ") must lie in 0..", network.vocabulary() - 1);
}

void check_size(int length, int batch, const char* owner) {
  require(length >= 1, "`", Name{owner, "length"}, "` (=", length, ") must be at least 1");
  require(batch >= 1, "`", Name{owner, "batch"}, "` (=", batch, ") must be at least 1");
  require((long long)(length)*batch < kMostTokens, "`", Name{owner, "length"}, "` (=", length, ") and `",
          Name{owner, "batch"}, "` (=", batch, ") make too many tokens");
}

// The state before the first token: the caller's, or zero in `zeros`.
const float* state_before(const RecurrentNetwork<float>& network, const float* hidden, int batch, Vector<float>& zeros,
                          const Name& name) {
  const std::size_t count = std::size_t(batch) * network.hidden();
  if (!hidden) {
    zeros.assign(count, 0.0f);
    return zeros.data();
  }
  for (std::size_t i = 0; i < count; ++i)
    require(std::isfinite(hidden[i]), "`", name, "[", i, "]` (=", hidden[i], ") must be finite");
  return hidden;
}

// A segment of the caller's that fits the network. The state after it goes to the caller once the call has succeeded:
// until then it stands in memory of the handle's.
class Given {
 public:
  Given(const pydarts_network& network, const pydarts_segment* given, const char* name, int place)
      : after_(network.hidden[2 * place + 1]) {
    const RecurrentNetwork<float>& engine = network.recurrent();
    s_ = known(given, name, kSegment);
    check_size(s_.length, s_.batch, name);
    check_tokens(engine, s_.x, s_.length, s_.batch, {name, "x"});
    check_tokens(engine, s_.y, s_.length, s_.batch, {name, "y"});
    if (s_.mixing || s_.num_mixing) {
      require(engine.num_alphas() > 0, "`", name, "->mixing` must be null: the network is no supernet");
      require_array(s_.mixing, s_.num_mixing, engine.num_alphas(), "mixing");
      check_mixing(s_.mixing, engine.num_alphas());
    }
    const float* before = state_before(engine, s_.hidden, s_.batch, network.hidden[2 * place], {name, "hidden"});
    after_.resize(std::size_t(s_.batch) * engine.hidden());
    segment_ = {s_.x, s_.y, before, s_.length, s_.batch};
  }

  const Segment<float>& segment() const { return segment_; }
  const float* mixing() const { return s_.mixing; }
  float* after() { return after_.data(); }
  DropoutMasks<float> masks() const { return {s_.output_mask, s_.hidden_mask, s_.input_mask, s_.embedding_mask}; }
  bool has_masks() const { return s_.output_mask || s_.hidden_mask || s_.input_mask || s_.embedding_mask; }
  void give() const {
    if (s_.hidden_after) std::copy(after_.begin(), after_.end(), s_.hidden_after);
  }

 private:
  pydarts_segment s_;
  Segment<float> segment_;
  Vector<float>& after_;
};

// Puts the stream of the masks back if a call fails, so that the next one draws what this one would have.
class KeptStream {
 public:
  explicit KeptStream(RecurrentNetwork<float>& network) : network_(network), before_(network.random()) {}
  KeptStream(const KeptStream&) = delete;
  ~KeptStream() {
    if (!done_) network_.random() = before_;
  }
  void advance() { done_ = true; }

 private:
  RecurrentNetwork<float>& network_;
  Random before_;
  bool done_ = false;
};

void require_no_masks(const Given& given, const char* name) {
  require(!given.has_masks(), "the masks of `", name, "` must be null: a step draws its own");
}

// What a search step works on.
SearchSegments<float> search_segments(const pydarts_optimizer& optimizer, Given& train, Given& valid) {
  for (const Given* given : {&train, &valid}) {
    require(!given->mixing(), "`train->mixing`, `valid->mixing` must be null: a search step learns the alphas");
    require_no_masks(*given, given == &train ? "train" : "valid");
  }
  return {train.segment(), valid.segment(), optimizer.regularisation, optimizer.shared_masks, nullptr,
          train.after(),   valid.after()};
}

void require_supernet(const RecurrentNetwork<float>& network) {
  require(network.num_alphas() > 0, "`network` is no supernet: it has no alphas");
}

}  // namespace

pydarts_status pydarts_segment_defaults(pydarts_segment* segment) {
  return guarded(nullptr, 0, [&] { fill(segment, "segment", kSegment); });
}

pydarts_status pydarts_text_gradients(pydarts_network* network, const pydarts_segment* segment, double ar, double tar,
                                      float* d_weights, size_t num_weights, float* d_alphas, size_t num_alphas,
                                      pydarts_loss* loss) {
  return Border::cross(network, [&] {
    RecurrentNetwork<float>& engine = network->recurrent();
    Given given(*network, segment, "segment", 0);
    require_at_least_0(ar, "ar");
    require_at_least_0(tar, "tar");
    require_array(d_weights, num_weights, d_weights ? engine.num_weights() : 0, "d_weights");
    require_array(d_alphas, num_alphas, d_alphas ? engine.num_alphas() : 0, "d_alphas");
    pydarts_loss result = {};
    if (loss) known(loss, "loss", result);
    KeptStream stream(engine);
    const DropoutMasks<float> masks = given.masks();
    const Loss found = engine.evaluate(given.segment(), engine.weights().data(), d_weights, d_alphas,
                                       given.has_masks() ? &masks : nullptr, {ar, tar}, given.mixing());
    engine.copy_last_hidden(given.after());
    stream.advance();
    given.give();
    result.value = found.value;
    result.correct = found.correct;
    if (loss) fill(loss, "loss", result);
  });
}

pydarts_status pydarts_text_evaluate(pydarts_network* network, const pydarts_segment* segment, pydarts_loss* loss) {
  return Border::cross(network, [&] {
    RecurrentNetwork<float>& engine = network->recurrent();
    Given given(*network, segment, "segment", 0);
    require_no_masks(given, "segment");
    pydarts_loss result = {};
    if (loss) known(loss, "loss", result);
    const Loss found = engine.test(given.segment(), given.mixing());
    engine.copy_last_hidden(given.after());
    given.give();
    result.value = found.value;
    result.correct = found.correct;
    if (loss) fill(loss, "loss", result);
  });
}

pydarts_status pydarts_text_next(pydarts_network* network, int32_t batch, const int32_t* tokens, const float* hidden,
                                 float* hidden_after, float* probabilities, size_t count) {
  return Border::cross(network, [&] {
    RecurrentNetwork<float>& engine = network->recurrent();
    require(batch >= 1 && batch <= kDecoderRows, "`batch` (=", batch, ") must lie in 1..", kDecoderRows);
    check_tokens(engine, tokens, 1, batch, {nullptr, "tokens"});
    require_array(probabilities, count, std::size_t(batch) * engine.vocabulary(), "probabilities");
    const float* before = state_before(engine, hidden, batch, network->hidden[0], {nullptr, "hidden"});
    engine.next_probabilities({tokens, nullptr, before, 1, batch}, probabilities);
    if (hidden_after) engine.copy_last_hidden(hidden_after);
  });
}

pydarts_status pydarts_text_memory(const pydarts_network* network, int32_t length, int32_t batch, int32_t backward,
                                   size_t* bytes) {
  return Border::cross(network, [&] {
    const RecurrentNetwork<float>& engine = network->recurrent();
    check_size(length, batch, nullptr);
    require(backward == 0 || backward == 1, "`backward` (=", backward, ") must be 0 or 1");
    require(bytes, "`bytes` is null");
    *bytes = engine.memory(length, batch, backward == 1);
  });
}

pydarts_status pydarts_text_arch_gradient(pydarts_optimizer* optimizer, pydarts_network* network,
                                          const pydarts_segment* train, const pydarts_segment* valid, double lr,
                                          float* d_alphas, size_t num_alphas) {
  return Border::cross(optimizer, [&] {
    const Pair pair(*optimizer, network);
    RecurrentNetwork<float>& engine = network->recurrent();
    require_supernet(engine);
    Given first(*network, train, "train", 0), second(*network, valid, "valid", 1);
    SearchSegments<float> segments = search_segments(*optimizer, first, second);
    require_at_least_0(lr, "lr");
    require_array(d_alphas, num_alphas, engine.num_alphas(), "d_alphas");
    KeptStream stream(engine);
    optimizer->step.gradient(oracle_of(engine, segments), engine.weights().data(), lr, d_alphas);
    stream.advance();
  });
}

pydarts_status pydarts_text_search_step(pydarts_optimizer* optimizer, pydarts_network* network,
                                        const pydarts_segment* train, const pydarts_segment* valid, double lr,
                                        pydarts_step_info* info) {
  return Border::cross(optimizer, [&] {
    const Pair pair(*optimizer, network);
    RecurrentNetwork<float>& engine = network->recurrent();
    require_supernet(engine);
    Given first(*network, train, "train", 0), second(*network, valid, "valid", 1);
    SearchSegments<float> segments = search_segments(*optimizer, first, second);
    require_at_least_0(lr, "lr");
    pydarts_step_info result = {};
    if (info) known(info, "info", result);
    KeptStream stream(engine);
    const auto seen = optimizer->step(oracle_of(engine, segments), engine.weights().data(), engine.alphas().data(), lr);
    engine.update_running();
    stream.advance();
    first.give();
    second.give();
    result = {0,
              seen.train.value,
              seen.valid.value,
              seen.train.correct,
              seen.valid.correct,
              seen.gradient_norm,
              seen.alpha_gradient_norm};
    if (info) fill(info, "info", result);
  });
}

pydarts_status pydarts_text_weight_step(pydarts_optimizer* optimizer, pydarts_network* network,
                                        const pydarts_segment* segment, double lr, pydarts_step_info* info) {
  return Border::cross(optimizer, [&] {
    const Pair pair(*optimizer, network);
    RecurrentNetwork<float>& engine = network->recurrent();
    Given given(*network, segment, "segment", 0);
    require_no_masks(given, "segment");
    SearchSegments<float> segments{given.segment(), given.segment(), optimizer->regularisation,
                                   false,           given.mixing(),  given.after()};
    require_at_least_0(lr, "lr");
    pydarts_step_info result = {};
    if (info) known(info, "info", result);
    KeptStream stream(engine);
    const Loss loss =
        optimizer->step.weights()(oracle_of(engine, segments), engine.weights().data(), lr, &result.gradient_norm);
    engine.update_running();
    stream.advance();
    given.give();
    result.train_loss = loss.value;
    result.train_correct = loss.correct;
    if (info) fill(info, "info", result);
  });
}

// SPDX-License-Identifier: MIT
// For ThreadSanitizer: two handles search at the same time, each with two threads, over images and over text, each for
// itself and as ranks; then two evaluate, by images and in bands of rows, in threads that run one pass and end. With an
// argument a race is planted in
// a parallel loop, which the tool must find.
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "capi.hpp"
#include "check.hpp"
#include "core/parallel.hpp"
#include "ranks.hpp"

namespace {

void search(const pydarts_runtime& runtime) {
  const capi::Images train(1), valid(2);
  capi::Net net;
  capi::Optimizer optimizer;
  CHECK(capi::supernet(net, runtime) == PYDARTS_OK);
  CHECK(capi::optimizer(optimizer, net) == PYDARTS_OK);
  for (int i = 0; i < 5; ++i)
    CHECK(pydarts_search_step(optimizer.get(), net.get(), &train.batch, &valid.batch, 0.1, nullptr) == PYDARTS_OK);
}

void search_over_text(const pydarts_runtime& runtime) {
  pydarts_text_options options = {sizeof options};
  pydarts_text_options_defaults(&options);
  options.vocab_size = 40;
  options.hidden_size = 40;
  pydarts_network* made;
  CHECK(pydarts_text_supernet_create(&options, &runtime, &made, nullptr, 0) == PYDARTS_OK);
  const capi::Net net(made);
  capi::Optimizer optimizer;
  CHECK(capi::optimizer(optimizer, net) == PYDARTS_OK);
  std::vector<std::int32_t> tokens(8 * 5);
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = std::int32_t(i);
  pydarts_segment segment = {sizeof segment};
  pydarts_segment_defaults(&segment);
  segment.length = 8;
  segment.batch = 5;
  segment.x = segment.y = tokens.data();
  for (int i = 0; i < 3; ++i)
    CHECK(pydarts_text_search_step(optimizer.get(), net.get(), &segment, &segment, 0.1, nullptr) == PYDARTS_OK);
}

// The pool of threads that a calling thread starts ends with it; the handle goes on to the next calling thread.
void evaluate() {
  const capi::Images one(1, 1, 40, 41), several(2, 7);
  capi::Net net;
  CHECK(capi::derived(net, capi::runtime(3)) == PYDARTS_OK);
  std::vector<float> expected[2];
  for (int i = 0; i < 3; ++i)
    for (const capi::Images* images : {&one, &several}) {
      std::vector<float> logits(images->labels.size() * 3);
      std::thread([&] {
        CHECK(pydarts_logits(net.get(), &images->batch, 0, logits.data(), logits.size()) == PYDARTS_OK);
      }).join();
      std::vector<float>& first = expected[images == &several];
      if (i == 0) first = logits;
      CHECK(logits == first);
    }
}

template <class Call>
void both(Call call) {
  std::thread first(call), second(call);
  first.join();
  second.join();
}

}  // namespace

int main(int argc, char**) {
  for (const auto& call : {search, search_over_text}) {
    both([&] { call(capi::runtime(2)); });
    Ranks(2).run(
        [&](const pydarts::Communicator& communicator) { call(capi::with_rank(capi::runtime(2), communicator)); });
  }
  both(evaluate);
  if (argc > 1) {
    int sum = 0;
    pydarts::parallel_for(2, 20, [&](int task, int) {
      sum += task;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));  // so that both threads have their share
    });
    std::printf("%d\n", sum);
  }
  return checked();
}

// SPDX-License-Identifier: MIT
// What the engine takes from its surroundings: memory, threads, a workspace, a log.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "allocations.hpp"
#include "bilevel/network_oracle.hpp"
#include "check.hpp"
#include "core/error.hpp"
#include "core/random.hpp"
#include "network/limits.hpp"
#include "recurrent/recurrent.hpp"

using namespace pydarts;

namespace {

const MemoryHooks kHooks{
    &hooked,
    [](void* at, std::size_t bytes, std::size_t alignment) {
      return static_cast<Allocations*>(at)->take(bytes, alignment);
    },
    [](void* at, void* pointer, std::size_t) { static_cast<Allocations*>(at)->give_back(pointer); }};

struct Data {
  std::vector<float> images;
  std::vector<std::int32_t> labels;
  SearchBatches<float> batches;

  Data(int train, int valid, int size) : images(std::size_t(train + valid) * size * size) {
    Random random(5);
    for (float& pixel : images) pixel = float(random.normal());
    for (int i = 0; i < std::max(train, valid); ++i) labels.push_back(i % 3);
    const float* second = images.data() + std::size_t(train) * size * size;
    batches = {{images.data(), labels.data(), train, size, size}, {second, labels.data(), valid, size, size}};
  }
};

Graph small_supernet() { return supernet_graph(darts_space(), {2, 1, 3, 1}); }

Graph small_derived() {
  const CellGenotype cell{{{"sep_conv_3x3", 0}, {"max_pool_3x3", 1}, {"conv_7x1_1x7", 2}, {"skip_connect", 0}}, {2, 3}};
  return derived_graph({darts_space(), {cell, cell}}, {4, 3, 3, 1}, false, 0);
}

// Of a derived network.
std::vector<float> evaluated(Network<float>& network, const Data& data) {
  std::vector<float> logits(data.labels.size() * network.graph().classes);
  network.logits(data.batches.train, false, logits.data());
  return logits;
}

BilevelStep<float> make_step(const Network<float>& network, int order, bool shortcuts, const MemoryHooks& memory) {
  const Vector<float> zeros(network.graph().num_alphas, memory);
  UnrolledStep unrolled;
  unrolled.order = order;
  unrolled.difference = shortcuts ? Difference::forward : Difference::central;
  return BilevelStep<float>(unrolled, shortcuts, WeightStep<float>(0.9, 3e-4, 5, network.graph().num_weights, memory),
                            Adam<float>{3e-4, 0.5, 0.999, 1e-3, zeros, zeros, 0}, memory);
}

using State = std::vector<float>;

State state_of(Network<float>& network) {
  State all(network.weights().begin(), network.weights().end());
  all.insert(all.end(), network.alphas().begin(), network.alphas().end());
  all.insert(all.end(), network.running().begin(), network.running().end());
  return all;
}

void search_step(Network<float>& network, BilevelStep<float>& step, const Data& data) {
  step(oracle_of(network, data.batches), network.weights().data(), network.alphas().data(), 0.025);
  network.update_running();
}

void nothing_is_allocated_in_later_steps() {
  const Data data(6, 6, 5);
  for (bool shortcuts : {false, true}) {
    Network<float> network(small_supernet(), 1, {2, kHooks});
    BilevelStep<float> step = make_step(network, 2, shortcuts, kHooks);
    search_step(network, step, data);
    std::vector<float> logits(6 * 3);
    network.logits(data.batches.valid, false, logits.data());
    const long long before = heap.made, before_hooked = hooked.made;
    search_step(network, step, data);
    network.logits(data.batches.valid, false, logits.data());
    CHECK(heap.made == before);
    CHECK(hooked.made == before_hooked);
  }
  CHECK(hooked.live == 0);
}

void all_that_grows_comes_from_the_hooks() {
  auto used = [](int channels, int samples, int size) {
    const Data data(samples, samples, size);
    const std::size_t before = heap.bytes;
    Network<float> network(supernet_graph(darts_space(), {channels, 1, 3, 1}), 1, {1, kHooks});
    BilevelStep<float> step = make_step(network, 2, false, kHooks);
    search_step(network, step, data);
    return heap.bytes - before;
  };
  const std::size_t small = used(2, 128, 4);
  CHECK(used(16, 128, 4) == small);
  CHECK(used(2, 256, 8) == small);
}

// Every allocation of a network fails once.
void a_network_may_not_come_to_be() {
  for (Allocations* from : {&heap, &hooked}) {
    int failures = 0;
    for (bool done = false; !done;) {
      const long long live = heap.live, live_hooked = hooked.live;
      {
        Graph graph = small_supernet();
        from->fail_at = failures;
        try {
          const Network<float> network(std::move(graph), 1, {1, kHooks});
          done = true;
        } catch (const std::bad_alloc&) {
          ++failures;
        }
        from->fail_at = -1;
      }
      CHECK(heap.live == live && hooked.live == live_hooked);
    }
    CHECK(failures > 0);
  }
}

// Every allocation of a first step fails once; what is left behind must work, and come to the same. Of first order only
// the weights' step, which follows the alphas', meets the batch `train`.
void a_step_may_fail(int order, Allocations& from) {
  const Data data(3, 2, 4);
  const State expected = [&] {
    Network<float> network(small_supernet(), 1, {1});
    BilevelStep<float> step = make_step(network, order, false, {});
    search_step(network, step, data);
    return state_of(network);
  }();
  int failures = 0;
  for (bool done = false; !done;) {
    const long long live = heap.live, live_hooked = hooked.live;
    {
      Network<float> network(small_supernet(), 1, {1, kHooks});
      BilevelStep<float> step = make_step(network, order, false, kHooks);
      const State before = state_of(network);
      from.fail_at = failures;
      try {
        search_step(network, step, data);
        done = true;
      } catch (const std::bad_alloc&) {
        ++failures;
      }
      from.fail_at = -1;
      if (!done) {
        CHECK(state_of(network) == before);
        search_step(network, step, data);
      }
      CHECK(state_of(network) == expected);
    }
    CHECK(heap.live == live && hooked.live == live_hooked);
  }
  CHECK(failures > 10);
}

// Between passes over segments of one shape, one over a larger one runs out of memory.
void a_recurrent_network_survives_too() {
  std::vector<std::int32_t> tokens(12 * 2);
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = std::int32_t(i * i % 7);
  const std::vector<float> hidden(2 * 5, 0.1f);
  const Segment<float> small{tokens.data(), tokens.data() + 4, hidden.data(), 3, 2};
  const Segment<float> large{tokens.data(), tokens.data() + 2, hidden.data(), 11, 2};
  const DropoutMasks<float> none{};
  const long long live = hooked.live;
  bool done = false;
  for (int n = 0; !done; ++n) {
    CHECK(hooked.live == live);
    RecurrentNetwork<float> network(RecurrentCell::supernet(2), 7, 5, {}, 1, 1, kHooks);
    std::vector<float> gradients[2];
    for (std::vector<float>& gradient : gradients) {
      gradient.resize(network.num_weights());
      network.evaluate(small, network.weights().data(), gradient.data(), nullptr, &none, {});
      if (&gradient != gradients) break;
      const std::vector<float> before(network.weights().begin(), network.weights().end());
      std::vector<float> other(network.num_weights());
      hooked.fail_at = n;
      try {
        network.evaluate(large, network.weights().data(), other.data(), nullptr, &none, {});
        done = true;
      } catch (const std::bad_alloc&) {
      }
      hooked.fail_at = -1;
      CHECK(std::equal(before.begin(), before.end(), network.weights().begin()));
    }
    CHECK(gradients[0] == gradients[1]);
    CHECK(!done || n > 0);
  }
}

struct Pool {  // as a caller's might be: threads of its own, and its number of them
  int count;
  int calls = 0;
  static void run(void* context, int tasks, Threads::Run run, const void* body) {
    Pool& pool = *static_cast<Pool*>(context);
    ++pool.calls;
    std::atomic<int> next{0};
    auto work = [&](int thread) {
      for (int task; (task = next++) < tasks;) run(body, task, thread);
    };
    std::vector<std::thread> others;
    for (int thread = 0; thread < pool.count; ++thread) others.emplace_back(work, thread);  // not the calling one
    for (std::thread& other : others) other.join();
  }
};

void any_threads_give_the_same() {
  const Data data(9, 9, 5);
  Pool pool{3};
  std::vector<State> results;
  for (const Threads& threads : {Threads(1), Threads(2), Threads(3, Pool::run, &pool)}) {
    Network<float> network(small_supernet(), 1, {threads});
    int asked = 0;
    const auto caller = std::this_thread::get_id();
    network.set_cancel([&] {
      CHECK(std::this_thread::get_id() == caller);
      ++asked;
      return false;
    });
    BilevelStep<float> step = make_step(network, 2, false, {});
    search_step(network, step, data);
    CHECK(asked > 0);
    results.push_back(state_of(network));
  }
  CHECK(results[0] == results[1] && results[0] == results[2]);
  CHECK(pool.calls > 0);
  pool.calls = 0;
  Network<float> network(small_supernet(), 1, {Threads(1, Pool::run, &pool)});
  network.evaluate(data.batches.train, network.weights().data(), nullptr, nullptr);
  CHECK(pool.calls == 0);  // one thread is the calling one
}

void a_workspace_is_used_and_not_more() {
  const Data data(5, 5, 6);
  Network<float> plain(small_supernet(), 1, {2}), network(small_supernet(), 1, {2, kHooks});
  const std::size_t live = hooked.bytes;
  const std::size_t bytes = plain.memory(5, 6, 6, true).workspace;
  constexpr std::size_t kGuard = 4096;
  std::vector<unsigned char> memory(bytes + kGuard + kCacheLine, 0xa5);
  auto* at = memory.data();
  while (reinterpret_cast<std::uintptr_t>(at) % kCacheLine) ++at;
  network.use_workspace(at, bytes);
  std::vector<float> expected(plain.weights().size()), gradient(plain.weights().size());
  plain.evaluate(data.batches.train, plain.weights().data(), expected.data(), nullptr);
  network.evaluate(data.batches.train, network.weights().data(), gradient.data(), nullptr);
  CHECK(gradient == expected);
  CHECK(hooked.bytes - live < bytes);
  CHECK(std::all_of(at + bytes, memory.data() + memory.size(), [](unsigned char byte) { return byte == 0xa5; }));

  network.use_workspace(at, bytes - 1);
  std::string message;
  try {
    network.evaluate(data.batches.train, network.weights().data(), gradient.data(), nullptr);
  } catch (const InvalidArgument& error) {
    message = error.what();
  }
  CHECK(message == text("`workspace` has ", bytes - 1, " bytes; the pass takes ", bytes));
  message.clear();
  try {
    network.use_workspace(at + 4, bytes);
  } catch (const InvalidArgument& error) {
    message = error.what();
  }
  CHECK(message == "`workspace` does not stand on a multiple of 64 bytes");
  network.use_workspace(nullptr, 0);
  network.evaluate(data.batches.train, network.weights().data(), gradient.data(), nullptr);
  CHECK(gradient == expected);
}

// The text of what `call` throws; empty if it does not.
template <class Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return {};
}

// One thread that takes the numbers, and so the memory, of `count` in turn.
void run_in_turn(void* count, int tasks, Threads::Run run, const void* body) {
  for (int task = 0; task < tasks; ++task) run(body, task, task % *static_cast<int*>(count));
}

// Also where fewer threads run the pass than the network was made with.
void evaluation_uses_its_workspace_and_not_more() {
  constexpr int kMade = 4;
  for (int samples : {1, 2, 3, 4, 9}) {
    const Data data(samples, 1, 33);
    Network<float> plain(small_derived(), 1, {1});
    const std::vector<float> expected = evaluated(plain, data);
    for (int threads = 1; threads <= kMade; ++threads) {
      Network<float> network(small_derived(), 1, {kMade, kHooks});
      network.use_threads(Threads(threads, run_in_turn, &threads));
      alignas(kCacheLine) unsigned char little[kCacheLine];
      network.use_workspace(little, sizeof little);
      const std::string told = refusal([&] { evaluated(network, data); });
      const std::string start = text("`workspace` has ", sizeof little, " bytes; the pass takes ");
      CHECK(told.compare(0, start.size(), start) == 0);
      const std::size_t bytes = told.size() > start.size() ? std::stoull(told.substr(start.size())) : 0;
      CHECK(bytes > 0 && bytes <= network.memory(samples, 33, 33, false).workspace);
      // So large a guard holds what any number of threads would write.
      std::vector<unsigned char> memory((1 + kMade) * bytes + kCacheLine, 0xa5);
      auto* at = memory.data();
      while (reinterpret_cast<std::uintptr_t>(at) % kCacheLine) ++at;
      network.use_workspace(at, bytes);
      const std::size_t live = hooked.bytes;
      CHECK(evaluated(network, data) == expected);
      CHECK(hooked.bytes - live < bytes);
      CHECK(std::all_of(at + bytes, memory.data() + memory.size(), [](unsigned char byte) { return byte == 0xa5; }));
      CHECK(std::any_of(at + bytes - bytes / 8, at + bytes, [](unsigned char byte) { return byte != 0xa5; }));
      network.use_workspace(at, bytes - 1);
      CHECK(refusal([&] { evaluated(network, data); }) ==
            text("`workspace` has ", bytes - 1, " bytes; the pass takes ", bytes));
    }
  }
}

// Who asks for the threads of a task that is one of a loop itself gets the calling thread alone.
void a_cancel_callback_may_run_another_network() {
  const Data data(9, 9, 12);
  struct Both {
    Network<float> supernet{small_supernet(), 1, {2}}, derived{small_derived(), 1, {2}};
    State run(const Data& data) {
      State all(supernet.weights().size() + supernet.alphas().size());
      all.push_back(float(supernet
                              .evaluate(data.batches.train, supernet.weights().data(), all.data(),
                                        all.data() + supernet.weights().size())
                              .value));
      const std::vector<float> logits = evaluated(derived, data);
      all.insert(all.end(), logits.begin(), logits.end());
      return all;
    }
  };
  const State expected = Both().run(data);
  Both outer, inner;
  int asked = 0, different = 0;
  const auto cancel = [&] {
    different += inner.run(data) != expected;
    ++asked;
    return false;
  };
  outer.supernet.set_cancel(cancel);
  outer.derived.set_cancel(cancel);
  for (int i = 0; i < 3; ++i) CHECK(outer.run(data) == expected);
  CHECK(asked > 0 && different == 0);
}

void the_log_tells_of_plans() {
  std::vector<std::string> lines;
  const Log log{&lines,
                [](void* to, const char* line) { static_cast<std::vector<std::string>*>(to)->push_back(line); }};
  Network<float> network(small_supernet(), 1, {1, {}, log});
  CHECK(lines.size() == 1 && lines[0].find(instruction_set().name) != std::string::npos);
  const Data data(5, 5, 6);
  for (int i = 0; i < 2; ++i) network.evaluate(data.batches.train, network.weights().data(), nullptr, nullptr);
  CHECK(lines.size() == 2);  // the plan is made once
  const std::string bytes = text(network.memory(5, 6, 6, false).workspace, " bytes");
  CHECK(lines.size() == 2 && lines[1].find(bytes) != std::string::npos);
  const int kept = 4;
  auto plans = [&](int samples) {  // whether a pass over so many makes a new plan
    const std::size_t before = lines.size();
    std::vector<float> logits(samples * 3);
    network.logits({data.images.data(), nullptr, samples, 6, 6}, false, logits.data());
    return lines.size() > before;
  };
  for (int samples = 1; samples <= kept; ++samples) CHECK(plans(samples));
  CHECK(!plans(1));
  CHECK(plans(kept + 1));
  CHECK(!plans(1));  // the one that was used longest ago is gone
  CHECK(plans(2));

  Network<float> derived(small_derived(), 1, {1, {}, log});
  auto plans_evaluation = [&](int side) {  // of images of so many pixels
    const std::size_t before = lines.size();
    for (int samples : {1, 2}) {  // for both
      std::vector<float> logits(samples * 3);
      derived.logits({data.images.data(), nullptr, samples, side, side}, false, logits.data());
    }
    const bool made = lines.size() > before;
    CHECK(lines.size() == before + made);
    const std::string line = text("planned evaluation of images of ", side, " x ", side, ": ");
    CHECK(!made || lines.back().compare(0, line.size(), line) == 0);
    return made;
  };
  for (int side = 3; side < 3 + kept; ++side) CHECK(plans_evaluation(side));
  CHECK(!plans_evaluation(3));
  CHECK(plans_evaluation(3 + kept));
  CHECK(!plans_evaluation(3));  // the one that was used longest ago is gone
  CHECK(plans_evaluation(4));
}

// The running statistics show a NaN of the batch in both of their halves, as in PyTorch.
void nan_reaches_the_running_statistics() {
  Network<float> network(small_supernet(), 1, {1});
  Data data(5, 5, 6);
  data.images[7] = std::numeric_limits<float>::quiet_NaN();
  const Loss loss = network.evaluate(data.batches.train, network.weights().data(), nullptr, nullptr);
  CHECK(std::isnan(loss.value));
  network.keep_statistics();
  network.update_running();
  for (const BatchNorm& norm : network.graph().norms)
    for (int c = 0; c < norm.channels; ++c) {
      const float* mean = network.running().data() + norm.running + c;
      CHECK(std::isnan(mean[0]) && std::isnan(mean[norm.channels]));
    }
}

void images_have_limits() {
  const Graph large = supernet_graph(darts_space(), {4096, 3, 2, 3}), small = small_supernet();
  const auto refused = [](const Graph& graph, long long samples, long long side) {
    try {
      check_images(graph, samples, graph.in_channels, side, side);
      return std::string();
    } catch (const InvalidArgument& error) {
      return std::string(error.what());
    }
  };
  CHECK(refused(large, 4, 4096).empty() && refused(small, 256, 4096).empty());
  CHECK(refused(large, 5, 4096) ==
        "images are too large: 5 of 4096 x 4096 pixels, in a network of up to 65536 channels");
  CHECK(refused(small, 257, 4096) == "images are too large: 257 of 4096 x 4096 pixels");
}

}  // namespace

int main() {
  nothing_is_allocated_in_later_steps();
  all_that_grows_comes_from_the_hooks();
  a_network_may_not_come_to_be();
  for (int order : {1, 2})
    for (Allocations* from : {&heap, &hooked}) a_step_may_fail(order, *from);
  a_recurrent_network_survives_too();
  any_threads_give_the_same();
  a_workspace_is_used_and_not_more();
  evaluation_uses_its_workspace_and_not_more();
  a_cancel_callback_may_run_another_network();
  the_log_tells_of_plans();
  nan_reaches_the_running_statistics();
  images_have_limits();
  return checked();
}

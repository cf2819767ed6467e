// SPDX-License-Identifier: MIT
// The n-th allocation fails, for every n of every kind of call, from operator new and from the hooks: a status, no
// leak, and a handle that works on with what it had.
#include <filesystem>
#include <functional>

#include "allocations.hpp"
#include "capi.hpp"
#include "check.hpp"

namespace fs = std::filesystem;

namespace {

pydarts_runtime hooked_runtime() {
  pydarts_runtime runtime = capi::runtime();
  runtime.user = &hooked;
  runtime.allocate = [](void* user, std::size_t bytes, std::size_t alignment) {
    return static_cast<Allocations*>(user)->take(bytes, alignment);
  };
  runtime.release = [](void* user, void* memory, std::size_t) { static_cast<Allocations*>(user)->give_back(memory); };
  return runtime;
}

// Lets `call` fail in every possible place. `after` looks at what it left behind.
void fail_everywhere(
    const char* what, Allocations& from, int least, const std::function<pydarts_status()>& call,
    const std::function<void()>& after = [] {}) {
  int failures = 0;
  for (bool done = false; !done; ++failures) {
    const long long live = heap.live, live_hooked = hooked.live;
    from.fail_at = failures;
    const pydarts_status status = call();
    from.fail_at = -1;
    done = status == PYDARTS_OK;
    if (done) break;
    CHECK(status == PYDARTS_OUT_OF_MEMORY);
    // A pass keeps what it got so far for the next one; what makes handles keeps nothing.
    CHECK(heap.live - live <= 2 && hooked.live - live_hooked <= 2);
    after();
    if (failed_checks) break;
  }
  if (failures < least) std::fprintf(stderr, "%s: %d failures, at least %d expected\n", what, failures, least);
  CHECK(failures >= least);
}

void creation(Allocations& from, int least) {
  const std::function<pydarts_status(capi::Net&)> kinds[] = {
      [](capi::Net& net) { return capi::supernet(net, hooked_runtime()); },
      [](capi::Net& net) { return capi::derived(net, hooked_runtime()); }};
  for (const auto& make : kinds) {
    capi::Net net;
    const long long live = heap.live, live_hooked = hooked.live;
    fail_everywhere(
        "creation", from, least, [&] { return make(net); },
        [&] { CHECK(!net && heap.live == live && hooked.live == live_hooked); });
    fail_everywhere("optimizer", from, 1, [&] {
      capi::Optimizer optimizer;
      return capi::optimizer(optimizer, net);
    });
    net.reset();
    CHECK(heap.live == live && hooked.live == live_hooked);
  }
}

void files(Allocations& from, int least, const fs::path& folder) {
  capi::Net net;
  CHECK(capi::derived(net, hooked_runtime()) == PYDARTS_OK);
  const std::string path = (folder / "model.safetensors").u8string();
  CHECK(pydarts_network_save(net.get(), path.c_str()) == PYDARTS_OK);
  CHECK(capi::write((folder / "model.json").u8string(), capi::kDescription));
  const std::string weights = capi::content(path), name = folder.u8string();
  std::vector<float> changed = capi::values(net, PYDARTS_WEIGHTS);
  for (float& value : changed) value += 1;
  CHECK(pydarts_network_set(net.get(), PYDARTS_WEIGHTS, changed.data(), changed.size()) == PYDARTS_OK);
  const auto before = capi::state(net);
  const auto unchanged = [&] { CHECK(capi::state(net) == before); };
  fail_everywhere(
      "save", from, &from == &heap ? 3 : 0,
      [&] { return pydarts_network_save(net.get(), (folder / "other").u8string().c_str()); }, unchanged);
  fail_everywhere("load", from, least, [&] { return pydarts_network_load(net.get(), path.c_str()); }, unchanged);
  CHECK(capi::state(net) != before);
  fail_everywhere("model_load", from, least, [&] {
    pydarts_network* made;
    const pydarts_runtime runtime = hooked_runtime();
    const pydarts_status status = pydarts_model_load(name.c_str(), &runtime, &made, nullptr, 0);
    CHECK((status == PYDARTS_OK) == (made != nullptr));
    pydarts_network_destroy(made);
    return status;
  });
}

void steps(Allocations& from, int least) {
  const capi::Images train(1), valid(2);
  for (bool search : {true, false}) {
    const auto make = [&](capi::Net& net, capi::Optimizer& optimizer) {
      CHECK((search ? capi::supernet(net, hooked_runtime()) : capi::derived(net, hooked_runtime())) == PYDARTS_OK);
      CHECK(capi::optimizer(optimizer, net) == PYDARTS_OK);
    };
    const auto step = [&](const capi::Net& net, const capi::Optimizer& optimizer) {
      return search ? pydarts_search_step(optimizer.get(), net.get(), &train.batch, &valid.batch, 0.1, nullptr)
                    : pydarts_weight_step(optimizer.get(), net.get(), &train.batch, 0.1, nullptr);
    };
    capi::Net plain;
    capi::Optimizer plain_optimizer;
    make(plain, plain_optimizer);
    CHECK(step(plain, plain_optimizer) == PYDARTS_OK);
    const auto expected = capi::state(plain);
    int failures = 0;
    for (bool done = false; !done && !failed_checks; ++failures) {  // on new handles: a first step allocates most
      const long long live = heap.live, live_hooked = hooked.live;
      {
        capi::Net net;
        capi::Optimizer optimizer;
        make(net, optimizer);
        const auto before = capi::state(net);
        from.fail_at = failures;
        const pydarts_status status = step(net, optimizer);
        from.fail_at = -1;
        done = status == PYDARTS_OK;
        if (!done) {
          CHECK(status == PYDARTS_OUT_OF_MEMORY);
          CHECK(capi::state(net) == before);
          CHECK(step(net, optimizer) == PYDARTS_OK);
        }
        CHECK(capi::state(net) == expected);
      }
      CHECK(heap.live == live && hooked.live == live_hooked);
    }
    CHECK(failures > least);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;  // an empty folder
  files(heap, 3, argv[1]);  // also what is made once only
  for (Allocations* from : {&heap, &hooked}) {
    const bool small = from == &heap;
    creation(*from, 3);
    files(*from, small ? 3 : 1, argv[1]);
    steps(*from, 3);
  }
  return checked();
}

// SPDX-License-Identifier: MIT
// The n-th allocation fails, for every n of every kind of call, from operator new and from the hooks: a status, no
// leak, and a handle that works on with what it had.
#include <filesystem>

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

// Lets `call` fail in every possible place; it must leave no memory behind, and what `after` wants.
template <class Call, class After>
void fail_everywhere(const char* what, Allocations& from, int least, const Call& call, const After& after) {
  int failures = 0;
  for (;; ++failures) {
    const long long live = heap.live, live_hooked = hooked.live;
    from.fail_at = failures;
    const pydarts_status status = call();
    from.fail_at = -1;
    if (status == PYDARTS_OK) break;
    CHECK(status == PYDARTS_OUT_OF_MEMORY);
    CHECK(heap.live == live && hooked.live == live_hooked);
    after();
    if (failed_checks) return;
  }
  if (failures < least) std::fprintf(stderr, "%s: %d failures, at least %d expected\n", what, failures, least);
  CHECK(failures >= least);
}

void creation(Allocations& from, int least) {
  for (bool search : {true, false}) {
    capi::Net net;
    const long long live = heap.live, live_hooked = hooked.live;
    const auto make = [&] {
      return search ? capi::supernet(net, hooked_runtime(), 1) : capi::derived(net, hooked_runtime());
    };
    fail_everywhere("creation", from, least, make, [&] { CHECK(!net); });
    const auto make_optimizer = [&] {
      capi::Optimizer optimizer;
      return capi::optimizer(optimizer, net);
    };
    fail_everywhere("optimizer", from, 1, make_optimizer, [] {});
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
  const std::string name = folder.u8string(), other = (folder / "other").u8string();
  std::vector<float> changed = capi::values(net, PYDARTS_WEIGHTS);
  for (float& value : changed) value += 1;
  CHECK(pydarts_network_set(net.get(), PYDARTS_WEIGHTS, changed.data(), changed.size()) == PYDARTS_OK);
  const auto before = capi::state(net);
  const auto unchanged = [&] { CHECK(capi::state(net) == before); };
  fail_everywhere(
      "save", from, &from == &heap ? 3 : 0, [&] { return pydarts_network_save(net.get(), other.c_str()); }, unchanged);
  fail_everywhere("load", from, least, [&] { return pydarts_network_load(net.get(), path.c_str()); }, unchanged);
  CHECK(capi::state(net) != before);
  const auto load_model = [&] {
    pydarts_network* made;
    const pydarts_runtime runtime = hooked_runtime();
    const pydarts_status status = pydarts_model_load(name.c_str(), &runtime, &made, nullptr, 0);
    CHECK((status == PYDARTS_OK) == (made != nullptr));
    pydarts_network_destroy(made);
    return status;
  };
  fail_everywhere("model_load", from, least, load_model, [] {});
}

void steps(Allocations& from, int least) {
  const capi::Images train(1), valid(2);
  for (bool search : {true, false}) {
    const auto make = [&](capi::Net& net, capi::Optimizer& optimizer) {
      CHECK((search ? capi::supernet(net, hooked_runtime(), 1) : capi::derived(net, hooked_runtime())) == PYDARTS_OK);
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
  {
    capi::Net net;  // what the engine makes once only
    CHECK(capi::supernet(net, hooked_runtime(), 1) == PYDARTS_OK);
  }
  for (Allocations* from : {&heap, &hooked}) {
    const bool small = from == &heap;
    creation(*from, 3);
    files(*from, small ? 3 : 1, argv[1]);
    steps(*from, 3);
  }
  return checked();
}

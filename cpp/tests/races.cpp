// SPDX-License-Identifier: MIT
// For ThreadSanitizer: two handles search at the same time, each with two threads. With an argument a race is planted
// in a parallel loop, which the tool must find.
#include <chrono>
#include <cstdio>
#include <thread>

#include "capi.hpp"
#include "check.hpp"
#include "core/parallel.hpp"

namespace {

void search() {
  const capi::Images train(1), valid(2);
  capi::Net net;
  capi::Optimizer optimizer;
  CHECK(capi::supernet(net, capi::runtime(2)) == PYDARTS_OK);
  CHECK(capi::optimizer(optimizer, net) == PYDARTS_OK);
  for (int i = 0; i < 5; ++i)
    CHECK(pydarts_search_step(optimizer.get(), net.get(), &train.batch, &valid.batch, 0.1, nullptr) == PYDARTS_OK);
}

}  // namespace

int main(int argc, char**) {
  std::thread first(search), second(search);
  first.join();
  second.join();
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

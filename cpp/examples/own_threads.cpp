// SPDX-License-Identifier: MIT
// A network that runs on the program's own thread pool, in memory of the program's own allocator and in a workspace
// that the program lends: the same numbers as with the engine's threads, and nothing left behind.
#include <pydarts.h>

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

#include "stripes.hpp"

namespace {

class Pool {
 public:
  explicit Pool(int threads) {
    for (int thread = 1; thread < threads; ++thread) threads_.emplace_back([this, thread] { work(thread); });
  }
  ~Pool() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void run(int tasks, pydarts_task task, const void* argument) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      task_ = task;
      argument_ = argument;
      tasks_ = tasks;
      next_ = finished_ = 0;
      ++jobs_;
    }
    wake_.notify_all();
    take_tasks(0);
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [&] { return finished_ == tasks_; });
  }

  long jobs() const { return jobs_; }

 private:
  void take_tasks(int thread) {
    std::unique_lock<std::mutex> lock(mutex_);
    while (next_ < tasks_) {
      const int index = next_++;
      lock.unlock();
      task_(argument_, index, thread);
      lock.lock();
      if (++finished_ == tasks_) done_.notify_all();
    }
  }

  void work(int thread) {
    for (long seen = 0;;) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return stop_ || jobs_ != seen; });
        if (stop_) return;
        seen = jobs_;
      }
      take_tasks(thread);
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> threads_;
  pydarts_task task_ = nullptr;
  const void* argument_ = nullptr;
  int tasks_ = 0, next_ = 0, finished_ = 0;
  long jobs_ = 0;
  bool stop_ = false;
};

struct House {
  explicit House(int threads) : pool(threads) {}
  Pool pool;
  long blocks = 0, served = 0;  // that the engine holds, that it was given
};

pydarts_runtime house_rules(House& house, int threads) {
  pydarts_runtime runtime = {sizeof runtime};
  pydarts_runtime_defaults(&runtime);
  runtime.threads = threads;
  runtime.user = &house;
  runtime.allocate = [](void* user, std::size_t bytes, std::size_t alignment) -> void* {
    House& at = *static_cast<House*>(user);
    void* memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    at.blocks += memory != nullptr;
    at.served += memory != nullptr;
    return memory;
  };
  runtime.release = [](void* user, void* memory, std::size_t) {
    --static_cast<House*>(user)->blocks;
    std::free(memory);
  };
  runtime.parallel_for = [](void* user, std::int32_t tasks, pydarts_task task, const void* argument) {
    static_cast<House*>(user)->pool.run(tasks, task, argument);
  };
  runtime.log = [](void*, const char* text) { std::printf("log: %s\n", text); };
  return runtime;
}

// The loss and gradients of one pass; empty after an error.
std::vector<float> gradients(const pydarts_runtime* runtime, const Stripes& data, bool lend_workspace) {
  pydarts_network_options options = {sizeof options};
  pydarts_network_options_defaults(&options);
  options.channels = 4;
  options.cells = 2;
  options.classes = Stripes::kClasses;
  options.in_channels = 1;
  pydarts_network* network;
  char message[256];
  if (pydarts_supernet_create(&options, runtime, &network, message, sizeof message)) {
    std::fprintf(stderr, "%s\n", message);
    return {};
  }
  pydarts_network_info info = {sizeof info};
  pydarts_network_get_info(network, &info);
  std::vector<float> values(info.num_weights + info.num_alphas + 1);
  const pydarts_batch batch = data.batch(0, data.count());
  pydarts_loss loss = {sizeof loss};
  void* workspace = nullptr;
  std::size_t bytes = 0;
  pydarts_status status = PYDARTS_OK;
  if (lend_workspace) {
    status = pydarts_workspace_size(network, batch.samples, batch.height, batch.width, 1, &bytes);
    workspace = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!status) status = pydarts_workspace_set(network, workspace, bytes);
  }
  if (!status)
    status = pydarts_gradients(network, &batch, values.data() + 1, info.num_weights,
                               values.data() + 1 + info.num_weights, info.num_alphas, &loss);
  if (status) {
    std::fprintf(stderr, "%s\n", pydarts_network_error(network));
    values.clear();
  } else {
    values[0] = float(loss.value);
  }
  pydarts_network_destroy(network);
  std::free(workspace);
  return values;
}

}  // namespace

int main() {
  constexpr int kThreads = 3;
  const Stripes data(48, 1);
  House house(kThreads);
  const pydarts_runtime runtime = house_rules(house, kThreads);
  const std::vector<float> own = gradients(&runtime, data, true), usual = gradients(nullptr, data, false);
  if (own.empty()) return 1;
  std::printf("loss %.6f, %zu gradients, %ld blocks of memory, %ld parallel loops\n", own[0], own.size() - 1,
              house.served, house.pool.jobs());
  return own == usual && house.blocks == 0 && house.served > 0 && house.pool.jobs() > 0 ? 0 : 1;
}

// SPDX-License-Identifier: MIT
#include "core/parallel.hpp"

#include <algorithm>
#include <atomic>

#ifdef _OPENMP
#include <omp.h>
#else
#include <thread>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#define PYDARTS_HAS_FORK 1
#endif

#include "core/memory.hpp"

namespace pydarts {
namespace {

constexpr int kMaxParts = 64;

struct alignas(kCacheLine) Part {  // tasks that a thread takes first
  std::atomic<int> next;
  int end;
};

// GCC's OpenMP hangs in a forked child whose parent had started a team, so a child runs serially.
std::atomic<bool> forked{false};

#ifdef PYDARTS_HAS_FORK
const bool fork_watched = [] {
  pthread_atfork(nullptr, nullptr, [] { forked = true; });
  return true;
}();
#endif

}  // namespace

int default_threads() {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  const unsigned cores = std::thread::hardware_concurrency();
  return cores == 0 ? 1 : static_cast<int>(cores);
#endif
}

void run_tasks(const Threads& threads, int tasks, Threads::Run run, const void* body) {
  const int count = std::min(threads.count, tasks);
  if (count > 1 && threads.parallel_for) return threads.parallel_for(threads.context, tasks, run, body);
#ifdef _OPENMP
  if (count > 1 && !forked) {
    // A thread begins with the same tasks every time, whose data its cache may still hold, then helps the others.
    const int parts = std::min(count, kMaxParts);
    Part part[kMaxParts];
    for (int i = 0; i < parts; ++i) {
      part[i].next = int((long long)tasks * i / parts);
      part[i].end = int((long long)tasks * (i + 1) / parts);
    }
#pragma omp parallel num_threads(count)
    {
      const int thread = omp_get_thread_num();
      for (int i = 0; i < parts; ++i) {
        Part& from = part[(thread + i) % parts];
        for (int task; (task = from.next.fetch_add(1, std::memory_order_relaxed)) < from.end;) run(body, task, thread);
      }
    }
    return;
  }
#endif
  for (int task = 0; task < tasks; ++task) run(body, task, 0);
}

}  // namespace pydarts

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

namespace pydarts {
namespace {

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
#pragma omp parallel for schedule(dynamic, 1) num_threads(count)
    for (int task = 0; task < tasks; ++task) run(body, task, omp_get_thread_num());
    return;
  }
#endif
  for (int task = 0; task < tasks; ++task) run(body, task, 0);
}

}  // namespace pydarts

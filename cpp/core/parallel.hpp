// SPDX-License-Identifier: MIT
// Loops over tasks, and the threads that run them.
#pragma once
namespace pydarts {

// Who runs the tasks of a pass: `count` threads, of which the calling one is the first. The others are ours,
// which a calling thread starts when it first needs them and keeps until it ends, or the caller's own. Results do not
// depend on it. One thread starts nothing.
struct Threads {
  using Run = void (*)(const void* body, int task, int thread);
  // Calls run(body, task, thread) for task = 0..tasks-1, in any order, with 0 <= thread < count and no thread number in
  // two calls at once; returns when all are done.
  using ParallelFor = void (*)(void* context, int tasks, Run run, const void* body);

  int count;
  ParallelFor parallel_for;  // null: our threads
  void* context;

  Threads(int count, ParallelFor parallel_for = nullptr, void* context = nullptr)
      : count(count), parallel_for(parallel_for), context(context) {}
};

constexpr int kMaxThreads = 1024;

// Threads used when the caller names none: OMP_NUM_THREADS, else as many as the process may use cores.
int default_threads();

void run_tasks(const Threads& threads, int tasks, Threads::Run run, const void* body);

// Runs body(task, thread) for task = 0..tasks-1; returns when all are done. Tasks must own their outputs: which thread
// runs a task is not fixed. `body` must not throw, so it must not allocate.
template <class Body>
void parallel_for(const Threads& threads, int tasks, const Body& body) {  // by pointer: a std::function would allocate
  run_tasks(
      threads, tasks, [](const void* it, int task, int thread) { (*static_cast<const Body*>(it))(task, thread); },
      &body);
}

}  // namespace pydarts

// SPDX-License-Identifier: MIT
// The only place that knows OpenMP.
#pragma once
namespace pydarts {

// Threads used when the caller names none: what OpenMP would take (OMP_NUM_THREADS, else the cores).
int default_threads();

void run_tasks(int threads, int tasks, void (*run)(const void* body, int task, int thread), const void* body);

// Runs body(task, thread) for task = 0..tasks-1 on at most `threads` threads; returns when all are done.
// Tasks must own their outputs: which thread runs a task is not fixed. `body` must not throw.
template <class Body>
void parallel_for(int threads, int tasks, const Body& body) {  // by pointer: a std::function would allocate
  run_tasks(
      threads, tasks, [](const void* it, int task, int thread) { (*static_cast<const Body*>(it))(task, thread); },
      &body);
}

}  // namespace pydarts

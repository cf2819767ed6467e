// SPDX-License-Identifier: MIT
// The only place that knows OpenMP.
#pragma once
#include <functional>

namespace pydarts {

// Threads used when the caller names none: what OpenMP would take (OMP_NUM_THREADS, else the cores).
int default_threads();

// Runs body(task, thread) for task = 0..tasks-1 on at most `threads` threads; returns when all are done.
// Tasks must own their outputs: which thread runs a task is not fixed. `body` must not throw.
void parallel_for(int threads, int tasks, const std::function<void(int task, int thread)>& body);

}  // namespace pydarts

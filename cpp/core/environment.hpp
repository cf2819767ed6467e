// SPDX-License-Identifier: MIT
#pragma once
#include "core/memory.hpp"
#include "core/parallel.hpp"

namespace pydarts {

// What is worth telling somebody who looks for it; nobody by default.
struct Log {
  void* context = nullptr;
  void (*write)(void* context, const char* line) = nullptr;
};

// What a network takes from its surroundings.
struct Environment {
  Threads threads;
  MemoryHooks memory = {};
  Log log = {};
};

}  // namespace pydarts

// SPDX-License-Identifier: MIT
#pragma once
#include "core/communicator.hpp"
#include "core/environment.hpp"
#include "pydarts.h"

namespace pydarts {

// The caller's house rules, or the defaults for null.
pydarts_runtime runtime_of(const pydarts_runtime* runtime);

// The same as the engine wants them; InvalidArgument if they make no sense.
Environment environment_of(const pydarts_runtime& runtime);
Communicator communicator_of(const pydarts_runtime& runtime);
// Of a call that one process computes: InvalidArgument for several ranks.
Environment environment_alone(const pydarts_runtime& runtime);

}  // namespace pydarts

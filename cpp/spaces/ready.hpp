// SPDX-License-Identifier: MIT
#pragma once
#include "core/json.hpp"

namespace pydarts {

// pydarts/spaces/ready.json, which the build embeds.
const Json& ready_json();

}  // namespace pydarts

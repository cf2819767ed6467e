// SPDX-License-Identifier: MIT
#pragma once
#include "core/error.hpp"

namespace pydarts {

// A file, or its bytes in memory, is missing, damaged or not what the call needs.
struct BadFile : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class... Parts>
void require_file(bool condition, const Parts&... parts) {
  if (!condition) throw BadFile(text(parts...));
}

}  // namespace pydarts

// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>

namespace pydarts {

// Of a flat array: from `first` to before `last`.
struct Range {
  std::size_t first, last;
};

}  // namespace pydarts

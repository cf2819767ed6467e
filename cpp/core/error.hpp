// SPDX-License-Identifier: MIT
#pragma once
#include <locale>
#include <sstream>
#include <stdexcept>
#include <string>

#include "core/strict_math.hpp"

namespace pydarts {

// The caller asked for something impossible; the text names the argument and its value.
struct InvalidArgument : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// A loss, gradient or norm stopped being a finite number.
struct NonFinite : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The cancel callback asked the engine to stop; weights and alphas are as before the call.
struct Cancelled : std::runtime_error {
  Cancelled() : std::runtime_error("cancelled") {}
};

// Numbers as the files hold them, whatever locale the program around us has chosen.
template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out.exceptions(std::ios::badbit);  // else a failed allocation would cut the text short
  (out << ... << parts);
  return out.str();
}

template <class... Parts>
void require(bool condition, const Parts&... parts) {
  if (!condition) throw InvalidArgument(text(parts...));
}

}  // namespace pydarts

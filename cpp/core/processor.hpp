// SPDX-License-Identifier: MIT
#pragma once
namespace pydarts {

// Which processor this is, in the numbers that its maker documents. Elsewhere than on x86: nothing and zeros.
struct Processor {
  char vendor[13];  // "AuthenticAMD", "GenuineIntel", ...
  int family, model;
};

const Processor& processor();

// Whether two 512-bit FMAs begin in every cycle, so that 512-bit vectors do twice the work of 256-bit ones. Known by
// family and model and never timed: results must not change from run to run. What is unknown counts as half width.
bool full_width_512(const Processor& processor);

}  // namespace pydarts

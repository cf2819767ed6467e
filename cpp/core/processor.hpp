// SPDX-License-Identifier: MIT
#pragma once
namespace pydarts {

// Which processor this is, in the numbers that its maker documents. Elsewhere than on x86: nothing and zeros.
struct Processor {
  char vendor[13];  // "AuthenticAMD", "GenuineIntel", ...
  int family, model;
  bool tiles;  // of Intel's: whether it has AMX, which its server cores alone have
};

const Processor& processor();

// Whether two 512-bit FMAs begin in every cycle, so that 512-bit vectors do twice the work of 256-bit ones. Known by
// family, model and AMX and never timed: results must not change from run to run. What is unknown counts as half width.
bool full_width_512(const Processor& processor);

// Whether stores past the caches are faster than others, where the next reader finds nothing in a core's own cache.
// Measured on Intel's server cores, whose last cache is no faster than the memory; on Zen 4 they are not.
bool fast_streams(const Processor& processor);

}  // namespace pydarts

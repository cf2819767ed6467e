// SPDX-License-Identifier: MIT
// What the test programs share: a check that says where it failed, and an exit status.
#pragma once
#include <cstdio>

inline int failed_checks = 0;

#define CHECK(condition)                                                           \
  do {                                                                             \
    if (!(condition)) {                                                            \
      ++failed_checks;                                                             \
      std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
    }                                                                              \
  } while (false)

inline int checked() {
  if (failed_checks) std::fprintf(stderr, "%d checks failed\n", failed_checks);
  return failed_checks != 0;
}

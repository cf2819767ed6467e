// SPDX-License-Identifier: MIT
// What the fuzzers of the C API share: a status that no file may give ends the program, as a report.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "tests/capi.hpp"

namespace fuzz {

// Memory of exactly these bytes, so that what reads further is seen.
struct Exact {
  Exact(const unsigned char* bytes, std::size_t count) : data(new char[count]), size(count) {
    if (count) std::memcpy(data.get(), bytes, count);
  }
  std::unique_ptr<char[]> data;
  std::size_t size;
};

// A file is good, bad, or asks for what does not go: anything else is a defect.
inline bool good(pydarts_status status, const void* made) {
  if ((status == PYDARTS_OK) != (made != nullptr)) std::abort();
  if (status != PYDARTS_OK && status != PYDARTS_BAD_FILE && status != PYDARTS_INVALID_ARGUMENT) {
    std::fprintf(stderr, "status %d: %s\n", int(status), pydarts_status_text(status));
    std::abort();
  }
  return status == PYDARTS_OK;
}

}  // namespace fuzz

// SPDX-License-Identifier: MIT
#include "capi/border.hpp"

#define PYDARTS_QUOTED(x) #x
#define PYDARTS_TEXT(x) PYDARTS_QUOTED(x)

int32_t pydarts_abi(void) { return PYDARTS_ABI; }

int32_t pydarts_abi_revision(void) { return PYDARTS_ABI_REVISION; }

const char* pydarts_version(void) {
  return PYDARTS_TEXT(PYDARTS_VERSION_MAJOR) "." PYDARTS_TEXT(PYDARTS_VERSION_MINOR) "." PYDARTS_TEXT(
      PYDARTS_VERSION_PATCH);
}

const char* pydarts_status_text(pydarts_status status) {
  switch (status) {
    case PYDARTS_OK:
      return "no error";
    case PYDARTS_INVALID_ARGUMENT:
      return "an argument is invalid";
    case PYDARTS_OUT_OF_MEMORY:
      return "out of memory";
    case PYDARTS_NOT_FINITE:
      return "a loss or gradient is not finite";
    case PYDARTS_CANCELLED:
      return "cancelled by a callback";
    case PYDARTS_BAD_FILE:
      return "a file is missing, damaged or does not fit";
    case PYDARTS_TOO_SMALL:
      return "the buffer is too small";
    case PYDARTS_BUSY:
      return "the handle is in use";
    case PYDARTS_INTERNAL:
      return "a defect of pydarts";
    case PYDARTS_UNCONNECTED:
      return "other ranks cannot be reached";
  }
  return "an unknown status";
}

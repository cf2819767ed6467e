/* SPDX-License-Identifier: MIT */
/* pydarts.h is C99, by itself. */
#include "pydarts.h"

pydarts_status c99_uses_the_header(void);
pydarts_status c99_uses_the_header(void) {
  pydarts_runtime runtime = {sizeof(pydarts_runtime), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  return pydarts_runtime_defaults(&runtime);
}

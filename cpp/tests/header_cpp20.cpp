// SPDX-License-Identifier: MIT
// pydarts.h is C++20 without exceptions, by itself.
#include "pydarts.h"

static_assert(sizeof(pydarts_status) == sizeof(int));

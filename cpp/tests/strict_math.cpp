// SPDX-License-Identifier: MIT
// Compiled with options that let the compiler take every number for finite: must be refused.
#include "kernels/kernels.hpp"

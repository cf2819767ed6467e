// SPDX-License-Identifier: MIT
// A network as one C99 file in float: pydarts/export/c_file in C++, with the same functions (kernels/*.c, which the
// build embeds) and the same text below the comment on top.
#pragma once
#include <string>
#include <vector>

#include "export/program.hpp"

namespace pydarts {

struct CFile {
  std::string text;
  std::int64_t constants, arena, macs;  // bytes of constants and of static memory; multiply-adds of a call
};

// `name`: with which names begin, an identifier of C; `mean`, `deviation`: of the channels of raw images; `about`:
// lines for the comment on top. InvalidArgument if a weight is not finite.
CFile c_file(const CProgram& program, const std::string& name, const std::vector<float>& mean,
             const std::vector<float>& deviation, const std::vector<std::string>& about);

// A file of pydarts/export/c_file/kernels.
const char* c_kernel(const std::string& name);

}  // namespace pydarts

// SPDX-License-Identifier: MIT
// Files that are replaced as a whole, as pydarts/common/files.py does it.
#pragma once
#include <cstddef>
#include <filesystem>
#include <vector>

namespace pydarts {

struct Bytes {
  const void* data;
  std::size_t size;
};

// Puts a file of these bytes, one piece after the other, in the place of the one before, which stays whole if anything
// fails. Several processes may do so at once. Gives whether it succeeded.
bool replace_file(const std::filesystem::path& path, const std::vector<Bytes>& content);

}  // namespace pydarts

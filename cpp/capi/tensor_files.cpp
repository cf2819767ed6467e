// SPDX-License-Identifier: MIT
#include "capi/tensor_files.hpp"

#include <algorithm>
#include <fstream>
#include <locale>

#include "capi/border.hpp"
#include "capi/files.hpp"

namespace fs = std::filesystem;

namespace pydarts {
namespace {

// Whether all of a file's bytes could be read. A failed allocation comes out as such, not as a failure of the file.
bool read_whole(const fs::path& path, Vector<char>& content) {
  std::ifstream file;
  file.imbue(std::locale::classic());  // another one could decode what it reads
  file.open(path, std::ios::binary);
  if (!file) return false;
  file.exceptions(std::ios::badbit);
  try {
    file.read(content.data(), std::streamsize(content.size()));
  } catch (const std::ios::failure&) {
    return false;
  }
  return bool(file);
}

}  // namespace

Vector<char> file_content(const fs::path& path, std::size_t least, std::size_t most, const MemoryHooks& memory) {
  std::error_code error;
  require_file(fs::is_regular_file(path, error), "there is no such file");
  const std::uintmax_t size = fs::file_size(path, error);
  require_file(!error, "its size is not known");
  require_file(least <= size && size <= most, "it has ", size, " bytes, not ", least, " to ", most);
  Vector<char> content(static_cast<std::size_t>(size), memory);
  require_file(read_whole(path, content), "it cannot be read");
  return content;
}

void load_tensors(const fs::path& path, const std::vector<StoredTensor>& tensors, const MemoryHooks& memory) {
  reading(path.u8string(), [&] {
    const FileSize bounds = safetensors_size(tensors);
    const Vector<char> content = file_content(path, bounds.least, bounds.most, memory);
    read_safetensors(content.data(), content.size(), tensors);
  });
}

void save_tensors(const fs::path& path, const std::vector<StoredTensor>& tensors) {
  const std::string header = safetensors_header(tensors);
  std::vector<Bytes> content{{header.data(), header.size()}};
  for (const StoredTensor& tensor : tensors) content.push_back({tensor.values, tensor.bytes()});
  require_file(replace_file(path, content), path.u8string(), ": it cannot be written");
}

void give_text(const std::string& value, char* buffer, std::size_t capacity, std::size_t* needed) {
  if (needed) *needed = value.size() + 1;
  if (!buffer && capacity == 0) return;
  require(buffer, "`buffer` is null");
  if (capacity <= value.size()) throw TooSmall(text("`capacity` (=", capacity, ") is less than ", value.size() + 1));
  std::copy_n(value.c_str(), value.size() + 1, buffer);
}

}  // namespace pydarts

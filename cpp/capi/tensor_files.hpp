// SPDX-License-Identifier: MIT
// Files of named tensors and texts on the way in and out, with errors that name them.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "capi/safetensors.hpp"
#include "core/error.hpp"
#include "core/memory.hpp"

namespace pydarts {

// Errors of `read` name the file that it reads.
template <class Read>
auto reading(const std::string& name, const Read& read) {
  try {
    return read();
  } catch (const BadFile& error) {
    throw BadFile(text(name, ": ", error.what()));
  } catch (const InvalidArgument& error) {  // what a file asks for is the file's fault
    throw BadFile(text(name, ": ", error.what()));
  }
}

// The bytes of a file that has `least` to `most` of them.
Vector<char> file_content(const std::filesystem::path& path, std::size_t least, std::size_t most,
                          const MemoryHooks& memory);

// All or nothing, and an existing file is replaced only by a whole one. BadFile.
void load_tensors(const std::filesystem::path& path, const std::vector<StoredTensor>& tensors,
                  const MemoryHooks& memory);
void save_tensors(const std::filesystem::path& path, const std::vector<StoredTensor>& tensors);

// Into a caller's buffer, as pydarts.h describes it.
void give_text(const std::string& value, char* buffer, std::size_t capacity, std::size_t* needed);

}  // namespace pydarts

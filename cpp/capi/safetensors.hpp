// SPDX-License-Identifier: MIT
// Named tensors of float32 and of counts in the safetensors format: eight bytes with the length of a JSON header, the
// header, the data. https://huggingface.co/docs/safetensors
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/bad_file.hpp"

namespace pydarts {

struct StoredTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  void* values;  // float, or std::int64_t
  std::size_t count;
  bool integers = false;

  std::size_t bytes() const { return count * (integers ? 8 : 4); }
};

// Bounds of the size of a file with these tensors, to be held against it before it is read.
struct FileSize {
  std::size_t least, most;
};
FileSize safetensors_size(const std::vector<StoredTensor>& tensors);

// Whether a tensor is of variances, by its name.
bool is_variance(const std::string& name);

// Copies the file's values, once all of it is known to be sound: the same names, types and shapes, finite, counts and
// variances not negative. BadFile if not. PyTorch's counters `num_batches_tracked` are passed over.
void read_safetensors(const char* file, std::size_t size, const std::vector<StoredTensor>& tensors);

// What stands before the values of the tensors, which follow in this order.
std::string safetensors_header(const std::vector<StoredTensor>& tensors);

}  // namespace pydarts

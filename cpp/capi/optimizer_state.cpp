// SPDX-License-Identifier: MIT
// The state of an optimizer of the C API as a safetensors file: momentum, moments of Adam, and its steps.
#include <algorithm>
#include <cstdint>

#include "capi/handles.hpp"
#include "capi/tensor_files.hpp"

namespace fs = std::filesystem;
using namespace pydarts;

namespace {

constexpr std::int64_t kMostSteps = std::int64_t(1) << 53;  // more than any search takes, and counted on from safely

// A state apart from the optimizer's: what is read stands here until all of it is known to be sound.
struct OptimizerState {
  Vector<float> momentum, first, second;
  std::int64_t steps = 0;

  explicit OptimizerState(pydarts_optimizer& optimizer)
      : momentum(optimizer.step.weights().buffer.size(), optimizer.memory),
        first(optimizer.step.adam().first.size(), optimizer.memory),
        second(optimizer.step.adam().second.size(), optimizer.memory) {}
};

std::vector<StoredTensor> stored(float* momentum, std::size_t weights, float* first, float* second, std::size_t alphas,
                                 std::int64_t* steps) {
  return {{"alphas.steps", {1}, steps, 1, true},  // first, so that it stands on eight bytes
          {"alphas.first_moment", {std::int64_t(alphas)}, first, alphas},
          {"alphas.second_moment", {std::int64_t(alphas)}, second, alphas},
          {"weights.momentum", {std::int64_t(weights)}, momentum, weights}};
}

std::vector<StoredTensor> stored(OptimizerState& s) {
  return stored(s.momentum.data(), s.momentum.size(), s.first.data(), s.second.data(), s.first.size(), &s.steps);
}

// Of the optimizer's own arrays; `steps` is a copy.
std::vector<StoredTensor> stored(pydarts_optimizer& optimizer, std::int64_t& steps) {
  auto& adam = optimizer.step.adam();
  Vector<float>& momentum = optimizer.step.weights().buffer;
  steps = adam.steps;
  return stored(momentum.data(), momentum.size(), adam.first.data(), adam.second.data(), adam.first.size(), &steps);
}

void require_sound(const OptimizerState& state) {
  for (float value : state.second)
    require_file(value >= 0, "'alphas.second_moment' holds ", value, ", which is negative");
  require_file(state.steps >= 0 && state.steps < kMostSteps, "its number of steps is ", state.steps);
}

// Nothing can fail.
void take(pydarts_optimizer& optimizer, const OptimizerState& state) {
  std::copy(state.momentum.begin(), state.momentum.end(), optimizer.step.weights().buffer.begin());
  std::copy(state.first.begin(), state.first.end(), optimizer.step.adam().first.begin());
  std::copy(state.second.begin(), state.second.end(), optimizer.step.adam().second.begin());
  optimizer.step.adam().steps = state.steps;
}

}  // namespace

pydarts_status pydarts_optimizer_save(pydarts_optimizer* optimizer, const char* path) {
  return Border::cross(optimizer, [&] {
    require(path, "`path` is null");
    std::int64_t steps;
    save_tensors(fs::u8path(path), stored(*optimizer, steps));
  });
}

pydarts_status pydarts_optimizer_load(pydarts_optimizer* optimizer, const char* path) {
  return Border::cross(optimizer, [&] {
    require(path, "`path` is null");
    OptimizerState state(*optimizer);
    load_tensors(fs::u8path(path), stored(state), optimizer->memory);
    reading(fs::u8path(path).u8string(), [&] { require_sound(state); });
    take(*optimizer, state);
  });
}

pydarts_status pydarts_optimizer_read(pydarts_optimizer* optimizer, const void* file, size_t file_size) {
  return Border::cross(optimizer, [&] {
    require(file, "`file` is null");
    OptimizerState state(*optimizer);
    reading("`file`", [&] {
      read_safetensors(static_cast<const char*>(file), file_size, stored(state));
      require_sound(state);
    });
    take(*optimizer, state);
  });
}

pydarts_status pydarts_optimizer_write(pydarts_optimizer* optimizer, void* buffer, size_t capacity, size_t* needed) {
  return Border::cross(optimizer, [&] {
    std::int64_t steps;
    const std::vector<StoredTensor> tensors = stored(*optimizer, steps);
    const std::string header = safetensors_header(tensors);
    std::size_t size = header.size();
    for (const StoredTensor& tensor : tensors) size += tensor.bytes();
    if (needed) *needed = size;
    if (!buffer && capacity == 0) return;
    require(buffer, "`buffer` is null");
    if (capacity < size) throw TooSmall(text("`capacity` (=", capacity, ") is less than ", size));
    char* to = std::copy(header.begin(), header.end(), static_cast<char*>(buffer));
    for (const StoredTensor& tensor : tensors)
      to = std::copy_n(static_cast<const char*>(tensor.values), tensor.bytes(), to);
  });
}

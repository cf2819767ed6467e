// SPDX-License-Identifier: MIT
#include "capi/safetensors.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <unordered_map>

#include "core/json.hpp"

namespace pydarts {
namespace {

using Kind = Json::Kind;

constexpr std::size_t kLength = 8;            // bytes of the header's length
constexpr std::size_t kMaxEntry = 1 << 10;    // of a tensor in the header
constexpr std::size_t kCounter = 8;           // bytes of a counter
constexpr long long kMost = (1LL << 53) - 1;  // exact in a double

std::size_t data_size(const std::vector<StoredTensor>& tensors) {
  std::size_t bytes = 0;
  for (const StoredTensor& tensor : tensors) bytes += tensor.bytes();
  return bytes;
}

std::size_t max_header(const std::vector<StoredTensor>& tensors) { return (2 * tensors.size() + 4) * kMaxEntry; }

struct Range {
  std::size_t begin, end;
};

Range range_of(const Json& entry, std::size_t data) {
  const Json& offsets = entry.at("data_offsets", Kind::array);
  require_file(offsets.items.size() == 2, "`data_offsets` is not a pair");
  const auto begin = std::size_t(offsets.items[0].integer("data_offsets", 0, kMost));
  const auto end = std::size_t(offsets.items[1].integer("data_offsets", 0, kMost));
  require_file(begin <= end && end <= data, "`data_offsets` (=", begin, ", ", end, ") lie outside of the ", data,
               " bytes of data");
  return {begin, end};
}

bool is_counter(std::string_view name) {
  constexpr std::string_view tail = "num_batches_tracked";
  return name.size() >= tail.size() && name.substr(name.size() - tail.size()) == tail;
}

const char* type_of(const StoredTensor& tensor) { return tensor.integers ? "I64" : "F32"; }

void require_shape(const Json& entry, const StoredTensor& tensor) {
  const std::string& type = entry.at("dtype", Kind::string).text;
  require_file(type == type_of(tensor), "'", tensor.name, "' holds ", type.substr(0, 40), ", not ", type_of(tensor));
  const std::vector<Json>& shape = entry.at("shape", Kind::array).items;
  bool same = shape.size() == tensor.shape.size();
  for (std::size_t i = 0; same && i < shape.size(); ++i) same = shape[i].integer("shape", 0, kMost) == tensor.shape[i];
  require_file(same, "'", tensor.name, "' has another shape in this network");
}

void require_values(const char* data, const StoredTensor& tensor) {
  const bool positive = is_variance(tensor.name);
  for (std::size_t k = 0; k < tensor.count; ++k) {
    if (tensor.integers) {
      std::int64_t value;
      std::memcpy(&value, data + k * sizeof(value), sizeof(value));
      require_file(value >= 0, "'", tensor.name, "' holds a negative count");
    } else {
      float value;
      std::memcpy(&value, data + k * sizeof(value), sizeof(value));
      require_file(std::isfinite(value), "'", tensor.name, "' holds a value that is not finite");
      require_file(!positive || value >= 0, "'", tensor.name, "' holds a negative variance");
    }
  }
}

}  // namespace

bool is_variance(const std::string& name) {
  const std::string end = ".running_var";
  return name.size() > end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
}

FileSize safetensors_size(const std::vector<StoredTensor>& tensors) {
  const std::size_t least = kLength + data_size(tensors);
  return {least, least + max_header(tensors) + tensors.size() * kCounter};
}

void read_safetensors(const char* file, std::size_t size, const std::vector<StoredTensor>& tensors) {
  const FileSize bounds = safetensors_size(tensors);
  require_file(bounds.least <= size && size <= bounds.most, "it has ", size, " bytes; this network's has ",
               bounds.least, " to ", bounds.most);
  std::uint64_t header = 0;
  for (std::size_t i = 0; i < kLength; ++i) header |= std::uint64_t(static_cast<unsigned char>(file[i])) << 8 * i;
  require_file(header <= std::min(size - kLength, max_header(tensors)), "its header of ", header,
               " bytes is longer than the file, or than this network's can be");
  const Json json = parse_json(file + kLength, std::size_t(header));
  require_file(json.kind == Kind::object, "its header is not an object");
  const char* data = file + kLength + header;
  const std::size_t bytes = size - kLength - std::size_t(header);

  std::unordered_map<std::string, std::size_t> wanted;
  for (std::size_t i = 0; i < tensors.size(); ++i) wanted.emplace(tensors[i].name, i);
  std::vector<Range> ranges;
  std::vector<std::size_t> starts(tensors.size());
  std::size_t found = 0;
  for (std::size_t i = 0; i < json.names.size(); ++i) {
    const std::string& name = json.names[i];
    if (name == "__metadata__") continue;
    const Range range = range_of(json.items[i], bytes);
    ranges.push_back(range);
    if (is_counter(name)) continue;
    const auto at = wanted.find(name);
    require_file(at != wanted.end(), "'", name.substr(0, 80), "' is unknown to this network");
    const StoredTensor& tensor = tensors[at->second];
    require_shape(json.items[i], tensor);
    require_file(range.end - range.begin == tensor.bytes(), "'", name, "' has ", range.end - range.begin,
                 " bytes, not ", tensor.bytes());
    require_values(data + range.begin, tensor);
    starts[at->second] = range.begin;
    ++found;
  }
  if (found < tensors.size())
    for (const StoredTensor& tensor : tensors)
      require_file(json.find(tensor.name.c_str()), "'", tensor.name, "' is missing");
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
  std::size_t end = 0;
  for (const Range& range : ranges) {
    require_file(range.begin == end, "its tensors overlap or leave a hole at byte ", end, " of the data");
    end = range.end;
  }
  require_file(end == bytes, "it has ", bytes - end, " bytes after its last tensor");

  for (std::size_t i = 0; i < tensors.size(); ++i)
    if (tensors[i].count > 0) std::memcpy(tensors[i].values, data + starts[i], tensors[i].bytes());
}

std::string safetensors_header(const std::vector<StoredTensor>& tensors) {
  std::string json = "{";
  std::size_t at = 0;
  for (const StoredTensor& tensor : tensors) {
    json += text(json.size() > 1 ? "," : "", "\"", tensor.name, "\":{\"dtype\":\"", type_of(tensor), "\",\"shape\":[");
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) json += text(i ? "," : "", tensor.shape[i]);
    const std::size_t end = at + tensor.bytes();
    json += text("],\"data_offsets\":[", at, ",", end, "]}");
    at = end;
  }
  json += "}";
  json.resize((json.size() + kLength - 1) / kLength * kLength, ' ');  // so that the data is aligned
  std::string length(kLength, '\0');
  for (std::size_t i = 0; i < kLength; ++i) length[i] = char(std::uint64_t(json.size()) >> 8 * i & 0xFF);
  return length + json;
}

}  // namespace pydarts

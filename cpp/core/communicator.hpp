// SPDX-License-Identifier: MIT
// Ranks: processes that compute a pass together, each a part of the batch.
#pragma once
#include <cstddef>
#include <stdexcept>

namespace pydarts {

// How a rank reaches the others. All ranks make the same calls, in the same order. The functions give 0, or anything
// else if it failed; they must not throw. One rank alone calls nothing.
struct Communicator {
  // Puts what all ranks have, `bytes[r]` of rank r, one behind the other into `all`; `mine` is this rank's.
  using Gather = int (*)(void* context, const void* mine, void* all, const std::size_t* bytes);
  // Makes `data` that of rank `root`.
  using Broadcast = int (*)(void* context, void* data, std::size_t bytes, int root);

  int rank = 0, size = 1;
  Gather gather = nullptr;
  Broadcast broadcast = nullptr;
  void* context = nullptr;

  bool several() const { return size > 1; }
};

constexpr int kMaxRanks = 4096;

// The part of `count` things that rank `rank` has begins here, and ends where the next one's begins.
inline int part_of(int count, int rank, int ranks) { return int((long long)count * rank / ranks); }

// A function of the communicator failed.
struct CommunicationFailed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace pydarts

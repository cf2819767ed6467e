// SPDX-License-Identifier: MIT
// Ranks that are threads of this process.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "core/communicator.hpp"

class Ranks {
 public:
  explicit Ranks(int size) : mine_(size), all_(size), size_(size) {}

  // Runs body(communicator) in a thread for each rank.
  template <class Body>
  void run(Body body) {
    std::vector<std::thread> threads;
    std::vector<Own> own(size_);
    for (int rank = 0; rank < size_; ++rank) {
      own[rank] = {this, rank};
      threads.emplace_back([&, rank] { body(pydarts::Communicator{rank, size_, &gather, &broadcast, &own[rank]}); });
    }
    for (std::thread& thread : threads) thread.join();
  }

  std::atomic<long> gathers{0}, bytes{0};
  std::atomic<bool> broken{false};  // every call fails

 private:
  struct Own {
    Ranks* ranks;
    int rank;
  };

  void meet() {
    std::unique_lock<std::mutex> lock(mutex_);
    const long now = meeting_;
    if (++arrived_ == size_) {
      arrived_ = 0;
      ++meeting_;
      met_.notify_all();
    } else {
      met_.wait(lock, [&] { return meeting_ != now; });
    }
  }

  static int gather(void* context, const void* mine, void* all, const std::size_t* bytes) {
    const auto [ranks, rank] = *static_cast<Own*>(context);
    if (ranks->broken) return 1;
    ranks->mine_[rank] = mine;
    ranks->meet();
    auto* to = static_cast<unsigned char*>(all);
    for (int r = 0; r < ranks->size_; ++r) {
      std::memcpy(to, ranks->mine_[r], bytes[r]);
      to += bytes[r];
    }
    if (rank == 0) {
      ++ranks->gathers;
      for (int r = 0; r < ranks->size_; ++r) ranks->bytes += long(bytes[r]);
    }
    ranks->meet();
    return 0;
  }

  static int broadcast(void* context, void* data, std::size_t bytes, int root) {
    const auto [ranks, rank] = *static_cast<Own*>(context);
    if (ranks->broken) return 1;
    ranks->all_[rank] = data;
    ranks->meet();
    if (rank != root) std::memcpy(data, ranks->all_[root], bytes);
    ranks->meet();
    return 0;
  }

  std::vector<const void*> mine_;
  std::vector<void*> all_;
  int size_, arrived_ = 0;
  long meeting_ = 0;
  std::mutex mutex_;
  std::condition_variable met_;
};

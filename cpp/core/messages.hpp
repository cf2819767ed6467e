// SPDX-License-Identifier: MIT
// What the ranks of a network tell each other: of each a flag, whether it was cancelled, and behind it what it tells.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

#include "core/buffer.hpp"
#include "core/communicator.hpp"
#include "core/error.hpp"

namespace pydarts {

class Messages {
 public:
  // What must be the same on all ranks: the instruction set, the bytes of a number, how many there are.
  struct Identity {
    char instruction_set[32];
    std::uint64_t number, weights, alphas, running;

    Identity(const char* name, std::size_t number, std::size_t weights, std::size_t alphas, std::size_t running)
        : instruction_set{}, number(number), weights(weights), alphas(alphas), running(running) {
      std::strncpy(instruction_set, name, sizeof instruction_set - 1);
    }
  };

  explicit Messages(const MemoryHooks& memory) : sent_(memory), received_(memory), bytes_(memory), at_(memory) {}

  const Communicator& communicator() const { return communicator_; }
  bool several() const { return communicator_.several(); }
  int rank() const { return communicator_.rank; }
  int size() const { return communicator_.size; }

  // All of several ranks must be alike; share() makes them the same.
  template <class Share>
  void use(const Communicator& communicator, const Identity& own, Share share) {
    require(communicator.size >= 1 && communicator.size <= kMaxRanks, "the ranks (=", communicator.size,
            ") must be in 1..", kMaxRanks);
    require(communicator.rank >= 0 && communicator.rank < communicator.size, "the rank (=", communicator.rank,
            ") must lie in 0..", communicator.size - 1);
    require(!communicator.several() || (communicator.gather && communicator.broadcast),
            "several ranks need both functions of the communicator");
    communicator_ = communicator;
    if (!several()) return;
    try {
      compare(own);
      share();
    } catch (...) {
      communicator_ = {};
      throw;
    }
  }

  // Makes `data` that of the first rank.
  void broadcast(void* data, std::size_t bytes) {
    if (bytes > 0 && communicator_.broadcast(communicator_.context, data, bytes, 0) != 0)
      throw CommunicationFailed("the communicator could not broadcast");
  }

  // Where to write what this rank tells: count(r) elements are of rank r.
  template <class Element, class Count>
  Element* begin(Count count) {
    bytes_.resize(size());
    at_.resize(size() + 1);
    at_[0] = 0;
    for (int r = 0; r < size(); ++r) {
      bytes_[r] = whole(count(r) * sizeof(Element));
      at_[r + 1] = at_[r] + bytes_[r];
    }
    sent_.reserve(bytes_[rank()]);
    received_.reserve(at_[size()]);
    return reinterpret_cast<Element*>(sent_.data() + kFlag);
  }

  // Of the message that begins; throws Cancelled on all ranks if one of them stops. `mine` is in place of what begin()
  // gave, and has kFlag bytes before what it tells.
  void gather(bool stop, unsigned char* mine = nullptr) {
    if (!mine) mine = sent_.data();
    std::memset(mine, stop ? 1 : 0, kFlag);
    if (communicator_.gather(communicator_.context, mine, received_.data(), bytes_.data()) != 0)
      throw CommunicationFailed("the communicator could not gather");
    for (int r = 0; r < size(); ++r)
      if (received_.data()[at_[r]]) throw Cancelled();
  }

  // What a rank told.
  template <class Element>
  const Element* told(int rank) const {
    return reinterpret_cast<const Element*>(received_.data() + at_[rank] + kFlag);
  }

  std::size_t own_bytes() const { return bytes_[rank()]; }

  static constexpr std::size_t kFlag = kCacheLine;
  // Of a message that tells so much: whole cache lines.
  static std::size_t whole(std::size_t bytes) { return kFlag + (bytes + kCacheLine - 1) / kCacheLine * kCacheLine; }

 private:
  void compare(const Identity& own) {
    *begin<Identity>([](int) { return 1; }) = own;
    gather(false);
    const auto& first = *told<Identity>(0);
    for (int rank = 1; rank < size(); ++rank) {
      const auto& other = *told<Identity>(rank);
      require(std::string(other.instruction_set) == first.instruction_set, "rank ", rank, " computes with ",
              other.instruction_set, ", rank 0 with ", first.instruction_set, ": PYDARTS_ISA names one for all");
      require(std::memcmp(&other, &first, sizeof first) == 0, "rank ", rank,
              " has another network than rank 0: ", other.weights, " weights and ", other.alphas, " alphas, not ",
              first.weights, " and ", first.alphas);
    }
  }

  Communicator communicator_;
  Buffer<unsigned char> sent_, received_;
  Vector<std::size_t> bytes_, at_;  // by rank
};

}  // namespace pydarts

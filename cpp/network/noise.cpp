// SPDX-License-Identifier: MIT
// The operation `noise`: numbers that are a function of seed, step, sample, term and element alone, so that they are
// the same for any number of threads and when they are made again.
#include <algorithm>
#include <cmath>

#include "network/passes.hpp"

namespace pydarts {
namespace {

// SplitMix64's output function, of a counter.
std::uint64_t mixed(std::uint64_t z) {
  z += 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

double unit(std::uint64_t bits) { return double(bits >> 11) * 0x1.0p-53; }  // [0, 1)

}  // namespace

template <class T>
void Network<T>::draw_noise(const Pass& pass, int index, int sample, int samples, Walk walk) {
  const Channels& channels = graph_.noises[index].channels;
  const std::size_t plane = pass.plan.noises[index].plane();
  const std::uint64_t term = mixed(mixed(mixed(seed_) ^ noise_step_) ^ std::uint64_t(index));
  for (int n = 0; n < samples; ++n) {
    const std::uint64_t key = mixed(term ^ std::uint64_t(pass.plan.first + sample + n));
    T* y = noise(pass, index, sample + n, walk).data;
    std::fill_n(y, channels.blocks() * plane * kLanes, T(0));
    double sine = 0;
    std::uint64_t element = 0;
    for_lanes(channels, [&](int lane) {
      T* to = y + std::size_t(lane / kLanes) * plane * kLanes + lane % kLanes;
      for (std::size_t p = 0; p < plane; ++p, ++element) {  // Box-Muller, two at a time
        double value = sine;
        if (element % 2 == 0) {
          const double radius = std::sqrt(-2 * std::log(1 - unit(mixed(key + element))));
          const double angle = 6.283185307179586 * unit(mixed(key + element + 1));
          value = radius * std::cos(angle);
          sine = radius * std::sin(angle);
        }
        to[p * kLanes] = T(value);
      }
    });
  }
}

template class Network<float>;
template class Network<double>;

}  // namespace pydarts

// SPDX-License-Identifier: MIT
// What the functions share that make networks.
#pragma once
#include <memory>

#include "capi/handles.hpp"

namespace pydarts {

// Runs `make`, which gives a network, behind the border.
template <class Make>
pydarts_status create(pydarts_network** network, char* message, std::size_t message_size, const Make& make) {
  if (network) *network = nullptr;
  return guarded(message, message_size, [&] {
    require(network, "`network` is null");
    *network = make().release();
  });
}

}  // namespace pydarts

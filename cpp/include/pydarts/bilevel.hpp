// SPDX-License-Identifier: MIT
// The Hessian-vector product of the second order, over any function of the caller's.
#pragma once
#include <pydarts.h>

#include <cstddef>

namespace pydarts {

// Writes the gradient at `w` into `out`; nonzero ends the product with PYDARTS_CANCELLED.
template <class T>
using GradientCallback = int (*)(void* user, const T* w, T* out);

// As pydarts_hessian_vector_product in pydarts.h, in float or double, and with a runtime (null: the defaults) without
// ranks, whose memory and threads it uses.
template <class T>
PYDARTS_API pydarts_status hessian_vector_product(GradientCallback<T> gradient, void* user, const T* w, const T* v,
                                                  std::size_t n, std::size_t m, double epsilon, T* out,
                                                  const pydarts_runtime* runtime, char* message,
                                                  std::size_t message_size) noexcept;

// The same over anything that can be called as int(const T* w, T* out).
template <class T, class Gradient>
pydarts_status hessian_vector_product(Gradient& gradient, const T* w, const T* v, std::size_t n, std::size_t m,
                                      double epsilon, T* out, const pydarts_runtime* runtime = nullptr,
                                      char* message = nullptr, std::size_t message_size = 0) noexcept {
  struct Held {
    Gradient& gradient;
  } held{gradient};
  return hessian_vector_product<T>(
      [](void* user, const T* at, T* to) -> int { return static_cast<Held*>(user)->gradient(at, to); }, &held, w, v, n,
      m, epsilon, out, runtime, message, message_size);
}

}  // namespace pydarts

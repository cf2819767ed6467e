// SPDX-License-Identifier: MIT
#include "pydarts/bilevel.hpp"

#include <cmath>
#include <functional>

#include "bilevel/bilevel.hpp"
#include "capi/border.hpp"
#include "capi/runtime.hpp"

namespace pydarts {

template <class T>
pydarts_status hessian_vector_product(GradientCallback<T> gradient, void* user, const T* w, const T* v, std::size_t n,
                                      std::size_t m, double epsilon, T* out, const pydarts_runtime* runtime,
                                      char* message, std::size_t message_size) noexcept {
  return guarded(message, message_size, [&] {
    require(gradient, "`gradient` is null");
    require(w && v && out, "`w`, `v` or `out` is null");
    require(n >= 1 && m >= 1, "`n` (=", n, ") and `m` (=", m, ") must be at least 1");
    require(epsilon > 0 && std::isfinite(epsilon), "`epsilon` (=", epsilon, ") must be a positive number");
    const Environment environment = environment_alone(runtime_of(runtime));
    Workspace<T> workspace(environment.memory);
    const auto asked = [&](const T* at, T* to) {
      if (gradient(user, at, to) != 0) throw Cancelled();
    };
    // by reference: what std::function holds of it takes no memory
    hessian_vector_product<T>(std::cref(asked), w, v, n, m, epsilon, out, environment.threads, workspace);
  });
}

#define PYDARTS_INSTANTIATE(T)                                                                               \
  template PYDARTS_API pydarts_status hessian_vector_product(GradientCallback<T>, void*, const T*, const T*, \
                                                             std::size_t, std::size_t, double, T*,           \
                                                             const pydarts_runtime*, char*, std::size_t) noexcept;
PYDARTS_INSTANTIATE(float)
PYDARTS_INSTANTIATE(double)

}  // namespace pydarts

// SPDX-License-Identifier: MIT
// The headers are C++20 without exceptions, by themselves.
#include <pydarts/bilevel.hpp>
#include <pydarts/operation.hpp>

static_assert(sizeof(pydarts_status) == sizeof(int));

pydarts_status product(int (&gradient)(const float*, float*), const float* w, float* out) {
  pydarts::MixedOperation<float> operation;
  pydarts::MixedOperation<float> other(static_cast<pydarts::MixedOperation<float>&&>(operation));
  return pydarts::hessian_vector_product(gradient, w, w, 1, 1, 0.01, out);
}

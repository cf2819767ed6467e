/* SPDX-License-Identifier: MIT */
/* The product of a Hessian with a vector from gradients alone, for a function of one's own: Rosenbrock's,
 *   f(w) = sum_i 100 (w[i+1] - w[i]^2)^2 + (1 - w[i])^2,
 * whose Hessian is known: tridiagonal. */
#include <math.h>
#include <pydarts.h>
#include <stdio.h>

enum { kSize = 6 };

static int gradient(void* user, const double* w, double* out) {
  int i;
  ++*(int*)user;
  for (i = 0; i < kSize; ++i) out[i] = 0;
  for (i = 0; i + 1 < kSize; ++i) {
    const double rest = w[i + 1] - w[i] * w[i];
    out[i] += -400 * w[i] * rest - 2 * (1 - w[i]);
    out[i + 1] += 200 * rest;
  }
  return 0;
}

static void exact_product(const double* w, const double* v, double* out) {
  int i;
  for (i = 0; i < kSize; ++i) out[i] = 0;
  for (i = 0; i + 1 < kSize; ++i) {
    out[i] += (1200 * w[i] * w[i] - 400 * w[i + 1] + 2) * v[i] - 400 * w[i] * v[i + 1];
    out[i + 1] += -400 * w[i] * v[i] + 200 * v[i + 1];
  }
}

int main(void) {
  const double w[kSize] = {-1.2, 1, 0.5, -0.3, 0.8, 1.5}, v[kSize] = {1, -2, 0.5, 3, -1, 0.25};
  double product[kSize], exact[kSize], error = 0, norm = 0;
  char message[128];
  int i, calls = 0;
  if (pydarts_hessian_vector_product(gradient, &calls, w, v, kSize, kSize, 1e-4, product, message, sizeof message)) {
    fprintf(stderr, "%s\n", message);
    return 1;
  }
  exact_product(w, v, exact);
  for (i = 0; i < kSize; ++i) {
    printf("%14.6f %14.6f\n", product[i], exact[i]);
    error += (product[i] - exact[i]) * (product[i] - exact[i]);
    norm += exact[i] * exact[i];
  }
  printf("relative error %.1e with %d gradients\n", sqrt(error / norm), calls);
  return sqrt(error / norm) < 1e-8 && calls == 2 ? 0 : 1;
}

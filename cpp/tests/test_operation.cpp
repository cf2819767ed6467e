// SPDX-License-Identifier: MIT
// The C++ headers, as a program of the caller's sees them.
#include <cmath>
#include <pydarts/bilevel.hpp>
#include <pydarts/operation.hpp>
#include <string>
#include <vector>

#include "allocations.hpp"
#include "check.hpp"

using pydarts::ImageBatch;
using pydarts::MixedOperation;

namespace {

const char* const kAll[] = {"none",         "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3",
                            "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5", "sep_conv_7x7", "conv_7x1_1x7"};
constexpr std::size_t kCount = sizeof(kAll) / sizeof(*kAll);

double number(std::size_t i) { return std::sin(0.7 + 1.3 * double(i) + 0.01 * double(i) * double(i)); }

std::vector<double> numbers(std::size_t count, std::size_t from) {
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = number(from + i);
  return values;
}

// The workspace, in memory that shows what is written beyond it.
struct Workspace {
  explicit Workspace(std::size_t bytes) : bytes(bytes), memory(bytes + 2 * pydarts::kWorkspaceAlignment + 1, 0x5a) {
    at = memory.data();
    while (reinterpret_cast<std::uintptr_t>(at) % pydarts::kWorkspaceAlignment) ++at;
  }
  bool intact() const {
    for (const unsigned char* p = at + bytes; p < memory.data() + memory.size(); ++p)
      if (*p != 0x5a) return false;
    return true;
  }
  std::size_t bytes;
  std::vector<unsigned char> memory;
  unsigned char* at;
};

// The gradients against central differences of sum(output * r).
void check_gradients(const char* const* names, std::size_t count, int stride, int threads) {
  const int channels = 3;
  const ImageBatch batch{3, 7, 6};
  pydarts_runtime runtime;
  CHECK(pydarts_runtime_defaults((runtime.size = sizeof runtime, &runtime)) == PYDARTS_OK);
  runtime.threads = threads;
  MixedOperation<double> operation;
  char message[256] = "";
  CHECK(operation.create(names, count, channels, stride, &runtime, message, sizeof message) == PYDARTS_OK);
  CHECK(operation.num_alphas() == count);
  int h = 0, w = 0;
  CHECK(operation.output_size(batch.height, batch.width, &h, &w) == PYDARTS_OK);
  CHECK(h == (stride == 1 ? 7 : 4) && w == (stride == 1 ? 6 : 3));
  const std::size_t inputs = 3 * 3 * 7 * 6, outputs = std::size_t(3) * 3 * h * w;

  std::vector<double> x = numbers(inputs, 0), r = numbers(outputs, 5000), alphas = numbers(count, 9000);
  std::vector<double> weights(operation.num_weights()), output(outputs);
  CHECK(operation.initialize(3, weights.data()) == PYDARTS_OK);
  std::vector<double> dx(inputs), dw(weights.size()), da(count);
  std::size_t bytes[2] = {};
  for (int backward : {0, 1}) CHECK(operation.workspace_size(batch, backward == 1, &bytes[backward]) == PYDARTS_OK);
  CHECK(0 < bytes[0] && bytes[0] < bytes[1]);
  Workspace small(bytes[0]), large(bytes[1]);
  auto loss = [&] {
    CHECK(operation.forward(batch, x.data(), weights.data(), alphas.data(), output.data(), small.at, small.bytes) ==
          PYDARTS_OK);
    double total = 0;
    for (std::size_t i = 0; i < outputs; ++i) total += output[i] * r[i];
    return total;
  };
  CHECK(operation.backward(batch, x.data(), weights.data(), alphas.data(), r.data(), dx.data(), dw.data(), da.data(),
                           large.at, large.bytes) == PYDARTS_OK);
  auto agree = [&](std::vector<double>& at, const std::vector<double>& gradient) {
    for (std::size_t i = 0; i < at.size(); i += at.size() / 20 + 1) {
      const double kept = at[i], step = 1e-6;
      at[i] = kept + step;
      const double above = loss();
      at[i] = kept - step;
      const double numeric = (above - loss()) / (2 * step);
      at[i] = kept;
      CHECK(std::fabs(numeric - gradient[i]) <= 1e-5 * (1 + std::fabs(numeric)));
    }
  };
  agree(x, dx);
  agree(weights, dw);
  agree(alphas, da);
  CHECK(small.intact() && large.intact());

  std::vector<double> only(count);
  CHECK(operation.backward(batch, x.data(), weights.data(), alphas.data(), r.data(), nullptr, nullptr, only.data(),
                           large.at, large.bytes) == PYDARTS_OK);
  CHECK(only == da);
}

void a_skip_is_the_identity() {
  MixedOperation<float> operation;
  const char* name = "skip_connect";
  CHECK(operation.create(&name, 1, 5, 1, nullptr, nullptr, 0) == PYDARTS_OK);
  const ImageBatch batch{2, 3, 3};
  std::size_t bytes = 0;
  CHECK(operation.workspace_size(batch, false, &bytes) == PYDARTS_OK);
  Workspace workspace(bytes);
  std::vector<float> values(90), to(90);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = float(number(i));
  CHECK(operation.forward(batch, values.data(), nullptr, nullptr, to.data(), workspace.at, bytes) == PYDARTS_OK);
  CHECK(to == values);
  MixedOperation<float> moved(static_cast<MixedOperation<float>&&>(operation));
  CHECK(operation.num_alphas() == 0 && moved.num_alphas() == 1);
}

void tensors_have_names() {
  MixedOperation<float> operation;
  CHECK(operation.create(kAll, kCount, 4, 2, nullptr, nullptr, 0) == PYDARTS_OK);
  std::size_t end = 0;
  for (std::size_t i = 0; i < operation.num_tensors(); ++i) {
    pydarts_tensor tensor;
    tensor.size = sizeof tensor;
    CHECK(operation.tensor(i, &tensor) == PYDARTS_OK);
    CHECK(tensor.offset == end && tensor.ndim == 4);
    end += tensor.count;
    if (i == 0)
      CHECK(std::string(tensor.name) == "_ops.3.conv_1.weight" && tensor.shape[0] == 2 && tensor.shape[1] == 4);
  }
  CHECK(end == operation.num_weights() && end > 0);
}

void bad_calls_are_told_apart() {
  MixedOperation<float> operation;
  float x[16] = {}, y[16], alpha = 0;
  std::size_t bytes = 0;
  CHECK(operation.workspace_size({1, 4, 4}, true, &bytes) == PYDARTS_INVALID_ARGUMENT);
  CHECK(std::string(operation.error()) == "the handle is null");
  char message[128] = "";
  const char* names[] = {"sep_conv_3x3", "conv_9x9"};
  CHECK(operation.create(names, 2, 1, 1, nullptr, message, sizeof message) == PYDARTS_INVALID_ARGUMENT);
  CHECK(std::string(message) == "unknown operation 'conv_9x9'");
  const char* described[] = {R"({"name": "own", "stages": ["relu", {"conv": 2}]})",
                             R"({"name": "own", "stages": [{"conv": 99}]})"};
  CHECK(operation.create(described, 1, 1, 2, nullptr, message, sizeof message) == PYDARTS_OK);
  CHECK(operation.num_weights() == 4);
  CHECK(operation.create(described, 2, 1, 2, nullptr, message, sizeof message) == PYDARTS_INVALID_ARGUMENT);
  CHECK(std::string(message) == "operation 'own': stage 0: `conv` (=99) must be an integer in 1..63");
  CHECK(operation.create(names, 1, 1, 3, nullptr, message, sizeof message) == PYDARTS_INVALID_ARGUMENT);
  CHECK(std::string(message) == "`stride` (=3) must be 1 or 2");
  pydarts_runtime two = {sizeof two};
  pydarts_runtime_defaults(&two);
  two.ranks = 2;
  const std::string alone = "`runtime->ranks` (=2) must be 0 or 1: one process computes this";
  CHECK(operation.create(names, 1, 1, 1, &two, message, sizeof message) == PYDARTS_INVALID_ARGUMENT);
  CHECK(message == alone);
  auto gradient = [](const double*, double*) { return 0; };
  const double one = 1;
  double product;
  CHECK(pydarts::hessian_vector_product(gradient, &one, &one, 1, 1, 1e-4, &product, &two, message, sizeof message) ==
        PYDARTS_INVALID_ARGUMENT);
  CHECK(message == alone);
  CHECK(operation.create(names, 1, 1, 1, nullptr, message, sizeof message) == PYDARTS_OK);
  CHECK(operation.workspace_size({0, 4, 4}, true, &bytes) == PYDARTS_INVALID_ARGUMENT);
  CHECK(std::string(operation.error()) == "`samples` (=0) must lie in 1..16777216");
  CHECK(operation.workspace_size({1, 4, 4}, false, &bytes) == PYDARTS_OK && std::string(operation.error()).empty());
  Workspace workspace(bytes);
  std::vector<float> weights(operation.num_weights());
  CHECK(operation.forward({1, 4, 4}, x, weights.data(), &alpha, y, workspace.at, bytes - 4) ==
        PYDARTS_INVALID_ARGUMENT);
  CHECK(std::string(operation.error()).find("`workspace` has ") == 0);
  CHECK(operation.forward({1, 4, 4}, nullptr, weights.data(), &alpha, y, workspace.at, bytes) ==
        PYDARTS_INVALID_ARGUMENT);
  CHECK(std::string(operation.error()) == "`images` is null");
}

void memory_is_asked_for_once() {
  pydarts_runtime runtime;
  runtime.size = sizeof runtime;
  CHECK(pydarts_runtime_defaults(&runtime) == PYDARTS_OK);
  runtime.threads = 2;
  runtime.user = &hooked;
  runtime.allocate = [](void* at, std::size_t bytes, std::size_t alignment) {
    return static_cast<Allocations*>(at)->take(bytes, alignment);
  };
  runtime.release = [](void* at, void* memory, std::size_t) { static_cast<Allocations*>(at)->give_back(memory); };
  for (Allocations* from : {&heap, &hooked}) {
    const long long live = heap.live, live_hooked = hooked.live;
    pydarts_status status = PYDARTS_OUT_OF_MEMORY;
    for (int n = 0; status != PYDARTS_OK; ++n) {
      MixedOperation<float> operation;
      from->fail_at = n;
      status = operation.create(kAll, kCount, 3, 1, &runtime, nullptr, 0);
      CHECK(status == PYDARTS_OUT_OF_MEMORY ? from->fail_at == -1 : status == PYDARTS_OK && n > 0);
      from->fail_at = -1;
      if (status != PYDARTS_OK) CHECK(heap.live == live && hooked.live == live_hooked);
    }
    CHECK(heap.live == live && hooked.live == live_hooked);
  }
  MixedOperation<float> operation;
  CHECK(operation.create(kAll, kCount, 3, 1, &runtime, nullptr, 0) == PYDARTS_OK);
  const ImageBatch batch{5, 6, 6};
  std::size_t bytes = 0;
  CHECK(operation.workspace_size(batch, true, &bytes) == PYDARTS_OK);
  const Workspace workspace(bytes);
  std::vector<float> x(5 * 3 * 36, 0.5f), y(x.size()), weights(operation.num_weights()), dw(weights.size());
  const float alphas[kCount] = {};
  long long made = 0, made_hooked = 0;
  for (int i = 0; i < 2; ++i) {
    made = heap.made;
    made_hooked = hooked.made;
    CHECK(operation.forward(batch, x.data(), weights.data(), alphas, y.data(), workspace.at, bytes) == PYDARTS_OK);
    CHECK(operation.backward(batch, x.data(), weights.data(), alphas, y.data(), nullptr, dw.data(), nullptr,
                             workspace.at, bytes) == PYDARTS_OK);
  }
  CHECK(heap.made == made && hooked.made == made_hooked);
}

// f(w) = sum of w_i^4 / 4 + (sum of w)^2 / 2
void a_hessian_vector_product_is_one() {
  const std::vector<double> w = {0.5, -1, 2}, v = {1, 0.25, -0.5};
  int calls = 0;
  auto gradient = [&](const double* at, double* out) {
    const double sum = at[0] + at[1] + at[2];
    for (int i = 0; i < 3; ++i) out[i] = at[i] * at[i] * at[i] + sum;
    return ++calls > 2;  // stops the third
  };
  std::vector<double> out(3);
  CHECK(pydarts::hessian_vector_product(gradient, w.data(), v.data(), 3, 3, 1e-4, out.data()) == PYDARTS_OK);
  for (int i = 0; i < 3; ++i) CHECK(std::fabs(out[i] - (3 * w[i] * w[i] * v[i] + 0.75)) < 1e-6);
  CHECK(calls == 2);
  char message[64] = "";
  CHECK(pydarts::hessian_vector_product(gradient, w.data(), v.data(), 3, 3, 1e-4, out.data(), nullptr, message,
                                        sizeof message) == PYDARTS_CANCELLED);
  const std::vector<double> zero(3);
  CHECK(pydarts::hessian_vector_product(gradient, w.data(), zero.data(), 3, 3, 1e-4, out.data()) == PYDARTS_NOT_FINITE);
}

}  // namespace

int main() {
  for (int stride : {1, 2}) {
    for (std::size_t i = 1; i < kCount; ++i) check_gradients(kAll + i, 1, stride, 1);
    check_gradients(kAll, kCount, stride, 2);
  }
  a_skip_is_the_identity();
  tensors_have_names();
  bad_calls_are_told_apart();
  memory_is_asked_for_once();
  a_hessian_vector_product_is_one();
  return checked();
}

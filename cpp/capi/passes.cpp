// SPDX-License-Identifier: MIT
// Passes of the C API: normalisation, logits, gradients, workspace.
#include <algorithm>
#include <cmath>
#include <vector>

#include "capi/handles.hpp"
#include "network/limits.hpp"

using namespace pydarts;

namespace {

const pydarts_batch kBatch = {sizeof(pydarts_batch)};

// `pixels` may be `out`.
template <class Pixel>
void normalize(const pydarts_network& network, int samples, int channels, int height, int width, const Pixel* pixels,
               float* out) {
  require(network.model.has_value(), "`network` is not of a model, so it has no normalisation");
  require(pixels, "`pixels` is null");
  require(out, "`out` is null");
  const Graph& graph = network.engine().graph();
  check_images(graph, samples, channels, height, width);
  const std::size_t plane = std::size_t(height) * width;
  for (int n = 0; n < samples; ++n)
    for (int c = 0; c < channels; ++c) {
      const float mean = network.model->mean[c], deviation = network.model->deviation[c];
      const std::size_t first = (std::size_t(n) * channels + c) * plane;
      for (std::size_t i = first; i < first + plane; ++i) out[i] = (float(pixels[i]) - mean) / deviation;
    }
}

// `z` becomes what it says.
void predict(const LossFunction& loss, const Description* model, int classes, double* z) {
  switch (loss.kind) {
    case LossKind::softmax: {
      const double largest = *std::max_element(z, z + classes);
      double total = 0;
      for (int k = 0; k < classes; ++k) total += z[k] = std::exp(z[k] - largest);
      for (int k = 0; k < classes; ++k) z[k] /= total;
      return;
    }
    case LossKind::sigmoid:
      for (int k = 0; k < classes; ++k) {
        const double small = std::exp(-std::fabs(z[k]));  // cannot overflow
        z[k] = (z[k] >= 0 ? 1 : small) / (1 + small);
      }
      return;
    case LossKind::squared:
    case LossKind::huber:
      for (int k = 0; k < classes && model; ++k) z[k] = z[k] * model->target_deviation[k] + model->target_mean[k];
  }
}

}  // namespace

namespace pydarts {

Batch<float> images_of(const pydarts_network& network, const pydarts_batch* batch, const char* name) {
  const pydarts_batch b = known(batch, name, kBatch);
  require(b.images, "`", name, "->images` is null");
  check_images(network.engine().graph(), b.samples, b.channels, b.height, b.width);
  return {b.images, nullptr, b.samples, b.height, b.width};
}

Mixture<float> mixture_of(const pydarts_network& network, const pydarts_batch* batch, const char* name) {
  const pydarts_batch b = known(batch, name, kBatch);
  if (!b.mixing) {
    require(!b.active && b.num_mixing == 0, "`", name, "->mixing` is null, but not `active` or `num_mixing`");
    return {};
  }
  const std::size_t alphas = network.engine().graph().num_alphas;
  require(alphas > 0, "`", name, "->mixing` must be null: the network is no supernet");
  require_array(b.mixing, b.num_mixing, alphas, "mixing");
  check_mixing(b.mixing, alphas);
  return {b.mixing, b.active};
}

LabelledBatch labelled(const pydarts_network& network, const pydarts_batch* batch, const char* name) {
  const pydarts_batch b = known(batch, name, kBatch);
  const Graph& graph = network.engine().graph();
  LabelledBatch result{images_of(network, batch, name), b.drop, mixture_of(network, batch, name)};
  if (b.targets) {
    check_targets(graph, b.targets, b.samples);
    result.images.targets = b.targets;
  } else {
    require(b.labels, "`", name, "->labels` is null");
    check_labels(graph, b.labels, b.samples);
    result.images.labels = b.labels;
  }
  if (b.sample_weights) check_sample_weights(b.sample_weights, b.samples);
  result.images.sample_weights = b.sample_weights;
  if (b.drop || b.num_drop) require_array(b.drop, b.num_drop, std::size_t(graph.droppables) * b.samples, "drop");
  return result;
}

}  // namespace pydarts

pydarts_status pydarts_batch_defaults(pydarts_batch* batch) {
  return guarded(nullptr, 0, [&] { fill(batch, "batch", kBatch); });
}

pydarts_status pydarts_normalize_u8(const pydarts_network* network, int32_t samples, int32_t channels, int32_t height,
                                    int32_t width, const uint8_t* pixels, float* out) {
  return Border::cross(network, [&] { normalize(*network, samples, channels, height, width, pixels, out); });
}

pydarts_status pydarts_normalize_f32(const pydarts_network* network, int32_t samples, int32_t channels, int32_t height,
                                     int32_t width, const float* pixels, float* out) {
  return Border::cross(network, [&] { normalize(*network, samples, channels, height, width, pixels, out); });
}

pydarts_status pydarts_logits(pydarts_network* network, const pydarts_batch* batch, int32_t training, float* logits,
                              size_t count) {
  return Border::cross(network, [&] {
    const Batch<float> images = images_of(*network, batch, "batch");
    require(training == 0 || training == 1, "`training` (=", training, ") must be 0 or 1");
    require_array(logits, count, std::size_t(images.samples) * network->engine().graph().classes, "logits");
    network->engine().logits(images, training == 1, logits, mixture_of(*network, batch, "batch"));
  });
}

pydarts_status pydarts_predictions(const pydarts_network* network, const float* logits, size_t count,
                                   float* predictions) {
  return Border::cross(network, [&] {
    const Graph& graph = network->engine().graph();
    const std::size_t classes = std::size_t(graph.classes);
    require(logits, "`logits` is null");
    require(predictions, "`predictions` is null");
    require(count % classes == 0, "`count` (=", count, ") is no multiple of ", classes, ", the outputs of a sample");
    std::vector<double> row(classes);
    for (std::size_t first = 0; first < count; first += classes) {
      std::copy_n(logits + first, classes, row.begin());
      predict(graph.loss, network->model ? &*network->model : nullptr, int(classes), row.data());
      for (std::size_t k = 0; k < classes; ++k) predictions[first + k] = float(row[k]);
    }
  });
}

pydarts_status pydarts_gradients(pydarts_network* network, const pydarts_batch* batch, float* d_weights,
                                 size_t num_weights, float* d_alphas, size_t num_alphas, pydarts_loss* loss) {
  return Border::cross(network, [&] {
    Network<float>& engine = network->engine();
    const LabelledBatch labelled_batch = labelled(*network, batch, "batch");
    require_array(d_weights, num_weights, d_weights ? engine.graph().num_weights : 0, "d_weights");
    require_array(d_alphas, num_alphas, d_alphas ? engine.graph().num_alphas : 0, "d_alphas");
    pydarts_loss result = {};
    if (loss) known(loss, "loss", result);
    const Loss found = engine.evaluate(labelled_batch.images, engine.weights().data(), d_weights, d_alphas,
                                       labelled_batch.drop, labelled_batch.mixture);
    result.value = found.value;
    result.correct = found.correct;
    if (loss) fill(loss, "loss", result);
  });
}

pydarts_status pydarts_workspace_size(const pydarts_network* network, int32_t samples, int32_t height, int32_t width,
                                      int32_t backward, size_t* bytes) {
  return Border::cross(network, [&] {
    const Graph& graph = network->engine().graph();
    check_images(graph, samples, graph.in_channels, height, width);
    require(backward == 0 || backward == 1, "`backward` (=", backward, ") must be 0 or 1");
    require(bytes, "`bytes` is null");
    *bytes = network->engine().memory(samples, height, width, backward == 1).workspace;
  });
}

pydarts_status pydarts_workspace_set(pydarts_network* network, void* memory, size_t bytes) {
  return Border::cross(network, [&] {
    require(memory || bytes == 0, "`memory` is null, but `bytes` is ", bytes);
    network->engine().use_workspace(memory, bytes);
  });
}

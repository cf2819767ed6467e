// SPDX-License-Identifier: MIT
// Search and training steps of the C API, and the Hessian-vector product.
#include <cmath>
#include <memory>

#include "bilevel/network_oracle.hpp"
#include "capi/handles.hpp"
#include "pydarts/bilevel.hpp"

using namespace pydarts;

namespace {

const pydarts_optimizer_options kOptions = {
    sizeof(pydarts_optimizer_options), 2, 0.9, 3e-4, 5, 3e-4, 0.5, 0.999, 1e-3, 0.01, 0, 0, 0, 0, 0, 0.0, 0.0};
// Those of the original over text
const pydarts_optimizer_options kTextOptions = {
    sizeof(pydarts_optimizer_options), 2, 0, 5e-7, 0.25, 3e-3, 0.9, 0.999, 1e-3, 0.01, 0, 0, 0, 0, 0, 0.0, 1e-3};

void require_positive(double value, const char* name) {
  require(value > 0 && std::isfinite(value), "`", name, "` (=", value, ") must be positive and finite");
}

void check(const pydarts_optimizer_options& o) {
  require(o.order == 1 || o.order == 2, "`options->order` (=", o.order, ") must be 1 or 2");
  require_at_least_0(o.momentum, "options->momentum");
  require_at_least_0(o.weight_decay, "options->weight_decay");
  require_positive(o.clip, "options->clip");
  require_at_least_0(o.alpha_lr, "options->alpha_lr");
  for (double beta : {o.alpha_beta1, o.alpha_beta2})
    require(beta >= 0 && beta < 1, "`options->alpha_beta1`, `options->alpha_beta2` (=", beta, ") must lie in [0, 1)");
  require_at_least_0(o.alpha_weight_decay, "options->alpha_weight_decay");
  require_positive(o.epsilon, "options->epsilon");
  for (std::int32_t flag : {o.forward_difference, o.reuse_gradient})
    require(flag == 0 || flag == 1, "`options->forward_difference`, `options->reuse_gradient` (=", flag,
            ") must be 0 or 1");
  for (std::int32_t flag : {o.capped_clip, o.unmoved_embedding, o.shared_masks})
    require(flag == 0 || flag == 1,
            "`options->capped_clip`, `options->unmoved_embedding`, `options->shared_masks` (=", flag,
            ") must be 0 or 1");
  require_at_least_0(o.ar, "options->ar");
  require_at_least_0(o.tar, "options->tar");
  require(!o.reuse_gradient || o.order == 2, "`options->reuse_gradient` (=1) needs `options->order` (=1) to be 2");
}

SearchBatches<float> search_batches(const pydarts_network& network, const pydarts_batch* train,
                                    const pydarts_batch* valid) {
  require(network.engine().graph().num_alphas > 0, "`network` is no supernet: it has no alphas");
  const LabelledBatch batches[] = {labelled(network, train, "train"), labelled(network, valid, "valid")};
  require(!batches[0].mixture.weights && !batches[1].mixture.weights,
          "`train->mixing`, `valid->mixing` must be null: a search step learns the alphas");
  return {batches[0].images, batches[1].images};
}

void require_no_text_options(const pydarts_optimizer_options& o) {
  require(!o.capped_clip && !o.unmoved_embedding && !o.shared_masks && o.ar == 0 && o.tar == 0,
          "`options->capped_clip`, `unmoved_embedding`, `shared_masks`, `ar`, `tar` (=", o.capped_clip, ", ",
          o.unmoved_embedding, ", ", o.shared_masks, ", ", o.ar, ", ", o.tar, ") are for networks over text");
}

}  // namespace

namespace pydarts {

void require_at_least_0(double value, const char* name) {
  require(value >= 0 && std::isfinite(value), "`", name, "` (=", value, ") must be at least 0 and finite");
}

Pair::Pair(pydarts_optimizer& optimizer, pydarts_network* network) : use_(network, "network") {
  const std::size_t weights = optimizer.step.weights().buffer.size(), alphas = optimizer.step.adam().first.size();
  const std::size_t own = network->values(PYDARTS_WEIGHTS).size(), own_alphas = network->values(PYDARTS_ALPHAS).size();
  require(own == weights && own_alphas == alphas, "`network` has ", own, " weights and ", own_alphas,
          " alphas; the optimizer is for ", weights, " and ", alphas);
  const char* kinds[] = {"images", "text"};
  const bool of_text = network->text.has_value();
  require(of_text == optimizer.of_text, "`network` is over ", kinds[of_text], "; the optimizer is for one over ",
          kinds[optimizer.of_text]);
}

}  // namespace pydarts

pydarts_status pydarts_text_optimizer_options_defaults(pydarts_optimizer_options* options) {
  return guarded(nullptr, 0, [&] { fill(options, "options", kTextOptions); });
}

pydarts_status pydarts_optimizer_options_defaults(pydarts_optimizer_options* options) {
  return guarded(nullptr, 0, [&] { fill(options, "options", kOptions); });
}

pydarts_status pydarts_optimizer_create(const pydarts_network* network, const pydarts_optimizer_options* options,
                                        pydarts_optimizer** optimizer, char* message, size_t message_size) {
  if (optimizer) *optimizer = nullptr;
  return guarded(message, message_size, [&] {
    require(optimizer, "`optimizer` is null");
    const Border::Use use(network, "network");
    const pydarts_optimizer_options o = known(options, "options", kOptions);
    check(o);
    UnrolledStep unrolled;
    unrolled.order = o.order;
    unrolled.momentum = o.momentum;
    unrolled.weight_decay = o.weight_decay;
    unrolled.epsilon = o.epsilon;
    unrolled.difference = o.forward_difference ? Difference::forward : Difference::central;
    const bool of_text = network->text.has_value();
    if (of_text) {
      unrolled.clip = o.clip;
      unrolled.capped = o.capped_clip == 1;
      unrolled.fixed = o.unmoved_embedding ? network->recurrent().parameters()[0].size : 0;
    } else {
      require_no_text_options(o);
    }
    const MemoryHooks& memory = network->environment.memory;
    const Vector<float> zeros(network->values(PYDARTS_ALPHAS).size(), memory);
    auto made = std::make_unique<pydarts_optimizer>(
        unrolled, o.reuse_gradient == 1,
        WeightStep<float>(o.momentum, o.weight_decay, o.clip, network->values(PYDARTS_WEIGHTS).size(), memory),
        Adam<float>{o.alpha_lr, o.alpha_beta1, o.alpha_beta2, o.alpha_weight_decay, zeros, zeros, 0}, memory);
    made->of_text = of_text;
    made->regularisation = {o.ar, o.tar};
    made->shared_masks = o.shared_masks == 1;
    *optimizer = made.release();
  });
}

pydarts_status pydarts_optimizer_destroy(pydarts_optimizer* optimizer) { return Border::destroy(optimizer); }

const char* pydarts_optimizer_error(const pydarts_optimizer* optimizer) {
  return optimizer ? optimizer->message() : kNoHandle;
}

pydarts_status pydarts_arch_gradient(pydarts_optimizer* optimizer, pydarts_network* network, const pydarts_batch* train,
                                     const pydarts_batch* valid, double lr, float* d_alphas, size_t num_alphas) {
  return Border::cross(optimizer, [&] {
    const Pair pair(*optimizer, network);
    Network<float>& engine = network->engine();
    const SearchBatches<float> batches = search_batches(*network, train, valid);
    require_at_least_0(lr, "lr");
    require_array(d_alphas, num_alphas, engine.graph().num_alphas, "d_alphas");
    optimizer->step.gradient(oracle_of(engine, batches), engine.weights().data(), lr, d_alphas);
  });
}

pydarts_status pydarts_search_step(pydarts_optimizer* optimizer, pydarts_network* network, const pydarts_batch* train,
                                   const pydarts_batch* valid, double lr, pydarts_step_info* info) {
  return Border::cross(optimizer, [&] {
    const Pair pair(*optimizer, network);
    Network<float>& engine = network->engine();
    const SearchBatches<float> batches = search_batches(*network, train, valid);
    require_at_least_0(lr, "lr");
    pydarts_step_info result = {};
    if (info) known(info, "info", result);
    const auto seen = optimizer->step(oracle_of(engine, batches), engine.weights().data(), engine.alphas().data(), lr);
    engine.update_running();
    result = {0,
              seen.train.value,
              seen.valid.value,
              seen.train.correct,
              seen.valid.correct,
              seen.gradient_norm,
              seen.alpha_gradient_norm};
    if (info) fill(info, "info", result);
  });
}

pydarts_status pydarts_weight_step(pydarts_optimizer* optimizer, pydarts_network* network, const pydarts_batch* batch,
                                   double lr, pydarts_step_info* info) {
  return Border::cross(optimizer, [&] {
    const Pair pair(*optimizer, network);
    Network<float>& engine = network->engine();
    const LabelledBatch train = labelled(*network, batch, "batch");
    const SearchBatches<float> batches{train.images, train.images, train.drop, train.mixture};
    require_at_least_0(lr, "lr");
    pydarts_step_info result = {};
    if (info) known(info, "info", result);
    const Loss loss =
        optimizer->step.weights()(oracle_of(engine, batches), engine.weights().data(), lr, &result.gradient_norm);
    engine.update_running();
    result.train_loss = loss.value;
    result.train_correct = loss.correct;
    if (info) fill(info, "info", result);
  });
}

pydarts_status pydarts_hessian_vector_product(pydarts_gradient gradient, void* user, const double* w, const double* v,
                                              size_t n, size_t m, double epsilon, double* out, char* message,
                                              size_t message_size) {
  const pydarts_runtime runtime = {sizeof runtime, 1};
  return hessian_vector_product<double>(gradient, user, w, v, n, m, epsilon, out, &runtime, message, message_size);
}

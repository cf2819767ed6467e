/* SPDX-License-Identifier: MIT */
/* What programs were compiled with that know revision 0 of ABI 1: every member where it was, every enumerator and every
   function as it was. What changes one of them must raise PYDARTS_ABI; what is added belongs at the end. */
#include "pydarts.h"

#if PYDARTS_ABI == 1

#if UINTPTR_MAX == 0xffffffffffffffffu
#define AT(name, member, offset, bytes)                                                        \
  typedef char name##_##member##_is_where_it_was[offsetof(name, member) == (offset) ? 1 : -1]; \
  typedef char name##_##member##_is_as_large[sizeof(((name*)0)->member) == (bytes) ? 1 : -1];
AT(pydarts_runtime, size, 0, 8)
AT(pydarts_runtime, threads, 8, 4)
AT(pydarts_runtime, user, 16, 8)
AT(pydarts_runtime, allocate, 24, 8)
AT(pydarts_runtime, release, 32, 8)
AT(pydarts_runtime, parallel_for, 40, 8)
AT(pydarts_runtime, log, 48, 8)
AT(pydarts_runtime, cancel, 56, 8)
AT(pydarts_network_options, size, 0, 8)
AT(pydarts_network_options, channels, 8, 4)
AT(pydarts_network_options, cells, 12, 4)
AT(pydarts_network_options, classes, 16, 4)
AT(pydarts_network_options, in_channels, 20, 4)
AT(pydarts_network_options, seed, 24, 8)
AT(pydarts_network_options, recompute, 32, 4)
AT(pydarts_network_options, auxiliary, 36, 4)
AT(pydarts_network_options, auxiliary_weight, 40, 8)
AT(pydarts_network_options, space, 48, 8)
AT(pydarts_network_options, space_size, 56, 8)
AT(pydarts_network_options, imagenet_stem, 64, 4)
AT(pydarts_network_options, auxiliary_skip, 68, 4)
AT(pydarts_network_options, partial_channels, 72, 4)
AT(pydarts_network_options, huber_delta, 80, 8)
AT(pydarts_network_options, loss, 88, 4)
AT(pydarts_network_info, size, 0, 8)
AT(pydarts_network_info, num_weights, 8, 8)
AT(pydarts_network_info, num_alphas, 16, 8)
AT(pydarts_network_info, num_running, 24, 8)
AT(pydarts_network_info, num_tensors, 32, 8)
AT(pydarts_network_info, classes, 40, 4)
AT(pydarts_network_info, in_channels, 44, 4)
AT(pydarts_network_info, threads, 48, 4)
AT(pydarts_network_info, num_droppable, 52, 4)
AT(pydarts_network_info, normalization, 56, 4)
AT(pydarts_network_info, image_height, 60, 4)
AT(pydarts_network_info, image_width, 64, 4)
AT(pydarts_network_info, instruction_set, 72, 8)
AT(pydarts_network_info, loss, 80, 4)
AT(pydarts_tensor, size, 0, 8)
AT(pydarts_tensor, name, 8, 8)
AT(pydarts_tensor, kind, 16, 4)
AT(pydarts_tensor, offset, 24, 8)
AT(pydarts_tensor, count, 32, 8)
AT(pydarts_tensor, ndim, 40, 4)
AT(pydarts_tensor, shape, 44, 16)
AT(pydarts_batch, size, 0, 8)
AT(pydarts_batch, samples, 8, 4)
AT(pydarts_batch, channels, 12, 4)
AT(pydarts_batch, height, 16, 4)
AT(pydarts_batch, width, 20, 4)
AT(pydarts_batch, images, 24, 8)
AT(pydarts_batch, labels, 32, 8)
AT(pydarts_batch, drop, 40, 8)
AT(pydarts_batch, num_drop, 48, 8)
AT(pydarts_batch, targets, 56, 8)
AT(pydarts_batch, mixing, 64, 8)
AT(pydarts_batch, active, 72, 8)
AT(pydarts_batch, num_mixing, 80, 8)
AT(pydarts_batch, sample_weights, 88, 8)
AT(pydarts_loss, size, 0, 8)
AT(pydarts_loss, value, 8, 8)
AT(pydarts_loss, correct, 16, 4)
AT(pydarts_optimizer_options, size, 0, 8)
AT(pydarts_optimizer_options, order, 8, 4)
AT(pydarts_optimizer_options, momentum, 16, 8)
AT(pydarts_optimizer_options, weight_decay, 24, 8)
AT(pydarts_optimizer_options, clip, 32, 8)
AT(pydarts_optimizer_options, alpha_lr, 40, 8)
AT(pydarts_optimizer_options, alpha_beta1, 48, 8)
AT(pydarts_optimizer_options, alpha_beta2, 56, 8)
AT(pydarts_optimizer_options, alpha_weight_decay, 64, 8)
AT(pydarts_optimizer_options, epsilon, 72, 8)
AT(pydarts_optimizer_options, forward_difference, 80, 4)
AT(pydarts_optimizer_options, reuse_gradient, 84, 4)
AT(pydarts_optimizer_options, capped_clip, 88, 4)
AT(pydarts_optimizer_options, unmoved_embedding, 92, 4)
AT(pydarts_optimizer_options, shared_masks, 96, 4)
AT(pydarts_optimizer_options, ar, 104, 8)
AT(pydarts_optimizer_options, tar, 112, 8)
AT(pydarts_step_info, size, 0, 8)
AT(pydarts_step_info, train_loss, 8, 8)
AT(pydarts_step_info, valid_loss, 16, 8)
AT(pydarts_step_info, train_correct, 24, 4)
AT(pydarts_step_info, valid_correct, 28, 4)
AT(pydarts_step_info, gradient_norm, 32, 8)
AT(pydarts_step_info, alpha_gradient_norm, 40, 8)
AT(pydarts_text_options, size, 0, 8)
AT(pydarts_text_options, vocab_size, 8, 4)
AT(pydarts_text_options, hidden_size, 12, 4)
AT(pydarts_text_options, seed, 16, 8)
AT(pydarts_text_options, dropout, 24, 8)
AT(pydarts_text_options, dropout_hidden, 32, 8)
AT(pydarts_text_options, dropout_input, 40, 8)
AT(pydarts_text_options, dropout_embedding, 48, 8)
AT(pydarts_text_options, vocabulary, 56, 8)
AT(pydarts_text_options, vocabulary_length, 64, 8)
AT(pydarts_segment, size, 0, 8)
AT(pydarts_segment, length, 8, 4)
AT(pydarts_segment, batch, 12, 4)
AT(pydarts_segment, x, 16, 8)
AT(pydarts_segment, y, 24, 8)
AT(pydarts_segment, hidden, 32, 8)
AT(pydarts_segment, hidden_after, 40, 8)
AT(pydarts_segment, output_mask, 48, 8)
AT(pydarts_segment, hidden_mask, 56, 8)
AT(pydarts_segment, input_mask, 64, 8)
AT(pydarts_segment, embedding_mask, 72, 8)
AT(pydarts_segment, mixing, 80, 8)
AT(pydarts_segment, num_mixing, 88, 8)
#endif

#define IS(name, value) typedef char name##_is_what_it_was[name == (value) ? 1 : -1];
IS(PYDARTS_OK, 0)
IS(PYDARTS_INVALID_ARGUMENT, 1)
IS(PYDARTS_OUT_OF_MEMORY, 2)
IS(PYDARTS_NOT_FINITE, 3)
IS(PYDARTS_CANCELLED, 4)
IS(PYDARTS_BAD_FILE, 5)
IS(PYDARTS_TOO_SMALL, 6)
IS(PYDARTS_BUSY, 7)
IS(PYDARTS_INTERNAL, 8)
IS(PYDARTS_CROSS_ENTROPY, 0)
IS(PYDARTS_SIGMOID, 1)
IS(PYDARTS_MSE, 2)
IS(PYDARTS_HUBER, 3)
IS(PYDARTS_WEIGHTS, 0)
IS(PYDARTS_ALPHAS, 1)
IS(PYDARTS_RUNNING, 2)

/* A declaration that is not compatible with the header's is an error. */
int32_t pydarts_abi(void);
const char* pydarts_version(void);
const char* pydarts_status_text(pydarts_status status);
pydarts_status pydarts_runtime_defaults(pydarts_runtime* runtime);
pydarts_status pydarts_network_options_defaults(pydarts_network_options* options);
pydarts_status pydarts_supernet_create(const pydarts_network_options* options, const pydarts_runtime* runtime,
                                       pydarts_network** network, char* message, size_t message_size);
pydarts_status pydarts_derived_create(const char* genotype, size_t genotype_size,
                                      const pydarts_network_options* options, const pydarts_runtime* runtime,
                                      pydarts_network** network, char* message, size_t message_size);
pydarts_status pydarts_model_load(const char* folder, const pydarts_runtime* runtime, pydarts_network** network,
                                  char* message, size_t message_size);
pydarts_status pydarts_model_read(const void* description, size_t description_size, const void* weights,
                                  size_t weights_size, const pydarts_runtime* runtime, pydarts_network** network,
                                  char* message, size_t message_size);
pydarts_status pydarts_network_destroy(pydarts_network* network);
const char* pydarts_network_error(const pydarts_network* network);
pydarts_status pydarts_network_get_info(const pydarts_network* network, pydarts_network_info* info);
pydarts_status pydarts_network_tensor(const pydarts_network* network, size_t index, pydarts_tensor* tensor);
pydarts_status pydarts_network_get(const pydarts_network* network, pydarts_kind kind, float* values, size_t count);
pydarts_status pydarts_network_set(pydarts_network* network, pydarts_kind kind, const float* values, size_t count);
pydarts_status pydarts_network_stream(const pydarts_network* network, uint64_t* stream);
pydarts_status pydarts_network_set_stream(pydarts_network* network, uint64_t stream);
pydarts_status pydarts_network_set_skip_weight(pydarts_network* network, double weight);
pydarts_status pydarts_network_load(pydarts_network* network, const char* path);
pydarts_status pydarts_network_read(pydarts_network* network, const void* file, size_t file_size);
pydarts_status pydarts_network_save(pydarts_network* network, const char* path);
pydarts_status pydarts_network_genotype(const pydarts_network* network, char* buffer, size_t capacity, size_t* needed);
pydarts_status pydarts_network_label(const pydarts_network* network, int32_t index, char* buffer, size_t capacity,
                                     size_t* needed);
pydarts_status pydarts_batch_defaults(pydarts_batch* batch);
pydarts_status pydarts_normalize_u8(const pydarts_network* network, int32_t samples, int32_t channels, int32_t height,
                                    int32_t width, const uint8_t* pixels, float* out);
pydarts_status pydarts_normalize_f32(const pydarts_network* network, int32_t samples, int32_t channels, int32_t height,
                                     int32_t width, const float* pixels, float* out);
pydarts_status pydarts_logits(pydarts_network* network, const pydarts_batch* batch, int32_t training, float* logits,
                              size_t count);
pydarts_status pydarts_predictions(const pydarts_network* network, const float* logits, size_t count,
                                   float* predictions);
pydarts_status pydarts_gradients(pydarts_network* network, const pydarts_batch* batch, float* d_weights,
                                 size_t num_weights, float* d_alphas, size_t num_alphas, pydarts_loss* loss);
pydarts_status pydarts_workspace_size(const pydarts_network* network, int32_t samples, int32_t height, int32_t width,
                                      int32_t backward, size_t* bytes);
pydarts_status pydarts_workspace_set(pydarts_network* network, void* memory, size_t bytes);
pydarts_status pydarts_optimizer_options_defaults(pydarts_optimizer_options* options);
pydarts_status pydarts_text_optimizer_options_defaults(pydarts_optimizer_options* options);
pydarts_status pydarts_optimizer_create(const pydarts_network* network, const pydarts_optimizer_options* options,
                                        pydarts_optimizer** optimizer, char* message, size_t message_size);
pydarts_status pydarts_optimizer_destroy(pydarts_optimizer* optimizer);
const char* pydarts_optimizer_error(const pydarts_optimizer* optimizer);
pydarts_status pydarts_optimizer_save(pydarts_optimizer* optimizer, const char* path);
pydarts_status pydarts_optimizer_load(pydarts_optimizer* optimizer, const char* path);
pydarts_status pydarts_optimizer_write(pydarts_optimizer* optimizer, void* buffer, size_t capacity, size_t* needed);
pydarts_status pydarts_optimizer_read(pydarts_optimizer* optimizer, const void* file, size_t file_size);
pydarts_status pydarts_arch_gradient(pydarts_optimizer* optimizer, pydarts_network* network, const pydarts_batch* train,
                                     const pydarts_batch* valid, double lr, float* d_alphas, size_t num_alphas);
pydarts_status pydarts_search_step(pydarts_optimizer* optimizer, pydarts_network* network, const pydarts_batch* train,
                                   const pydarts_batch* valid, double lr, pydarts_step_info* info);
pydarts_status pydarts_weight_step(pydarts_optimizer* optimizer, pydarts_network* network, const pydarts_batch* batch,
                                   double lr, pydarts_step_info* info);
pydarts_status pydarts_text_options_defaults(pydarts_text_options* options);
pydarts_status pydarts_text_supernet_create(const pydarts_text_options* options, const pydarts_runtime* runtime,
                                            pydarts_network** network, char* message, size_t message_size);
pydarts_status pydarts_text_derived_create(const char* genotype, size_t genotype_size,
                                           const pydarts_text_options* options, const pydarts_runtime* runtime,
                                           pydarts_network** network, char* message, size_t message_size);
pydarts_status pydarts_text_model_load(const char* folder, const pydarts_runtime* runtime, pydarts_network** network,
                                       char* message, size_t message_size);
pydarts_status pydarts_text_model_read(const void* description, size_t description_size, const void* weights,
                                       size_t weights_size, const pydarts_runtime* runtime, pydarts_network** network,
                                       char* message, size_t message_size);
pydarts_status pydarts_text_model_save(const pydarts_network* network, const char* folder);
pydarts_status pydarts_segment_defaults(pydarts_segment* segment);
pydarts_status pydarts_text_gradients(pydarts_network* network, const pydarts_segment* segment, double ar, double tar,
                                      float* d_weights, size_t num_weights, float* d_alphas, size_t num_alphas,
                                      pydarts_loss* loss);
pydarts_status pydarts_text_evaluate(pydarts_network* network, const pydarts_segment* segment, pydarts_loss* loss);
pydarts_status pydarts_text_next(pydarts_network* network, int32_t batch, const int32_t* tokens, const float* hidden,
                                 float* hidden_after, float* probabilities, size_t count);
pydarts_status pydarts_text_memory(const pydarts_network* network, int32_t length, int32_t batch, int32_t backward,
                                   size_t* bytes);
pydarts_status pydarts_text_arch_gradient(pydarts_optimizer* optimizer, pydarts_network* network,
                                          const pydarts_segment* train, const pydarts_segment* valid, double lr,
                                          float* d_alphas, size_t num_alphas);
pydarts_status pydarts_text_search_step(pydarts_optimizer* optimizer, pydarts_network* network,
                                        const pydarts_segment* train, const pydarts_segment* valid, double lr,
                                        pydarts_step_info* info);
pydarts_status pydarts_text_weight_step(pydarts_optimizer* optimizer, pydarts_network* network,
                                        const pydarts_segment* segment, double lr, pydarts_step_info* info);
pydarts_status pydarts_hessian_vector_product(pydarts_gradient gradient, void* user, const double* w, const double* v,
                                              size_t n, size_t m, double epsilon, double* out, char* message,
                                              size_t message_size);

typedef void (*task_as_it_was)(const void* argument, int32_t task, int32_t thread);
typedef int (*gradient_as_it_was)(void* user, const double* w, double* out);
task_as_it_was header_abi_1_task(pydarts_task task);
gradient_as_it_was header_abi_1_gradient(pydarts_gradient gradient);
task_as_it_was header_abi_1_task(pydarts_task task) { return task; }
gradient_as_it_was header_abi_1_gradient(pydarts_gradient gradient) { return gradient; }

#endif

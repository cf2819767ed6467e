/* SPDX-License-Identifier: MIT */
/* pydarts for C99 and everything that calls C: search, training and inference of convolutional and recurrent cells.
 *
 * Arrays are dense and row-major, images NCHW: (samples, channels, height, width). Networks are float32, as their files
 * are: float64 serves verification, for which there are Python's networks and the operations of the C++ headers
 * (pydarts/). An array comes with its number of elements, or its shape, and no element beyond is touched.
 *
 * Ownership. The library owns what its handles point to, the caller everything else. No pointer of a call is kept, but
 * the functions and `user` of a pydarts_runtime, and the workspace.
 *
 * Errors. A function that can fail gives a status; the text of a handle's last call is asked from the handle, which is
 * the call's first argument. Functions that make a handle, or have none, write the text into `message`
 * (`message_size` bytes with the final NUL; may be null and 0). After any error weights, alphas and optimiser are as
 * before the call and the handle stays usable. Nothing aborts, prints or throws. Files are untrusted: sizes are
 * checked before memory is spent. INVALID_ARGUMENT may come from any function, OUT_OF_MEMORY and BUSY from any that
 * takes a handle, OUT_OF_MEMORY from any that makes one; further statuses are named with the function.
 *
 * Threads. There is no global state but the once-only choice of the instruction set. "Threads: any" at a function means
 * that any thread may call it at any time. "Threads: by handle" means that calls with different handles may run at the
 * same time, in whatever threads; a handle serves one call at a time, and a second one, also from a callback, gets
 * PYDARTS_BUSY. `const` handles count as used, too.
 *
 * Structs. Set `size` to sizeof, let the struct's _defaults function fill the rest, then change what you want. A struct
 * of an older header is understood; one of a newer header than the library is refused. Structs that are filled for
 * the caller want only `size`.
 *
 * Stable is what this header says, for as long as PYDARTS_ABI is the same. */
#ifndef PYDARTS_H
#define PYDARTS_H

#include <stddef.h>
#include <stdint.h>

#define PYDARTS_VERSION_MAJOR 0
#define PYDARTS_VERSION_MINOR 1
#define PYDARTS_VERSION_PATCH 0
/* Raised when programs of an older header would not run any more. */
#define PYDARTS_ABI 1
/* Raised when functions, enumerators or members are added: 1 added costs, limits and C files. */
#define PYDARTS_ABI_REVISION 1

/* PYDARTS_SHARED: set by the CMake target and the pkg-config file of the shared library. */
#if defined(PYDARTS_SHARED) && defined(_WIN32)
#ifdef PYDARTS_BUILDING
#define PYDARTS_API __declspec(dllexport)
#else
#define PYDARTS_API __declspec(dllimport)
#endif
#elif defined(PYDARTS_SHARED) && defined(__GNUC__)
#define PYDARTS_API __attribute__((visibility("default")))
#else
#define PYDARTS_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum pydarts_status {
  PYDARTS_OK = 0,
  PYDARTS_INVALID_ARGUMENT = 1, /* the text names the argument and its value */
  PYDARTS_OUT_OF_MEMORY = 2,
  PYDARTS_NOT_FINITE = 3, /* a loss or gradient is NaN or infinite; the text names the tensor */
  PYDARTS_CANCELLED = 4,  /* by a callback */
  PYDARTS_BAD_FILE = 5,   /* missing, damaged, or not of this network; the text names it */
  PYDARTS_TOO_SMALL = 6,  /* the buffer for a text */
  PYDARTS_BUSY = 7,       /* a call with this handle is under way; the handle's text is that call's */
  PYDARTS_INTERNAL = 8,   /* a defect of pydarts */
  PYDARTS_UNCONNECTED = 9 /* a function of the runtime that reaches other ranks failed */
} pydarts_status;

/* PYDARTS_ABI of the library, to be held against the header's: the same, or programs of the header cannot run.
   Threads: any. */
PYDARTS_API int32_t pydarts_abi(void);

/* PYDARTS_ABI_REVISION of the library: at least the header's, or functions of the header are missing. Not in libraries
   of revision 0. Threads: any. */
PYDARTS_API int32_t pydarts_abi_revision(void);

/* "0.1.0": static memory. Threads: any. */
PYDARTS_API const char* pydarts_version(void);

/* What a status means: static memory, never null. Threads: any. */
PYDARTS_API const char* pydarts_status_text(pydarts_status status);

/* ---- How to run -------------------------------------------------------------------------------------------------- */

typedef void (*pydarts_task)(const void* argument, int32_t task, int32_t thread);

/* The house rules of the caller. All functions may be null; they must not throw nor call back with the same handle. */
typedef struct pydarts_runtime {
  size_t size;
  int32_t threads; /* at most so many; default 0: OMP_NUM_THREADS, else all cores */
  void* user;      /* handed to every function */

  /* Memory of everything whose size grows with weights, batch or image: `bytes` on a multiple of `alignment`, or null
     if there is none. Both or neither; called by the thread that makes the call. What describes a network is small and
     comes from operator new. */
  void* (*allocate)(void* user, size_t bytes, size_t alignment);
  void (*release)(void* user, void* memory, size_t bytes);

  /* Calls run(argument, task, thread) once for each task in 0..tasks-1, in any order, and returns when all are done.
     `thread` is in 0..`threads`-1, and different in calls that run at the same time. Results do not depend on who runs
     what. Never nested. Null: threads of the engine. */
  void (*parallel_for)(void* user, int32_t tasks, pydarts_task run, const void* argument);

  /* A line of text without line end, for a person. Null: silence. */
  void (*log)(void* user, const char* text);

  /* Asked often, by the thread that makes the call: nonzero ends it with PYDARTS_CANCELLED. */
  int (*cancel)(void* user);

  /* Ranks: processes, or threads with networks of their own, that compute together. With `ranks` of more than 1 every
     pass is computed by all of them, each a part of the batch or, over text, of the hidden units, and gives each of
     them the result of one to the bit. All ranks make the same calls in the same order, with the same arguments; making
     a network is one, and takes the weights of rank 0. What is cancelled on one rank is cancelled on all. Both
     functions give 0, or anything else if they failed, which ends the call with PYDARTS_UNCONNECTED; they are called by
     the thread that makes the call.

     gather: what all ranks have, `bytes[r]` bytes of rank r, one behind the other into `all`; `mine` is this rank's.

     broadcast: makes `data` that of rank `root`. */
  int32_t rank, ranks; /* 0..ranks-1; default 0 of 0: this process alone */
  int (*gather)(void* user, const void* mine, void* all, const size_t* bytes);
  int (*broadcast)(void* user, void* data, size_t bytes, int32_t root);
} pydarts_runtime;

/* Threads: any. */
PYDARTS_API pydarts_status pydarts_runtime_defaults(pydarts_runtime* runtime);

/* ---- Networks ---------------------------------------------------------------------------------------------------- */

/* A supernet, which is searched, or a derived network, which is trained and used. */
typedef struct pydarts_network pydarts_network;

/* What a network's outputs z are compared with. A sample's loss, with targets t: */
typedef enum pydarts_loss_kind {
  PYDARTS_CROSS_ENTROPY = 0, /* one class of several: -sum_k t_k log softmax(z)_k */
  PYDARTS_SIGMOID = 1,       /* labels that do not exclude each other: the mean over k of log(1 + exp(z_k)) - t_k z_k */
  PYDARTS_MSE = 2,           /* numbers: the mean over k of (z_k - t_k)^2 */
  PYDARTS_HUBER = 3          /* numbers: the mean over k of e^2 / 2 where e = |z_k - t_k| is at most `huber_delta`, else
                                huber_delta (e - huber_delta / 2) */
} pydarts_loss_kind;

typedef struct pydarts_network_options {
  size_t size;
  int32_t channels;        /* of the first cells (C): 16 */
  int32_t cells;           /* (L): 8 */
  int32_t classes;         /* 10 */
  int32_t in_channels;     /* of the images: 3 */
  uint64_t seed;           /* of the initial weights and alphas: 0 */
  int32_t recompute;       /* 1: keep only the states for backward, a fraction of the memory: 0 */
  int32_t auxiliary;       /* 1: with auxiliary head, derived network only: 0 */
  double auxiliary_weight; /* of its loss: 0.4 */
  const char* space;       /* of a supernet: JSON text, the name of a ready space ("\"nas-bench-201\"") or a description
                              as in a space's file, not kept; null: "\"darts\"". Of a derived network: null */
  size_t space_size;       /* bytes of it, without a final NUL: 0 */
  int32_t imagenet_stem;   /* 1: the stem for large images, which leaves an eighth of height and width: 0 */
  int32_t auxiliary_skip;  /* of a supernet, 1: every edge has its input as one more operand (DARTS-), whose coefficient
                              pydarts_network_set_skip_weight sets: 0 */
  int32_t partial_channels; /* of a supernet: the operations see the first 1 / so many of the channels, and edges have
                               weights of their own (PC-DARTS), whose parameters are among the alphas as "NAME.edges";
                               it must divide `channels`: 1 */
  double huber_delta;       /* of PYDARTS_HUBER: 1 */
  int32_t loss;             /* a pydarts_loss_kind; `classes` are its outputs, 1 or more but for cross-entropy: 0 */
} pydarts_network_options;

/* Threads: any. */
PYDARTS_API pydarts_status pydarts_network_options_defaults(pydarts_network_options* options);

/* Each of the next four makes `*network`, to be given to pydarts_network_destroy; null after an error. `runtime` is
   copied; null: the defaults. Threads: any. */

/* Every edge a softmax-weighted mixture of all candidate operations. BAD_FILE if `options->space` is no space. */
PYDARTS_API pydarts_status pydarts_supernet_create(const pydarts_network_options* options,
                                                   const pydarts_runtime* runtime, pydarts_network** network,
                                                   char* message, size_t message_size);

/* The network of a genotype: `genotype` is the JSON text of Python's Genotype.to_json or of pydarts_network_genotype,
   of `genotype_size` bytes without a final NUL, with its space. BAD_FILE if it is anything else, INVALID_ARGUMENT if
   its cells make no network. */
PYDARTS_API pydarts_status pydarts_derived_create(const char* genotype, size_t genotype_size,
                                                  const pydarts_network_options* options,
                                                  const pydarts_runtime* runtime, pydarts_network** network,
                                                  char* message, size_t message_size);

/* A trained network from the model.json and model.safetensors in `folder` (UTF-8), which `pydarts train --out` or
   Python's Model.save wrote: with weights, running statistics, labels, and the normalisation of raw images.
   BAD_FILE if a file is missing, damaged or does not fit the other. */
PYDARTS_API pydarts_status pydarts_model_load(const char* folder, const pydarts_runtime* runtime,
                                              pydarts_network** network, char* message, size_t message_size);

/* The same from the files' bytes in memory, which are not needed afterwards. BAD_FILE likewise. */
PYDARTS_API pydarts_status pydarts_model_read(const void* description, size_t description_size, const void* weights,
                                              size_t weights_size, const pydarts_runtime* runtime,
                                              pydarts_network** network, char* message, size_t message_size);

/* Frees it; null is fine. BUSY, and nothing freed, from within a callback of a call with it.
   Threads: by handle. */
PYDARTS_API pydarts_status pydarts_network_destroy(pydarts_network* network);

/* The text of the last call's error, "" if there was none. Owned by the handle; holds until the next call with it.
   Threads: by handle. */
PYDARTS_API const char* pydarts_network_error(const pydarts_network* network);

typedef struct pydarts_network_info {
  size_t size;
  size_t num_weights, num_alphas, num_running; /* elements of the three kinds of values */
  size_t num_tensors;                          /* that pydarts_network_tensor knows */
  int32_t classes, in_channels, threads;
  int32_t num_droppable;             /* rows of `drop` */
  int32_t normalization;             /* 1: of a model, so pydarts_normalize_u8 and _f32 work */
  int32_t image_height, image_width; /* of the training images of a model, else 0; other sizes work as well */
  const char* instruction_set;       /* static memory: "avx512-wide", "avx512", "avx2", "neon", "baseline" */
  int32_t loss;                      /* a pydarts_loss_kind; of a model it tells what is predicted */
} pydarts_network_info;

/* Fills `info`. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_network_get_info(const pydarts_network* network, pydarts_network_info* info);

/* Kinds of values, each one flat array: trained weights; architecture parameters (none in a derived network); means
   and variances of the batch normalisations. */
typedef enum pydarts_kind { PYDARTS_WEIGHTS = 0, PYDARTS_ALPHAS = 1, PYDARTS_RUNNING = 2 } pydarts_kind;

/* One named part of them. */
typedef struct pydarts_tensor {
  size_t size;
  const char* name; /* as in Python's state_dict; alphas: as the cell. Owned by the network. */
  pydarts_kind kind;
  size_t offset, count; /* elements [offset, offset + count) of its kind */
  int32_t ndim;
  int32_t shape[4]; /* the first `ndim` count */
} pydarts_tensor;

/* Fills `tensor` with the one of `index` in 0..num_tensors-1. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_network_tensor(const pydarts_network* network, size_t index, pydarts_tensor* tensor);

/* Copies all values of a kind out or in; `count` must be their number. What goes in must be finite.
   Threads: by handle. */
PYDARTS_API pydarts_status pydarts_network_get(const pydarts_network* network, pydarts_kind kind, float* values,
                                               size_t count);
PYDARTS_API pydarts_status pydarts_network_set(pydarts_network* network, pydarts_kind kind, const float* values,
                                               size_t count);

/* Where the network's random numbers stand, out and in: over text those of the dropout masks, over images those of
   noise operations. A call that fails leaves the former as they were. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_network_stream(const pydarts_network* network, uint64_t* stream);
PYDARTS_API pydarts_status pydarts_network_set_stream(pydarts_network* network, uint64_t stream);

/* The coefficient of the auxiliary skips in all passes, 1 at first; at 0 they are not computed. INVALID_ARGUMENT if it
   is negative or not finite, or the network has none. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_network_set_skip_weight(pydarts_network* network, double weight);

/* Weights and running statistics, named and shaped as in Python's state_dict, from and to a safetensors file (`path`
   in UTF-8), or from one in memory. All or nothing: an existing file is replaced only by a whole one. BAD_FILE.
   Threads: by handle. */
PYDARTS_API pydarts_status pydarts_network_load(pydarts_network* network, const char* path);
PYDARTS_API pydarts_status pydarts_network_read(pydarts_network* network, const void* file, size_t file_size);
PYDARTS_API pydarts_status pydarts_network_save(pydarts_network* network, const char* path);

/* The next two give texts: `*needed` (may be null) is set to the bytes with the final NUL. A null `buffer` with
   capacity 0 only asks; one that is too small gets nothing, and the call gives TOO_SMALL. Threads: by handle. */

/* The genotype as JSON: of a supernet the one that the present alphas stand for. */
PYDARTS_API pydarts_status pydarts_network_genotype(const pydarts_network* network, char* buffer, size_t capacity,
                                                    size_t* needed);

/* The label of class 0..classes-1 of a model; of other networks the number itself. */
PYDARTS_API pydarts_status pydarts_network_label(const pydarts_network* network, int32_t index, char* buffer,
                                                 size_t capacity, size_t* needed);

/* ---- Passes ------------------------------------------------------------------------------------------------------ */

typedef struct pydarts_batch {
  size_t size;
  int32_t samples, channels, height, width; /* default 0; at least 1 */
  const float* images;                      /* (samples, channels, height, width), normalised */
  const int32_t* labels;                    /* (samples,), each in 0..classes-1; not for logits: null */
  const float* drop; /* factors of drop path, 0 or 1/keep, (num_droppable, samples); null: none. Not for logits. */
  size_t num_drop;   /* elements of `drop` */
  /* In place of labels: how much of each class a sample is, (samples, classes), at least 0; null: labels. They need not
     sum to 1; those of label smoothing and mixup do. Other losses than cross-entropy take nothing else: 0 to 1 for each
     label, or numbers, of a model in its units, (value - mean) / standard deviation. */
  const float* targets;
  /* Of a supernet, in place of the softmax of the alphas: the weight of each operation, in the order of the alphas;
     null: the softmax. Nothing normalises them. Not for search steps, which learn the alphas. */
  const float* mixing;
  /* With `mixing`, whether an operation is active (not 0), in the same order; null: all are. Inactive ones contribute
     nothing and cost nothing, and their gradients are zero. A node without active operations is zero. */
  const uint8_t* active;
  size_t num_mixing; /* elements of `mixing`, and of `active` */
  /* (samples,), at least 0, not all 0: the loss is sum_n weight_n loss_n / sum_n weight_n; null: the mean. */
  const float* sample_weights;
} pydarts_batch;

/* Threads: any. */
PYDARTS_API pydarts_status pydarts_batch_defaults(pydarts_batch* batch);

/* out = (pixels - mean) / standard deviation by channel, as Python does it; arrays of shape (samples, channels, height,
   width). `pixels` may be `out`. INVALID_ARGUMENT if the network is not of a model. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_normalize_u8(const pydarts_network* network, int32_t samples, int32_t channels,
                                                int32_t height, int32_t width, const uint8_t* pixels, float* out);
PYDARTS_API pydarts_status pydarts_normalize_f32(const pydarts_network* network, int32_t samples, int32_t channels,
                                                 int32_t height, int32_t width, const float* pixels, float* out);

/* Logits (samples, classes), `count` in all: by the running statistics, or with `training` by those of the batch.
   CANCELLED. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_logits(pydarts_network* network, const pydarts_batch* batch, int32_t training,
                                          float* logits, size_t count);

/* What logits (samples, classes), `count` numbers in all, say: probabilities of the classes, which sum to 1; of
   PYDARTS_SIGMOID those of each label; of PYDARTS_MSE and PYDARTS_HUBER the numbers, of a model in the units of the
   targets that it learned. `logits` may be `predictions`. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_predictions(const pydarts_network* network, const float* logits, size_t count,
                                               float* predictions);

typedef struct pydarts_loss {
  size_t size;
  double value;    /* mean over the samples, with the auxiliary head's */
  int32_t correct; /* samples whose largest logit is their label's, or of the class with the largest target; of
                      PYDARTS_SIGMOID those with every label right; of numbers 0 */
} pydarts_loss;

/* Loss with the batch's statistics and its gradients; null with count 0: not wanted. With `batch->mixing` `d_alphas` is
   the gradient with respect to these weights. Without any gradient only the forward pass runs, in the workspace of one.
   The running statistics stay as they are. `loss` may be null. CANCELLED. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_gradients(pydarts_network* network, const pydarts_batch* batch, float* d_weights,
                                             size_t num_weights, float* d_alphas, size_t num_alphas,
                                             pydarts_loss* loss);

/* Bytes of the workspace that passes over such a batch need; `backward`: with gradients, in a search or training step.
   A network allocates its own and grows it, unless it is given one. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_workspace_size(const pydarts_network* network, int32_t samples, int32_t height,
                                                  int32_t width, int32_t backward, size_t* bytes);

/* From now on passes work in `memory`, on a multiple of 64 bytes; one that needs more gives INVALID_ARGUMENT. The
   caller keeps it until the network is destroyed or another is set; null with 0 bytes: the network's own again.
   Networks over text cannot be lent memory, and have their own of pydarts_text_memory bytes: both functions give
   INVALID_ARGUMENT. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_workspace_set(pydarts_network* network, void* memory, size_t bytes);

/* ---- Search and training ----------------------------------------------------------------------------------------- */

/* Settings and state of the steps of one network: momentum of the weights' SGD, moments of the alphas' Adam. */
typedef struct pydarts_optimizer pydarts_optimizer;

typedef struct pydarts_optimizer_options {
  size_t size;
  int32_t order;                   /* 1 or 2, of the architecture gradient: 2 */
  double momentum, weight_decay;   /* of the weights: 0.9, 3e-4 */
  double clip;                     /* bound of the norm of their gradient: 5 */
  double alpha_lr;                 /* of the alphas' Adam: 3e-4 */
  double alpha_beta1, alpha_beta2; /* 0.5, 0.999 */
  double alpha_weight_decay;       /* added to the gradient: 1e-3 */
  double epsilon;                  /* of the finite difference, over the norm of the direction: 0.01 */
  int32_t forward_difference;      /* 1: one-sided, one pass of five less and less exact: 0 */
  int32_t reuse_gradient;          /* 1: the weights step with the gradient of the unrolled step, as above: 0 */
  /* Of networks over text alone; 0 for images. */
  int32_t capped_clip; /* 1: the implicit term's rate never rises with the bound on the norms: 0, as the original */
  int32_t unmoved_embedding; /* 1: the unrolled step leaves the embedding as it is: 0 */
  int32_t shared_masks;      /* 1: the alpha step's passes over `train` drop the same units: 0 */
  double ar, tar; /* of the weights' steps: weights of mean(output^2) and of mean((h_t - h_{t-1})^2): 0, and 1e-3 over
                     text */
} pydarts_optimizer_options;

/* Threads: any. */
PYDARTS_API pydarts_status pydarts_optimizer_options_defaults(pydarts_optimizer_options* options);

/* Those for networks over text: momentum 0, weight_decay 5e-7, clip 0.25, alpha_lr 3e-3, alpha_beta1 0.9, tar 1e-3, the
   others as above. Threads: any. */
PYDARTS_API pydarts_status pydarts_text_optimizer_options_defaults(pydarts_optimizer_options* options);

/* An optimizer for `network`, with state zero and the network's runtime. Later calls take the two together, in
   which both are used; the network may be destroyed first. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_optimizer_create(const pydarts_network* network,
                                                    const pydarts_optimizer_options* options,
                                                    pydarts_optimizer** optimizer, char* message, size_t message_size);
/* As those of networks. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_optimizer_destroy(pydarts_optimizer* optimizer);
PYDARTS_API const char* pydarts_optimizer_error(const pydarts_optimizer* optimizer);

/* The state: momentum, moments and steps, as a safetensors file (`path` in UTF-8) or in memory. With it, the options,
   the network's values and, over text, pydarts_network_stream, steps go on to the same bits. All or nothing; BAD_FILE
   if it is damaged or of an optimizer of other sizes. `write` sets `*needed` (may be null) to the bytes; a null
   `buffer` with capacity 0 only asks, and one that is too small gets nothing but TOO_SMALL. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_optimizer_save(pydarts_optimizer* optimizer, const char* path);
PYDARTS_API pydarts_status pydarts_optimizer_load(pydarts_optimizer* optimizer, const char* path);
PYDARTS_API pydarts_status pydarts_optimizer_write(pydarts_optimizer* optimizer, void* buffer, size_t capacity,
                                                   size_t* needed);
PYDARTS_API pydarts_status pydarts_optimizer_read(pydarts_optimizer* optimizer, const void* file, size_t file_size);

/* The gradient of the validation loss with respect to the alphas that a search step with learning rate `lr` would give
   to Adam: of second order through an unrolled weight step on `train`, of first order at the weights themselves.
   Changes nothing. NOT_FINITE, CANCELLED. Threads: by handle, both. */
PYDARTS_API pydarts_status pydarts_arch_gradient(pydarts_optimizer* optimizer, pydarts_network* network,
                                                 const pydarts_batch* train, const pydarts_batch* valid, double lr,
                                                 float* d_alphas, size_t num_alphas);

typedef struct pydarts_step_info {
  size_t size;
  double train_loss, valid_loss; /* the latter of the alpha step; 0 after a weight step */
  int32_t train_correct, valid_correct;
  double gradient_norm;       /* with respect to the weights, before clipping */
  double alpha_gradient_norm; /* 0 after a weight step */
} pydarts_step_info;

/* A whole search step: alphas by Adam, then weights by SGD with the learning rate `lr` at the new alphas, then the
   running statistics. `info` may be null. NOT_FINITE, CANCELLED. Threads: by handle, both. */
PYDARTS_API pydarts_status pydarts_search_step(pydarts_optimizer* optimizer, pydarts_network* network,
                                               const pydarts_batch* train, const pydarts_batch* valid, double lr,
                                               pydarts_step_info* info);

/* A training step: weights by SGD with the learning rate `lr`, and running statistics. The weights of inactive
   operations, their momentum and their running statistics stay as they are, without decay. `info` may be null.
   NOT_FINITE, CANCELLED. Threads: by handle, both. */
PYDARTS_API pydarts_status pydarts_weight_step(pydarts_optimizer* optimizer, pydarts_network* network,
                                               const pydarts_batch* batch, double lr, pydarts_step_info* info);

/* ---- Networks over text ------------------------------------------------------------------------------------------ */

/* Recurrent language models: embedding, one cell unrolled over a segment, a decoder tied to the embedding. They are
   pydarts_networks and their optimizers pydarts_optimizers, so that all functions work with them whose names begin with
   pydarts_network_ or pydarts_optimizer_ (but _set_skip_weight); `classes` is the size of the vocabulary, a label the
   token. Functions over images give INVALID_ARGUMENT, and those of this part do for networks over images. */
typedef struct pydarts_text_options {
  size_t size;
  int32_t vocab_size;             /* tokens, 2..2^20; default 0 */
  int32_t hidden_size;            /* of state and embedding, 1..2^14: 300 */
  uint64_t seed;                  /* of the initial weights and alphas, and of the dropout masks: 0 */
  double dropout, dropout_hidden; /* probabilities of dropping units of the output, of a state before its product: 0.75,
                                     0.25 */
  double dropout_input, dropout_embedding; /* of the cell's input, of the embedding: 0.75, 0.2 */
  const char* vocabulary; /* of a derived network: JSON text {"level": "word" | "char", "tokens": [...]} as in Python's
                             model.json, which pydarts_text_model_save needs, not kept; null: none */
  size_t vocabulary_length; /* bytes of it, without a final NUL: 0 */
} pydarts_text_options;

/* Threads: any. */
PYDARTS_API pydarts_status pydarts_text_options_defaults(pydarts_text_options* options);

/* As pydarts_supernet_create: 8 nodes, every edge a mixture of activations, and batch normalisation. Threads: any. */
PYDARTS_API pydarts_status pydarts_text_supernet_create(const pydarts_text_options* options,
                                                        const pydarts_runtime* runtime, pydarts_network** network,
                                                        char* message, size_t message_size);

/* As pydarts_derived_create, of the JSON text of Python's RecurrentGenotype.to_json or of pydarts_network_genotype.
   BAD_FILE if it is anything else, or `options->vocabulary` is none. Threads: any. */
PYDARTS_API pydarts_status pydarts_text_derived_create(const char* genotype, size_t genotype_size,
                                                       const pydarts_text_options* options,
                                                       const pydarts_runtime* runtime, pydarts_network** network,
                                                       char* message, size_t message_size);

/* As pydarts_model_load and pydarts_model_read, of what Python's LanguageModel.save wrote. BAD_FILE. Threads: any. */
PYDARTS_API pydarts_status pydarts_text_model_load(const char* folder, const pydarts_runtime* runtime,
                                                   pydarts_network** network, char* message, size_t message_size);
PYDARTS_API pydarts_status pydarts_text_model_read(const void* description, size_t description_size,
                                                   const void* weights, size_t weights_size,
                                                   const pydarts_runtime* runtime, pydarts_network** network,
                                                   char* message, size_t message_size);

/* Writes model.json and model.safetensors into `folder`, which is made if need be, for pydarts_text_model_load and
   Python's LanguageModel.load; each file replaces an earlier one as a whole. INVALID_ARGUMENT if the network is a
   supernet or has no vocabulary. BAD_FILE. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_text_model_save(const pydarts_network* network, const char* folder);

typedef struct pydarts_segment {
  size_t size;
  int32_t length, batch; /* steps, sequences side by side: default 0; at least 1 */
  const int32_t *x, *y;  /* (length, batch): the tokens, and those that follow them */
  const float* hidden;   /* the state before the first token, (batch, hidden_size); null: zero */
  float* hidden_after;   /* gets the state after the last one, of the last pass; may be `hidden`; null: not wanted. Not
                            by pydarts_text_arch_gradient, which takes no step */
  /* For gradients: factors of dropout, (batch, hidden_size), the same at all steps. If one is given, a null one drops
     nothing; if none is, they are drawn. Null in all other calls. */
  const float *output_mask, *hidden_mask, *input_mask, *embedding_mask;
  const float* mixing; /* as pydarts_batch.mixing */
  size_t num_mixing;
} pydarts_segment;

/* Threads: any. */
PYDARTS_API pydarts_status pydarts_segment_defaults(pydarts_segment* segment);

/* Mean cross-entropy of the next token with dropout and batch statistics, and the gradients of it and of the
   regularisation (`ar`, `tar` as in pydarts_optimizer_options). Otherwise as pydarts_gradients. CANCELLED.
   Threads: by handle. */
PYDARTS_API pydarts_status pydarts_text_gradients(pydarts_network* network, const pydarts_segment* segment, double ar,
                                                  double tar, float* d_weights, size_t num_weights, float* d_alphas,
                                                  size_t num_alphas, pydarts_loss* loss);

/* The loss without dropout, by running statistics; `loss` may be null. CANCELLED. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_text_evaluate(pydarts_network* network, const pydarts_segment* segment,
                                                 pydarts_loss* loss);

/* The probabilities (batch, classes), `count` in all, of what follows `tokens` (batch,), of at most 1024 sequences;
   `hidden` and `hidden_after` as in pydarts_segment. CANCELLED. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_text_next(pydarts_network* network, int32_t batch, const int32_t* tokens,
                                             const float* hidden, float* hidden_after, float* probabilities,
                                             size_t count);

/* Bytes that a pass over such a segment takes beside weights and gradients. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_text_memory(const pydarts_network* network, int32_t length, int32_t batch,
                                               int32_t backward, size_t* bytes);

/* As pydarts_arch_gradient, which over text draws masks, pydarts_search_step and pydarts_weight_step. NOT_FINITE,
   CANCELLED. Threads: by handle, both. */
PYDARTS_API pydarts_status pydarts_text_arch_gradient(pydarts_optimizer* optimizer, pydarts_network* network,
                                                      const pydarts_segment* train, const pydarts_segment* valid,
                                                      double lr, float* d_alphas, size_t num_alphas);
PYDARTS_API pydarts_status pydarts_text_search_step(pydarts_optimizer* optimizer, pydarts_network* network,
                                                    const pydarts_segment* train, const pydarts_segment* valid,
                                                    double lr, pydarts_step_info* info);
PYDARTS_API pydarts_status pydarts_text_weight_step(pydarts_optimizer* optimizer, pydarts_network* network,
                                                    const pydarts_segment* segment, double lr, pydarts_step_info* info);

/* ---- Costs and limits -------------------------------------------------------------------------------------------- */

/* What a network costs for one image; numbers are those of pydarts.costs in Python. */
typedef struct pydarts_costs {
  size_t size;
  uint64_t macs;    /* multiply-adds of convolutions and the classifier, those on padding included; normalisations are
                       part of the convolutions in inference, sums of edges and pooling are not counted */
  uint64_t weights; /* all that is trained, an auxiliary head left out */
  uint64_t memory;  /* bytes of the activations in inference, in float32, at the moment that has the most of them: cell
                       after cell, node after node, an edge after the other; weights are not in it */
  double latency;   /* seconds of a call, of the profile's batch, as predicted; 0: there is no profile */
} pydarts_costs;

/* Of a derived network over images of that size; `latency` is 0. INVALID_ARGUMENT if the network is a supernet or over
   text, or does not take the size. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_network_costs(const pydarts_network* network, int32_t height, int32_t width,
                                                 pydarts_costs* costs);

typedef enum pydarts_cost {
  PYDARTS_COST_LATENCY = 0, /* seconds; wants a profile */
  PYDARTS_COST_MACS = 1,
  PYDARTS_COST_WEIGHTS = 2,
  PYDARTS_COST_MEMORY = 3 /* bytes. The peak is no sum over edges: tables and expectations are those of a least-squares
                             fit over random cells; what is asked of a single cell is counted */
} pydarts_cost;

/* What the cells of a space cost in the network that is to be trained, its target: fixed + sum_e t(e, o_e) over the
   edges e that a cell keeps, each with an operation o_e. */
typedef struct pydarts_budget pydarts_budget;

/* `target` gives channels, cells, classes, in_channels and stem of the network that is to be trained, and the space, as
   that of a supernet; `height` and `width` are those of its images, in one dimension 1 and the length. `auxiliary_skip`
   and `partial_channels`, which are a supernet's, must be as in the defaults; on the others costs do not depend.
   `runtime` (threads, allocator and callbacks of measurements) is copied; null: the defaults. Makes `*budget`, to be
   given to pydarts_budget_destroy; null after an error. BAD_FILE if `target->space` is no space. Threads: any. */
PYDARTS_API pydarts_status pydarts_budget_create(const pydarts_network_options* target, int32_t height, int32_t width,
                                                 const pydarts_runtime* runtime, pydarts_budget** budget, char* message,
                                                 size_t message_size);
/* As those of networks. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_budget_destroy(pydarts_budget* budget);
PYDARTS_API const char* pydarts_budget_error(const pydarts_budget* budget);

/* The parts of the sum of `cost`, a pydarts_cost: `*fixed` and `table`, `count` entries in the order of the supernet's
   alphas of operations: for each kind of cell (edges, columns), over all cells of the kind; 0 where there is no
   operation. Of the latency a network has less than the sum where several nodes take the same pool of one state: the
   engine computes it once, and only the first of them counts. INVALID_ARGUMENT if `cost` is the latency and there is no
   profile; so do the functions below. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_budget_table(const pydarts_budget* budget, int32_t cost, double* fixed,
                                                double* table, size_t count);

/* What the cheapest and the costliest cells cost; of latency no cell has more than `*most`. Either may be null.
   Threads: by handle. */
PYDARTS_API pydarts_status pydarts_budget_range(const pydarts_budget* budget, int32_t cost, double* least,
                                                double* most);

/* Costs of the target with the cells of a genotype, JSON text as in pydarts_derived_create. BAD_FILE if it is none,
   INVALID_ARGUMENT if it is of another space or, where there is a profile, holds an operation that the search does not
   try. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_budget_predict(const pydarts_budget* budget, const char* genotype,
                                                  size_t genotype_size, pydarts_costs* costs);

/* The expectation of a cost over the cells that the alphas stand for, and its gradient:
     E = fixed + sum_e s_e sum_o q_eo t_eo
   q_eo is the softmax over the operations that a cell may hold of log(w_eo) / temperature, w the softmax of an edge's
   alphas, times that of its own weight where there is one (partial_channels); s_e the probability that the edge is
   kept: a node keeps a set of its edges with a probability proportional to the product of sum_o w_eo^(1 / temperature).
   The cell that the alphas stand for is drawn alone as `temperature`, which must be positive, falls to 0. Of latency,
   t_eo of a pool counts by the probability that no earlier node takes the same one. `alphas` are those of a supernet of
   the space, `num_alphas` in all, with the edges' own weights or without; `gradient` gets as many, or is null. In
   float64, in the unit of the cost. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_budget_expected(const pydarts_budget* budget, int32_t cost, const float* alphas,
                                                   size_t num_alphas, double temperature, double* expected,
                                                   double* gradient);

/* At most so much for one image, or so many seconds for a call of the profile's batch; 0: no limit. */
typedef struct pydarts_limits {
  size_t size;
  double latency, macs, weights, memory; /* seconds, multiply-adds, weights, bytes: 0 */
} pydarts_limits;

/* Threads: any. */
PYDARTS_API pydarts_status pydarts_limits_defaults(pydarts_limits* limits);

/* The likeliest cell by these alphas that is within the limits, as a genotype's JSON: of those that use at least nine
   tenths of a limit on another cost than memory, if there are such. Found by dynamic programming over the cost in 4000
   steps, which passes no limit. For one limit on latency, multiply-adds or weights it is the likeliest one, up to such
   a step; for several limits, and for memory, others are penalised until they are met, and a likelier cell may be
   missed. INVALID_ARGUMENT if none meets them: the text says what the cheapest has. `buffer`, `capacity` and `needed`
   as in pydarts_network_genotype. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_budget_choose(const pydarts_budget* budget, const pydarts_limits* limits,
                                                 const float* alphas, size_t num_alphas, char* buffer, size_t capacity,
                                                 size_t* needed);

/* Latencies, and what they are measured with: */
typedef struct pydarts_profile_options {
  size_t size;
  int32_t batch;    /* images of a call: 1 */
  int32_t repeats;  /* calls that each median is of, at least 30: 30 */
  int32_t networks; /* random networks that are measured as a whole, and tell by what factors operations differ among
                       others; where plain sums predict them better, there are none. 0: plain sums. 40 */
} pydarts_profile_options;

/* Threads: any. */
PYDARTS_API pydarts_status pydarts_profile_options_defaults(pydarts_profile_options* options);

/* Measures, by the kernels of inference, warm, in turns, each operation at the channels, sizes and strides at which the
   target has it: a chain of it against the same chain of `none`; and the network of no operations. From then on the
   budget has latencies. Takes seconds to minutes, on the runtime's threads: 1 where one call at a time is to run on one
   core. CANCELLED. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_budget_measure(pydarts_budget* budget, const pydarts_profile_options* options);

/* The profile as JSON, in and out: the files of Python's Profile.save and `pydarts profile --out`. What is read must be
   of the budget's space and target, else BAD_FILE, as if it is damaged. `write` as pydarts_network_genotype.
   Threads: by handle. */
PYDARTS_API pydarts_status pydarts_budget_read_profile(pydarts_budget* budget, const char* profile,
                                                       size_t profile_size);
PYDARTS_API pydarts_status pydarts_budget_write_profile(const pydarts_budget* budget, char* buffer, size_t capacity,
                                                        size_t* needed);

/* Measures the whole network of a genotype, with the profile's batch, or 1: `*seconds` is the median of at least
   `repeats` calls. Weights are random: latency does not depend on them. Errors as of pydarts_budget_predict; CANCELLED.
   Threads: by handle. */
PYDARTS_API pydarts_status pydarts_budget_measure_network(const pydarts_budget* budget, const char* genotype,
                                                          size_t genotype_size, int32_t repeats, double* seconds);

/* Predicted latencies are multiplied by `factor` from now on, 1 at first: what a network was measured to take over what
   was predicted, so that a limit which was missed is met in the next phase of a search. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_budget_set_correction(pydarts_budget* budget, double factor);

/* ---- A network as a C file --------------------------------------------------------------------------------------- */

typedef struct pydarts_c_options {
  size_t size;
  const char* name;      /* names begin with it: a letter, up to 47 letters, digits and _; null: "model" */
  int32_t height, width; /* of the images; 0: of the model's training images, which other networks do not have */
  const float *mean, *deviation; /* of raw images by channel, (in_channels,), not kept; null: the model's, else 0, 1 */
} pydarts_c_options;

/* Threads: any. */
PYDARTS_API pydarts_status pydarts_c_options_defaults(pydarts_c_options* options);

typedef struct pydarts_c_file {
  size_t size;
  uint64_t constants, arena; /* bytes: what it takes of flash beside the code, and its static memory */
  uint64_t macs;             /* multiply-adds of a call */
} pydarts_c_file;

/* Writes a derived network as one C99 file, which is C++17 as well, includes math.h, stddef.h, stdint.h
   and string.h alone and allocates nothing:
     void NAME_predict(const float *image, float *logits)
     void NAME_predict_u8(const uint8_t *image, float *logits)
   `image` is (in_channels, height, width), raw, `logits` (classes,): numbers of a model of numbers in its units. In
   float32, normalisations folded in; the text is that of Python's Model.to_c, but for the comment on top. Of a model
   with a preprocessing it takes what pydarts_normalize_f32 takes. The file at `path` (UTF-8) is replaced as a whole.
   `written` may be null. INVALID_ARGUMENT if the network is a supernet or over text or does not take the size, or a
   weight is not finite.
   BAD_FILE if it cannot be written. Threads: by handle. */
PYDARTS_API pydarts_status pydarts_network_to_c(const pydarts_network* network, const pydarts_c_options* options,
                                                const char* path, pydarts_c_file* written);

/* ---- Hessian-vector product -------------------------------------------------------------------------------------- */

/* Writes the gradient at `w` into `out`; nonzero ends the call with PYDARTS_CANCELLED. */
typedef int (*pydarts_gradient)(void* user, const double* w, double* out);

/* out = (gradient(w + e v) - gradient(w - e v)) / (2 e), e = epsilon / ||v||: the derivative of `gradient` times v. `w`
   and `v` have n elements. `out` has m, as what `gradient` writes: a gradient by w with m = n for the Hessian, one by
   other parameters for the mixed second derivative. NOT_FINITE if ||v|| is zero or not finite. Calls `gradient` twice,
   by the calling thread. In float64, since the difference of two close gradients loses half of the digits.
   Threads: any. */
PYDARTS_API pydarts_status pydarts_hessian_vector_product(pydarts_gradient gradient, void* user, const double* w,
                                                          const double* v, size_t n, size_t m, double epsilon,
                                                          double* out, char* message, size_t message_size);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: MIT */
/* Classifies the images of an IDX file with a model that `pydarts train` wrote:
 *   classify my-model t10k-images-idx3-ubyte
 * A line an image: its label, then the logits as exact hexadecimal numbers. */
#include <pydarts.h>
#include <stdio.h>
#include <stdlib.h>

enum { kBatch = 256 };

struct images {
  int32_t count, height, width;
  uint8_t* pixels;
};

static uint32_t big_endian(const uint8_t* bytes) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* 0 if it is no IDX file of grey images. */
static int read_images(const char* path, struct images* images) {
  uint8_t header[16];
  uint64_t size;
  long end;
  FILE* file = fopen(path, "rb");
  int sound = 0;
  images->pixels = NULL;
  if (!file) return 0;
  if (fread(header, 1, sizeof header, file) == sizeof header && big_endian(header) == 0x803 &&
      big_endian(header + 4) < 1 << 24 && big_endian(header + 8) < 1 << 12 && big_endian(header + 12) < 1 << 12 &&
      fseek(file, 0, SEEK_END) == 0 && (end = ftell(file)) > 0) {
    images->count = (int32_t)big_endian(header + 4);
    images->height = (int32_t)big_endian(header + 8);
    images->width = (int32_t)big_endian(header + 12);
    size = (uint64_t)images->count * (uint64_t)images->height * (uint64_t)images->width;
    if (size > 0 && size == (uint64_t)end - sizeof header && fseek(file, sizeof header, SEEK_SET) == 0) {
      images->pixels = malloc((size_t)size);
      sound = images->pixels && fread(images->pixels, 1, (size_t)size, file) == size;
    }
  }
  fclose(file);
  return sound;
}

static int classify(pydarts_network* network, const struct images* images) {
  const size_t plane = (size_t)images->height * (size_t)images->width;
  pydarts_network_info info = {sizeof info};
  pydarts_batch batch = {sizeof batch};
  float *pixels, *logits;
  int32_t first, n, k;
  int done = 0;
  if (pydarts_network_get_info(network, &info) || pydarts_batch_defaults(&batch)) return 0;
  pixels = malloc(kBatch * plane * sizeof *pixels);
  logits = malloc((size_t)kBatch * (size_t)info.classes * sizeof *logits);
  batch.images = pixels;
  batch.channels = 1;
  batch.height = images->height;
  batch.width = images->width;
  for (first = 0; pixels && logits && first < images->count; first += batch.samples) {
    batch.samples = images->count - first < kBatch ? images->count - first : kBatch;
    if (pydarts_normalize_u8(network, batch.samples, 1, batch.height, batch.width,
                             images->pixels + (size_t)first * plane, pixels))
      break;
    if (pydarts_logits(network, &batch, 0, logits, (size_t)batch.samples * (size_t)info.classes)) break;
    for (n = 0; n < batch.samples; ++n) {
      const float* z = logits + (size_t)n * (size_t)info.classes;
      char label[64];
      int32_t best = 0;
      for (k = 1; k < info.classes; ++k)
        if (z[k] > z[best]) best = k;
      if (pydarts_network_label(network, best, label, sizeof label, NULL)) snprintf(label, sizeof label, "%d", best);
      printf("%s", label);
      for (k = 0; k < info.classes; ++k) printf(" %a", z[k]);
      printf("\n");
    }
  }
  done = first >= images->count;
  free(pixels);
  free(logits);
  return done;
}

int main(int argc, char** argv) {
  char message[256];
  struct images images;
  pydarts_network* network;
  int done;
  if (argc != 3) {
    fprintf(stderr, "usage: classify MODEL-FOLDER IDX-FILE\n");
    return 2;
  }
  if (pydarts_abi() != PYDARTS_ABI) {
    fprintf(stderr, "this program was compiled for another pydarts\n");
    return 1;
  }
  if (pydarts_model_load(argv[1], NULL, &network, message, sizeof message)) {
    fprintf(stderr, "%s\n", message);
    return 1;
  }
  done = read_images(argv[2], &images);
  if (!done) {
    fprintf(stderr, "%s is no IDX file of images\n", argv[2]);
  } else {
    done = classify(network, &images);
    if (!done) fprintf(stderr, "%s\n", pydarts_network_error(network));
  }
  free(images.pixels);
  pydarts_network_destroy(network);
  return done ? 0 : 1;
}

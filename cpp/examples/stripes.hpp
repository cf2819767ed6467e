// SPDX-License-Identifier: MIT
// Data of the examples: stripes that run across, down, or along either diagonal, in noise.
#pragma once
#include <pydarts.h>

#include <random>
#include <vector>

class Stripes {
 public:
  static constexpr int kClasses = 4, kSize = 8;

  Stripes(int count, unsigned seed) : images_(std::size_t(count) * kSize * kSize), labels_(count) {
    std::mt19937 random(seed);
    auto uniform = [&] { return float(random()) / 4294967296.0f; };
    for (int n = 0; n < count; ++n) {
      const int label = labels_[n] = int(random() % kClasses), phase = int(random() % 4);
      for (int y = 0; y < kSize; ++y)
        for (int x = 0; x < kSize; ++x) {
          const int along = label == 0 ? y : label == 1 ? x : label == 2 ? x + y : x - y + kSize;
          images_[(std::size_t(n) * kSize + y) * kSize + x] =
              ((along + phase) % 4 < 2 ? 0.7f : -0.7f) + uniform() - 0.5f;
        }
    }
  }

  int count() const { return int(labels_.size()); }

  pydarts_batch batch(int first, int samples) const {
    pydarts_batch batch = {sizeof batch};
    pydarts_batch_defaults(&batch);
    batch.samples = samples;
    batch.channels = 1;
    batch.height = batch.width = kSize;
    batch.images = images_.data() + std::size_t(first) * kSize * kSize;
    batch.labels = labels_.data() + first;
    return batch;
  }

 private:
  std::vector<float> images_;
  std::vector<std::int32_t> labels_;
};

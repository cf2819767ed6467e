// SPDX-License-Identifier: MIT
#include "costs/counts.hpp"

#include <algorithm>
#include <array>

#include "core/error.hpp"

namespace pydarts {
namespace {

using K = Link::Kind;

constexpr std::int64_t kFloat = 4;               // bytes
constexpr double kMost = 9007199254740992.0;     // 2^53: what a double holds exactly
constexpr std::size_t kMostBuffers = 1u << 22u;  // a genotype may come from a file

std::int64_t product(std::initializer_list<std::int64_t> factors) {
  double value = 1;
  std::int64_t exact = 1;
  for (std::int64_t factor : factors) {
    value *= double(factor);
    require(value <= kMost, "the network is too large for its costs to be counted");
    exact *= factor;
  }
  return exact;
}

std::int64_t sum(std::int64_t a, std::int64_t b) {
  require(double(a) + double(b) <= kMost, "the network is too large for its costs to be counted");
  return a + b;
}

// What a layer reads: buffers side by side, of so many channels in all.
struct Activation {
  std::vector<int> buffers;
  int channels, height, width;
};

// Walks through a network as inference does: what is multiplied, and held from when to when.
class Counter {
 public:
  std::int64_t macs = 0, weights = 0;

  Counts counts() const { return {macs, weights, product({peak(), kFloat})}; }

  Activation image(int channels, int height, int width) { return created(channels, height, width); }

  // Of links from `x` to so many channels; the last one that computes adds to `into`, if that is given. With `keeps` a
  // chain that computes nothing leaves its input where it is.
  Activation chain(const std::vector<Link>& links, Activation x, int outputs, const Activation* into, bool keeps) {
    int last = -1;
    for (int k = 0; k < int(links.size()); ++k)
      if (!is_in_place(links[k])) last = k;
    if (last < 0 && !keeps) x = output(x, x.channels, x.height, x.width, into);
    for (int k = 0; k < int(links.size()); ++k) {
      const Link& link = links[k];
      const Activation* target = k == last ? into : nullptr;
      if (link.kind == K::batch_norm) weights = sum(weights, 2 * std::int64_t(x.channels));
      if (is_in_place(link)) continue;
      const int before = x.channels;
      const bool mixes = link.kind == K::convolution || link.kind == K::reduce;
      const int channels = mixes ? (link.channels > 0 ? link.channels : outputs) : before;
      x = output(x, channels, extent(link, x.height, link.kernel_h, link.pad_h(), link.stride_h),
                 extent(link, x.width, link.kernel_w, link.pad_w(), link.stride_w), target);
      if (link.is_pool()) continue;
      const std::int64_t own = product({channels, mixes ? before : 1, link.kernel_h, link.kernel_w});
      weights = sum(weights, own);
      macs = sum(macs, product({own, x.height, x.width}));
    }
    return x;
  }

  // Zeros in place of a node that nothing reaches.
  Activation zero(const Activation& x, int channels, int stride_h, int stride_w) {
    return output(x, channels, (x.height + stride_h - 1) / stride_h, (x.width + stride_w - 1) / stride_w, nullptr);
  }

  Activation concatenated(const std::vector<Activation>& states, const std::vector<int>& indices) const {
    Activation joined = states[indices[0]];
    for (std::size_t i = 1; i < indices.size(); ++i) {
      const Activation& state = states[indices[i]];
      joined.buffers.insert(joined.buffers.end(), state.buffers.begin(), state.buffers.end());
      joined.channels += state.channels;
    }
    return joined;
  }

  void classifier(const Activation& x, int classes) {
    read(x);
    macs = sum(macs, product({x.channels, classes}));
    weights = sum(weights, product({std::int64_t(x.channels) + 1, classes}));
  }

 private:
  struct Buffer {
    std::int64_t numbers;
    int first, last;  // moments, both included
  };

  static bool is_in_place(const Link& link) { return link.kind == K::relu || link.kind == K::batch_norm; }

  static int extent(const Link& link, int side, int kernel, int padding, int stride) {
    if (link.kind == K::reduce) return (side + stride - 1) / stride;
    const int left = side + 2 * padding - link.dilation * (kernel - 1) - 1;
    require(left >= 0, "the images are too small: a window of ", kernel, " stands on a side of ", side);
    return left / stride + 1;
  }

  Activation output(const Activation& x, int channels, int height, int width, const Activation* into) {
    ++now_;
    read(x);
    if (!into) return created(channels, height, width);
    read(*into);
    return *into;
  }

  Activation created(int channels, int height, int width) {
    require(buffers_.size() < kMostBuffers, "the network is too large for its costs to be counted");
    buffers_.push_back({product({channels, height, width}), now_, now_});
    return {{int(buffers_.size()) - 1}, channels, height, width};
  }

  void read(const Activation& x) {
    for (int buffer : x.buffers) buffers_[buffer].last = now_;
  }

  // The most numbers that are held at once.
  std::int64_t peak() const {
    std::vector<std::int64_t> change(std::size_t(now_) + 2);
    for (const Buffer& buffer : buffers_) {
      change[buffer.first] = sum(change[buffer.first], buffer.numbers);
      change[buffer.last + 1] -= buffer.numbers;
    }
    std::int64_t held = 0, most = 0;
    for (std::int64_t by : change) most = std::max(most, held = sum(held, by));
    return most;
  }

  int now_ = 0;
  std::vector<Buffer> buffers_;
};

// A state between cells, and how often its sides were halved on the way from the image.
struct Flow {
  Activation state;
  int halvings;
};

class Walk {
 public:
  Walk(const Genotype& genotype, const NetworkShape& shape)
      : genotype_(genotype), space_(genotype.space), shape_(shape) {}

  Counts run() {
    check_shape(space_, shape_);
    for (std::size_t i = 0; i < space_.cells.size(); ++i) check_cell(space_, space_.cells[i], genotype_.cells[i]);
    stem();
    for (const PlacedLayer& layer : layers_of(space_, shape_.cells, shape_.channels)) {
      Activation out = layer.cell < 0 ? residual_block(layer) : cell(layer);
      before_ = std::move(last_);
      last_ = {std::move(out), before_.halvings + (layer.stride > 1)};
    }
    if (space_.stack.norm_relu)
      last_.state = count_.chain({{K::batch_norm}, {K::relu}}, last_.state, last_.state.channels, nullptr, true);
    count_.classifier(last_.state, shape_.classes);
    return count_.counts();
  }

 private:
  Link conv(int side, int stride, int channels = 0) const {
    return convolution("", side, stride, space_.dimensions, channels);
  }
  int down(int stride) const { return space_.dimensions == 1 ? 1 : stride; }

  void stem() {
    const Activation image = count_.image(shape_.in_channels, shape_.height, shape_.width);
    const int channels = shape_.channels;
    if (shape_.stem == Stem::cifar) {
      last_ = {count_.chain({conv(3, 1), {K::batch_norm}}, image, space_.stack.stem * channels, nullptr, true), 0};
      before_ = last_;
      return;
    }
    before_ = {count_.chain({conv(3, 2, channels / 2), {K::batch_norm}, {K::relu}, conv(3, 2), {K::batch_norm}}, image,
                            channels, nullptr, true),
               2};
    last_ = {count_.chain({{K::relu}, conv(3, 2), {K::batch_norm}}, before_.state, channels, nullptr, true), 3};
  }

  Activation preprocessed(const Flow& flow, int channels) {
    const bool reduced = flow.halvings < last_.halvings;
    const Chain chain = reduced ? factorized_reduce(space_.dimensions) : relu_conv_bn();
    return count_.chain(chain.links, flow.state, channels, nullptr, true);
  }

  Activation cell(const PlacedLayer& layer) {
    const Cell& kind = space_.cells[layer.cell];
    const CellGenotype& chosen = genotype_.cells[layer.cell];
    std::vector<Activation> states;
    if (kind.inputs == 2) states.push_back(preprocessed(before_, layer.channels));
    states.push_back(kind.preprocessed ? preprocessed(last_, layer.channels) : last_.state);
    for (int node = 0, at = 0; at < int(chosen.operations.size()); ++node) {
      Activation sum{};
      bool reached = false;
      for (int i = 0; i < kind.kept(node); ++i, ++at) {
        const auto& [name, source] = chosen.operations[at];
        const int stride = source < kind.inputs ? layer.stride : 1;
        const Chain chain = lowered(*space_.find(kind, name), stride, space_.dimensions, Phase::derived, false);
        if (chain.gives != Chain::Gives::output) continue;
        sum = count_.chain(chain.links, states[source], layer.channels, reached ? &sum : nullptr, false);
        reached = true;
      }
      if (!reached) sum = count_.zero(states[0], layer.channels, down(layer.stride), layer.stride);
      states.push_back(std::move(sum));
    }
    return kind.concatenates ? count_.concatenated(states, chosen.concat) : states.back();
  }

  Activation residual_block(const PlacedLayer& layer) {
    const Activation x = last_.state;
    const std::vector<Link> main = {{K::relu},  conv(3, layer.stride), {K::batch_norm}, {K::relu},
                                    conv(3, 1), {K::batch_norm}};
    std::vector<Link> shortcut;
    if (layer.stride > 1) {
      Link pool{K::avg_pool, "", down(2), 2};
      pool.stride_h = down(2);
      pool.stride_w = 2;
      shortcut.push_back(pool);
    }
    if (layer.stride > 1 || x.channels != layer.channels) shortcut.push_back(conv(1, 1));
    const Activation out = count_.chain(main, x, layer.channels, nullptr, false);
    return count_.chain(shortcut, x, layer.channels, &out, false);
  }

  const Genotype& genotype_;
  const Space& space_;
  const NetworkShape& shape_;
  Counter count_;
  Flow before_{}, last_{};
};

}  // namespace

Counts count_network(const Genotype& genotype, const NetworkShape& shape) { return Walk(genotype, shape).run(); }

Counts count_operation(const Operation& operation, const Place& place, const Space& space) {
  Counter count;
  const Chain chain = lowered(operation, place.stride, space.dimensions, Phase::derived, false);
  count.chain(chain.links, count.image(place.inputs, place.height, place.width), place.channels, nullptr, false);
  return count.counts();
}

}  // namespace pydarts

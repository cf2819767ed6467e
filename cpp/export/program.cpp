// SPDX-License-Identifier: MIT
#include "export/program.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/error.hpp"

namespace pydarts {
namespace {

using K = Link::Kind;
using Doubles = std::vector<double>;

constexpr std::int64_t kMostNumbers = std::int64_t(1) << 30;  // of a buffer: C counts them in int

struct Size {
  int height, width;
};

// A link with what is folded into it.
struct Part {
  const Link* link;  // null: zeros, or a ReLU by itself
  bool zero = false;
  Doubles weight = {}, bias = {};
  bool relu_in = false, relu = false;
};

// A chain under a name, from so many channels to so many.
struct Named {
  std::string name;
  std::vector<Link> links;
  int outputs;
  bool zero = false;  // in place of a node that nothing reaches
  int down = 1, right = 1;
};

class Builder {
 public:
  Builder(const Genotype& genotype, const NetworkConfig& config, Size size, const TensorOf& tensor)
      : genotype_(genotype), space_(genotype.space), config_(config), size_(size), tensor_(tensor) {}

  CProgram build() {
    stem();
    const std::vector<PlacedLayer> layers = layers_of(space_, config_.cells, config_.channels);
    for (int i = 0; i < int(layers.size()); ++i) {
      const std::string name = text("cells.", i);
      const CTensor out = layers[i].cell < 0 ? residual_block(layers[i], name) : cell(layers[i], name);
      before_ = last_;
      before_halvings_ = last_halvings_;
      last_ = out;
      last_halvings_ += layers[i].stride > 1;
    }
    CTensor x = last_;
    if (space_.stack.norm_relu) x = chain({"lastact", {{K::batch_norm, ".0"}, {K::relu}}, x.channels}, x);
    const Size window = size(x);
    CStep pool{CStep::Kind::avg_pool, x, created(x.channels, {1, 1})};
    pool.rows = window.height;
    pool.columns = window.width;
    const CTensor features = pool.writes;
    program_.steps.push_back(std::move(pool));
    CStep classifier{CStep::Kind::convolution, features, created(config_.classes, {1, 1})};
    classifier.weight = floats(tensor_("classifier.weight", std::size_t(config_.classes) * features.channels));
    classifier.bias = floats(tensor_("classifier.bias", std::size_t(config_.classes)));
    program_.steps.push_back(std::move(classifier));
    take_relu_early();
    return std::move(program_);
  }

 private:
  static std::vector<float> floats(const Doubles& values) { return {values.begin(), values.end()}; }

  int down(int stride) const { return space_.dimensions == 1 ? 1 : stride; }
  Link conv(const std::string& tail, int side, int stride, int channels = 0) const {
    return convolution(tail, side, stride, space_.dimensions, channels);
  }

  CTensor created(int channels, const Size& size) {
    const CBuffer buffer{channels, size.height, size.width};
    require(buffer.values() <= kMostNumbers, "images of ", size_.height, " x ", size_.width,
            " make activations of more than ", kMostNumbers, " numbers");
    program_.buffers.push_back(buffer);
    return {int(program_.buffers.size()) - 1, 0, channels};
  }

  Size size(const CTensor& x) const {
    const CBuffer& buffer = program_.buffers[x.buffer];
    return {buffer.height, buffer.width};
  }

  static int extent(const Link& link, int side, int kernel, int padding, int stride) {
    if (link.kind == K::reduce) return (side - 1) / stride + 1;
    const int left = side + 2 * padding - link.dilation * (kernel - 1) - 1;
    require(left >= 0, "the images are too small: a window of ", kernel, " stands on a side of ", side);
    return left / stride + 1;
  }

  static Size size_after(const Link& link, const Size& s) {
    if (!link.is_pool() && link.kind != K::depthwise && link.kind != K::convolution && link.kind != K::reduce) return s;
    return {extent(link, s.height, link.kernel_h, link.pad_h(), link.stride_h),
            extent(link, s.width, link.kernel_w, link.pad_w(), link.stride_w)};
  }

  static Size size_after(const Named& named, Size s) {
    if (named.zero) return {(s.height - 1) / named.down + 1, (s.width - 1) / named.right + 1};
    for (const Link& link : named.links) s = size_after(link, s);
    return s;
  }

  static int channels_after(const Link& link, int channels, int outputs) {
    if (link.kind != K::convolution && link.kind != K::reduce) return channels;
    return link.channels > 0 ? link.channels : outputs;
  }

  static int channels_after(const Named& named, int channels) {
    if (named.zero) return named.outputs;
    for (const Link& link : named.links) channels = channels_after(link, channels, named.outputs);
    return channels;
  }

  void stem() {
    const CTensor image = created(config_.in_channels, size_);
    const int channels = config_.channels;
    if (config_.stem == Stem::cifar) {
      before_ = last_ = chain({"stem", {conv(".0", 3, 1), {K::batch_norm, ".1"}}, space_.stack.stem * channels}, image);
      return;
    }
    before_ = chain(
        {"stem0",
         {conv(".0", 3, 2, channels / 2), {K::batch_norm, ".1"}, {K::relu}, conv(".3", 3, 2), {K::batch_norm, ".4"}},
         channels},
        image);
    last_ = chain({"stem1", {{K::relu}, conv(".1", 3, 2), {K::batch_norm, ".2"}}, channels}, before_);
    before_halvings_ = 2;
    last_halvings_ = 3;
  }

  CTensor preprocessed(const CTensor& x, int halvings, int channels, const std::string& name) {
    const bool reduced = halvings < last_halvings_;
    return chain({name, (reduced ? factorized_reduce(space_.dimensions) : relu_conv_bn()).links, channels}, x);
  }

  CTensor cell(const PlacedLayer& layer, const std::string& name) {
    const Cell& kind = space_.cells[layer.cell];
    const CellGenotype& chosen = genotype_.cells[layer.cell];
    std::vector<CTensor> states;
    if (kind.inputs == 2) {
      states.push_back(preprocessed(before_, before_halvings_, layer.channels, name + ".preprocess0"));
      states.push_back(preprocessed(last_, last_halvings_, layer.channels, name + ".preprocess1"));
    } else {
      states.push_back(kind.preprocessed ? preprocessed(last_, last_halvings_, layer.channels, name + ".preprocess")
                                         : last_);
    }
    const bool official = space_.parameter_names == ParameterNames::nas_bench_201;
    std::vector<int> outputs = chosen.concat;  // the states that are put out
    CTensor output{-1, 0, 0};
    for (int node = 0, at = 0; at < int(chosen.operations.size()); ++node) {
      struct Edge {
        Named named;
        int source;
      };
      std::vector<Edge> edges;
      for (int i = 0; i < kind.kept(node); ++i, ++at) {
        const auto& [operation, source] = chosen.operations[at];
        const Chain lowered_chain = lowered(*space_.find(kind, operation), source < kind.inputs ? layer.stride : 1,
                                            space_.dimensions, Phase::derived, false);
        if (lowered_chain.gives != Chain::Gives::output) continue;
        edges.push_back(
            {{text(name, official ? ".layers." : "._ops.", at), lowered_chain.links, layer.channels}, source});
      }
      if (edges.empty()) edges.push_back({{name, {}, layer.channels, true, down(layer.stride), layer.stride}, 0});
      const CTensor& first = states[edges[0].source];
      const Size out_size = size_after(edges[0].named, size(first));
      const int channels = channels_after(edges[0].named, first.channels);
      const int index = kind.inputs + node;
      const auto found = std::find(outputs.begin(), outputs.end(), index);
      CTensor total;
      if (outputs.size() > 1 && found != outputs.end()) {
        if (output.buffer < 0) output = created(channels * int(outputs.size()), out_size);
        total = {output.buffer, int(found - outputs.begin()) * channels, channels};
      } else {
        total = created(channels, out_size);
      }
      for (std::size_t k = 0; k < edges.size(); ++k) chain(edges[k].named, states[edges[k].source], &total, k > 0);
      states.push_back(total);
    }
    if (output.buffer >= 0) return output;
    return states[kind.concatenates ? std::size_t(outputs[0]) : states.size() - 1];
  }

  CTensor residual_block(const PlacedLayer& layer, const std::string& name) {
    const CTensor x = last_;
    const Named main{name,
                     {{K::relu},
                      conv(".conv_a.op.1", 3, layer.stride),
                      {K::batch_norm, ".conv_a.op.2"},
                      {K::relu},
                      conv(".conv_b.op.1", 3, 1),
                      {K::batch_norm, ".conv_b.op.2"}},
                     layer.channels};
    Named shortcut{name, {}, layer.channels};
    if (layer.stride > 1) {
      Link pool{K::avg_pool, "", down(2), 2};
      pool.stride_h = down(2);
      pool.stride_w = 2;
      shortcut.links.push_back(pool);
    }
    if (layer.stride > 1 || x.channels != layer.channels) shortcut.links.push_back(conv(".downsample.1", 1, 1));
    const CTensor total = created(layer.channels, size_after(main, size(x)));
    chain(main, x, &total, false);
    chain(shortcut, x, &total, true);
    return total;
  }

  // Appends the steps of a chain; what it gives goes to the target, if there is one.
  CTensor chain(const Named& named, CTensor x, const CTensor* target = nullptr, bool accumulate = false) {
    std::vector<Part> parts = folded(named, x.channels);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const Part& part = parts[i];
      // What is added to others cannot be cut off at zero together with them.
      if (i + 1 == parts.size() && target && !(accumulate && part.relu))
        return add(part, named, x, *target, accumulate);
      CTensor to;
      if (part.zero)
        to = created(named.outputs, size_after(named, size(x)));
      else if (part.link)
        to = created(channels_after(*part.link, x.channels, named.outputs), size_after(*part.link, size(x)));
      else
        to = created(x.channels, size(x));
      x = add(part, named, x, to, false);
    }
    if (!target) return x;
    CStep copy{CStep::Kind::copy, x, *target};
    copy.accumulate = accumulate;
    program_.steps.push_back(std::move(copy));
    return *target;
  }

  std::vector<Part> folded(const Named& named, int channels) {
    if (named.zero) return {{nullptr, true}};
    std::vector<Part> parts;
    bool waiting = false;  // a ReLU, for the convolution that follows
    for (std::size_t i = 0; i < named.links.size(); ++i) {
      const Link& link = named.links[i];
      if (link.kind == K::relu) {
        const Link* next = i + 1 < named.links.size() ? &named.links[i + 1] : nullptr;
        if (!parts.empty()) {
          parts.back().relu = true;
        } else if (next && !next->is_pool()) {
          waiting = true;
        } else {
          parts.push_back({nullptr});
          parts.back().relu = true;
        }
        continue;
      }
      if (link.kind == K::batch_norm) {
        const auto [scale, shift] = affine(named.name + link.tail, channels);
        if (!parts.empty() && !parts.back().weight.empty() && !parts.back().relu) {
          Part& last = parts.back();
          const std::size_t each = last.weight.size() / scale.size();
          for (std::size_t o = 0; o < scale.size(); ++o) {
            for (std::size_t k = 0; k < each; ++k) last.weight[o * each + k] *= scale[o];
            last.bias[o] = last.bias[o] * scale[o] + shift[o];
          }
        } else {
          parts.push_back({&link, false, scale, shift, waiting});
        }
      } else if (link.is_pool()) {
        parts.push_back({&link});
      } else {
        const int outputs = channels_after(link, channels, named.outputs);
        parts.push_back({&link, false, weight(named.name, link, channels, outputs), Doubles(outputs), waiting});
        channels = outputs;
      }
      waiting = false;
    }
    return parts;
  }

  Doubles weight(const std::string& name, const Link& link, int inputs, int outputs) {
    const std::size_t each = std::size_t(link.kind == K::depthwise ? 1 : inputs) * link.kernel_h * link.kernel_w;
    if (link.kind != K::reduce) return tensor_(name + link.tail + ".weight", each * outputs);
    Doubles both = tensor_(name + ".conv_1.weight", each * (outputs / 2));
    const Doubles second = tensor_(name + ".conv_2.weight", each * (outputs - outputs / 2));
    both.insert(both.end(), second.begin(), second.end());
    return both;
  }

  std::pair<Doubles, Doubles> affine(const std::string& name, int channels) {
    const std::size_t count = std::size_t(channels);
    Doubles scale = tensor_(name + ".weight", count), shift = tensor_(name + ".bias", count);
    const Doubles mean = tensor_(name + ".running_mean", count), variance = tensor_(name + ".running_var", count);
    for (std::size_t c = 0; c < count; ++c) {
      scale[c] = scale[c] / std::sqrt(variance[c] + kBatchNormEpsilon);
      shift[c] = shift[c] - mean[c] * scale[c];
    }
    return {scale, shift};
  }

  CTensor add(const Part& part, const Named&, const CTensor& x, const CTensor& to, bool accumulate) {
    CStep step{CStep::Kind::convolution, x, to};
    step.accumulate = accumulate;
    step.relu = part.relu;
    if (part.zero) {
      step.kind = CStep::Kind::zero;
    } else if (!part.link) {
      step.kind = CStep::Kind::copy;
    } else {
      const Link& link = *part.link;
      step.rows = link.kernel_h;
      step.columns = link.kernel_w;
      step.down = link.stride_h;
      step.right = link.stride_w;
      step.top = link.pad_h();
      step.left = link.pad_w();
      if (link.is_pool()) {
        step.kind = link.kind == K::max_pool ? CStep::Kind::max_pool : CStep::Kind::avg_pool;
      } else {
        step.relu_in = part.relu_in;
        step.dilation = link.dilation;
        step.depthwise = link.kind == K::batch_norm || (link.kind == K::depthwise && x.channels > 1);
        step.weight = floats(part.weight);
        step.bias = floats(part.bias);
        if (link.kind == K::reduce) {  // the second half sees the image shifted by a pixel
          CStep second = step;
          const int half = to.channels / 2;
          const std::size_t weights = std::size_t(half) * x.channels;
          step.writes.channels = half;
          step.weight.resize(weights);
          step.bias.resize(std::size_t(half));
          second.writes = {to.buffer, to.first + half, to.channels - half};
          second.weight.erase(second.weight.begin(), second.weight.begin() + std::ptrdiff_t(weights));
          second.bias.erase(second.bias.begin(), second.bias.begin() + half);
          second.top = 1 - link.stride_h;
          second.left = 1 - link.stride_w;
          program_.steps.push_back(std::move(step));
          step = std::move(second);
        }
      }
    }
    program_.steps.push_back(std::move(step));
    return to;
  }

  // Where all that read a buffer take max(x, 0) of it, it is written so, once.
  void take_relu_early() {
    auto& steps = program_.steps;
    for (int index = 0; index < int(program_.buffers.size()); ++index) {
      std::vector<CStep*> readers;
      std::vector<CStep*> writers(std::size_t(program_.buffers[index].channels));  // the last one of each channel
      for (CStep& step : steps) {
        if (step.reads.buffer == index) readers.push_back(&step);
        if (step.writes.buffer == index) std::fill_n(writers.begin() + step.writes.first, step.writes.channels, &step);
      }
      const auto takes = [](const CStep* step) { return step->relu_in; };
      if (readers.empty() || !std::all_of(readers.begin(), readers.end(), takes)) continue;
      if (std::find(writers.begin(), writers.end(), nullptr) != writers.end()) continue;  // the image
      for (CStep* reader : readers) reader->relu_in = false;
      for (CStep* writer : writers) writer->relu = true;
    }
  }

  const Genotype& genotype_;
  const Space& space_;
  const NetworkConfig& config_;
  const Size size_;
  const TensorOf& tensor_;
  CProgram program_;
  CTensor before_{}, last_{};
  int before_halvings_ = 0, last_halvings_ = 0;
};

}  // namespace

std::int64_t CProgram::macs() const {
  std::int64_t total = 0;
  for (const CStep& step : steps)
    if (step.kind == CStep::Kind::convolution)
      total += std::int64_t(step.weight.size()) * buffers[step.writes.buffer].plane();
  return total;
}

CProgram c_program(const Genotype& genotype, const NetworkConfig& config, int height, int width,
                   const TensorOf& tensor) {
  return Builder(genotype, config, {height, width}, tensor).build();
}

}  // namespace pydarts

// SPDX-License-Identifier: MIT
#include "export/c_file.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

#include "core/error.hpp"

namespace pydarts {
namespace {

using Kind = CStep::Kind;

constexpr std::size_t kColumns = 110;
constexpr std::int64_t kAlignment = 16;  // bytes, of a vector of any small processor
constexpr std::int64_t kFloat = 4;

constexpr const char* kIncludes = "#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <string.h>";
constexpr const char* kRestrict =
    "#if defined(__GNUC__)\n#define NAME_RESTRICT __restrict__\n#elif defined(__cplusplus)\n#define NAME_RESTRICT\n"
    "#else\n#define NAME_RESTRICT restrict\n#endif";
constexpr const char* kContraction = "#if defined(__clang__)\n#pragma STDC FP_CONTRACT OFF\n#endif";

bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

// With the prefix for NAME before an underscore.
std::string prefixed(std::string text, const std::string& prefix) {
  const std::string mark = "NAME_";
  for (std::size_t at = 0; (at = text.find(mark, at)) != std::string::npos;) {
    if (at > 0 && is_word(text[at - 1])) {
      at += mark.size();
      continue;
    }
    text.replace(at, mark.size() - 1, prefix);
    at += prefix.size();
  }
  return text;
}

// ---- The arena ----

// Bytes that are in use from one time to another, both included.
struct Block {
  std::int64_t size;
  int start, end;
};

struct Layout {
  std::vector<std::int64_t> offsets;
  std::int64_t size = 0;
};

Layout placed(const std::vector<Block>& blocks, const std::vector<std::size_t>& order) {
  Layout layout{std::vector<std::int64_t>(blocks.size())};
  std::vector<std::size_t> done;
  for (std::size_t i : order) {
    const Block& block = blocks[i];
    std::vector<std::pair<std::int64_t, std::int64_t>> rivals;
    for (std::size_t k : done)
      if (blocks[k].start <= block.end && block.start <= blocks[k].end)
        rivals.emplace_back(layout.offsets[k], layout.offsets[k] + blocks[k].size);
    std::sort(rivals.begin(), rivals.end());
    std::int64_t at = 0;
    for (const auto& [taken, free] : rivals) {
      if (at + block.size <= taken) break;
      at = std::max(at, (free + kAlignment - 1) / kAlignment * kAlignment);
    }
    layout.offsets[i] = at;
    layout.size = std::max(layout.size, at + block.size);
    done.push_back(i);
  }
  return layout;
}

// Places such that no two blocks share a byte at one time: the largest goes first to the lowest place that is free for
// all its life; the same in the order of time; the smaller arena of the two is taken.
Layout planned(const std::vector<Block>& blocks) {
  std::vector<std::size_t> by_size(blocks.size());
  std::iota(by_size.begin(), by_size.end(), std::size_t(0));
  std::vector<std::size_t> by_time = by_size;
  std::stable_sort(by_size.begin(), by_size.end(), [&](std::size_t a, std::size_t b) {
    return std::make_tuple(-blocks[a].size, blocks[a].start) < std::make_tuple(-blocks[b].size, blocks[b].start);
  });
  std::stable_sort(by_time.begin(), by_time.end(), [&](std::size_t a, std::size_t b) {
    return std::make_tuple(blocks[a].start, -blocks[a].size) < std::make_tuple(blocks[b].start, -blocks[b].size);
  });
  Layout first = placed(blocks, by_size), second = placed(blocks, by_time);
  return second.size < first.size ? second : first;
}

// Of all buffers but the logits.
Layout layout_of(const CProgram& program) {
  std::vector<Block> blocks;
  for (int index = 0; index + 1 < int(program.buffers.size()); ++index) {
    Block block{program.buffers[index].values() * kFloat, -1, -1};
    for (int i = 0; i < int(program.steps.size()); ++i) {
      const CStep& step = program.steps[i];
      if (step.reads.buffer != index && step.writes.buffer != index) continue;
      if (block.start < 0 && index > 0) block.start = i;
      block.end = i;
    }
    blocks.push_back(block);
  }
  return planned(blocks);
}

// ---- Text ----

std::string number(float value) {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out.precision(9);
  out << value;
  const std::string digits = out.str();
  return digits + (digits.find_first_of(".e") == std::string::npos ? ".0f" : "f");
}

// 1234567 as 1,234,567.
std::string grouped(std::int64_t value) {
  std::string digits = std::to_string(value);
  for (int at = int(digits.size()) - 3; at > 0; at -= 3) digits.insert(std::size_t(at), ",");
  return digits;
}

std::string joined(const std::vector<std::string>& lines, const char* between) {
  std::string out;
  for (std::size_t i = 0; i < lines.size(); ++i) out += (i ? between : "") + lines[i];
  return out;
}

// A comment that nothing in the text can end, in ASCII.
std::string comment(const std::vector<std::string>& lines) {
  std::vector<std::string> wrapped;
  for (const std::string& line : lines) {
    std::string plain;
    for (char c : line) {
      const char shown = c >= ' ' && c <= '~' ? c : '?';
      // What would end or begin a comment, or begin a trigraph, is torn apart.
      const char before = plain.empty() ? ' ' : plain.back();
      if ((before == '*' && shown == '/') || (before == '/' && shown == '*') || (before == '?' && shown == '?'))
        plain += ' ';
      plain += shown;
    }
    while (plain.size() > kColumns) {
      std::size_t at = plain.rfind(' ', kColumns);
      if (at == std::string::npos || at == 0) at = kColumns;
      wrapped.push_back(plain.substr(0, at));
      plain.erase(0, at + (plain[at] == ' '));
    }
    wrapped.push_back(plain);
  }
  std::string out = "/*";
  for (const std::string& line : wrapped)
    out += (out.size() > 2 ? std::string("\n *") : std::string()) + (line.empty() ? "" : " ") + line;
  return out + "\n */";
}

// Constant arrays as they are added, with the bytes that they take.
struct Constants {
  const std::string& prefix;
  std::vector<std::string> lines = {};
  std::int64_t bytes = 0;

  std::string array(const std::string& name, const std::vector<float>& values) {
    const std::string full = prefix + "_" + name;
    bytes += kFloat * std::int64_t(values.size());
    lines.push_back(text("static const float ", full, "[", values.size(), "] = {"));
    std::string line;
    for (float value : values) {
      require(std::isfinite(value), "`network` has NaN or infinite numbers in ", full);
      const std::string item = number(value);
      if (!line.empty() && line.size() + item.size() + 2 > kColumns) {
        lines.push_back("  " + line);
        line.clear();
      }
      line += (line.empty() ? "" : " ") + item + ",";
    }
    if (!line.empty()) lines.push_back("  " + line);
    lines.emplace_back("};");
    return full;
  }
};

std::string function(const std::string& head, const std::vector<std::string>& lines) {
  std::string out = head + "\n{";
  for (const std::string& line : lines) out += "\n  " + line;
  return out + "\n}";
}

class Writer {
 public:
  Writer(const CProgram& program, const std::string& prefix)
      : program_(program), prefix_(prefix), layout_(layout_of(program)), before_{prefix}, constants_{prefix} {}

  CFile write(const std::vector<float>& mean, const std::vector<float>& deviation,
              const std::vector<std::string>& about) {
    const std::string& p = prefix_;
    int largest = 0;
    for (const CBuffer& b : program_.buffers) largest = std::max({largest, b.channels, b.height, b.width});
    const bool narrow = largest < 1 << 15;
    std::vector<std::string> calls;
    for (std::size_t i = 0; i < program_.steps.size(); ++i) calls.push_back(call(int(i), narrow ? 2 : 4));
    std::stable_sort(kernels_.begin(), kernels_.end(),
                     [](const auto& a, const auto& b) { return is_base(a) > is_base(b); });
    kernels_.emplace_back("float_input");
    before_.array("mean", mean);
    before_.array("unit", deviation);
    const CBuffer& first = program_.buffers[0];
    const std::string at = text("c * ", first.plane(), " + k");
    const struct {
      std::string head, value;
    } functions[] = {
        {text("void ", p, "_predict(const float *image, float *logits)"), text(p, "_input(image[", at, "], c)")},
        {text("void ", p, "_predict_u8(const uint8_t *image, float *logits)"),
         text(p, "_input((float)image[", at, "], c)")}};

    const CFile costs{{}, before_.bytes + constants_.bytes, layout_.size, program_.macs()};
    std::vector<std::string> top = about;
    top.insert(top.end(), {"",
                           text(grouped(costs.macs), " multiply-adds; ", grouped(costs.constants),
                                " bytes of constants in flash, and the code;"),
                           text(grouped(costs.arena), " bytes of static memory, and less than 2,048 of the stack."),
                           "Not re-entrant: all calls share the static memory."});
    std::vector<std::string> body = {comment(top), kIncludes};
    std::string declarations = "#ifdef __cplusplus\nextern \"C\" {\n#endif\n";
    for (const auto& f : functions) declarations += f.head + ";\n";
    body.push_back(declarations + "#ifdef __cplusplus\n}\n#endif");
    body.push_back(prefixed(kRestrict, p));
    body.emplace_back(kContraction);
    body.push_back(text("typedef ", narrow ? "short" : "int", " ", p, "_size;\nenum { ", p, "_INPUT_ZERO = 0 };"));
    body.push_back(joined(before_.lines, "\n"));
    for (std::size_t i = 0; i < kernels_.size(); ++i) {
      if (std::find(kernels_.begin(), kernels_.begin() + std::ptrdiff_t(i), kernels_[i]) !=
          kernels_.begin() + std::ptrdiff_t(i))
        continue;
      std::string kernel = c_kernel(kernels_[i]);
      kernel.erase(0, kernel.find('\n') + 1);  // the licence is stated once
      while (!kernel.empty() && kernel.back() == '\n') kernel.pop_back();
      body.push_back(prefixed(kernel, p));
    }
    body.push_back(joined(constants_.lines, "\n"));
    body.push_back(text("static float ", p, "_arena[", (layout_.size + kFloat - 1) / kFloat, "];"));
    body.push_back(function(text("static void ", p, "_run(float *logits)"), calls));
    for (const auto& f : functions)
      body.push_back(
          function(f.head, {text("float *first = ", place({0, 0, first.channels}), ";"), "int c, k;",
                            text("for (c = 0; c < ", first.channels, "; ++c)"),
                            text("  for (k = 0; k < ", first.plane(), "; ++k) first[", at, "] = ", f.value, ";"),
                            text(p, "_run(logits);")}));
    return {joined(body, "\n\n") + "\n", costs.constants, costs.arena, costs.macs};
  }

 private:
  // What other kernels build on.
  static bool is_base(const std::string& kernel) { return kernel == "layer" || kernel == "range"; }

  std::string place(const CTensor& tensor) const {
    if (tensor.buffer + 1 == int(program_.buffers.size())) return "logits";
    const std::int64_t first = tensor.first * program_.buffers[tensor.buffer].plane();
    return text(prefix_, "_arena + ", layout_.offsets[tensor.buffer] / kFloat + first);
  }

  // The call of a step, whose layer and kernels it adds.
  std::string call(int index, int width) {
    const CStep& step = program_.steps[index];
    const std::string& p = prefix_;
    const std::string source = place(step.reads), target = place(step.writes);
    if (step.kind == Kind::zero) {
      kernels_.emplace_back("float_zero");
      const std::int64_t count = step.writes.channels * program_.buffers[step.writes.buffer].plane();
      return text(p, "_zero(", target, ", ", count, ");");
    }
    const std::string layer = text(p, "_layer_", index);
    std::string weights, name;
    std::vector<std::string> needed;
    switch (step.kind) {
      case Kind::convolution:
        weights = constants_.array(text("weight_", index), step.weight) + ", ";
        weights += constants_.array(text("bias_", index), step.bias) + ", ";
        name = step.is_pointwise() ? "pointwise" : "conv";
        needed = step.is_pointwise() ? std::vector<std::string>{"float_pointwise"}
                                     : std::vector<std::string>{"range", "float_conv"};
        break;
      case Kind::copy:
        name = "copy";
        needed = {"float_store", "float_copy"};
        break;
      default:
        name = step.kind == Kind::max_pool ? "max" : "avg";
        needed = {"range", "float_store", "float_" + name};
    }
    add_layer(layer, step, width);
    kernels_.emplace_back("layer");
    kernels_.insert(kernels_.end(), needed.begin(), needed.end());
    return text(p, "_", name, "(", source, ", ", weights, "&", layer, ", ", target, ");");
  }

  // The members of the structure in kernels/layer.c.
  void add_layer(const std::string& layer, const CStep& step, int width) {
    const CBuffer &source = program_.buffers[step.reads.buffer], &target = program_.buffers[step.writes.buffer];
    const int flags = step.depthwise + 2 * step.relu_in + 4 * step.accumulate + 8 * step.relu;
    const int members[] = {step.reads.channels,
                           source.height,
                           source.width,
                           step.writes.channels,
                           target.height,
                           target.width,
                           step.rows,
                           step.columns,
                           step.down,
                           step.right,
                           step.dilation,
                           step.top,
                           step.left,
                           flags,
                           0,
                           0};
    std::string line = text("static const ", prefix_, "_layer ", layer, " = {");
    for (std::size_t i = 0; i < std::size(members); ++i) line += text(i ? ", " : "", members[i]);
    constants_.bytes += width * std::int64_t(std::size(members));
    constants_.lines.push_back(line + "};");
  }

  const CProgram& program_;
  const std::string& prefix_;
  const Layout layout_;
  Constants before_, constants_;
  std::vector<std::string> kernels_;
};

}  // namespace

CFile c_file(const CProgram& program, const std::string& name, const std::vector<float>& mean,
             const std::vector<float>& deviation, const std::vector<std::string>& about) {
  return Writer(program, name).write(mean, deviation, about);
}

}  // namespace pydarts

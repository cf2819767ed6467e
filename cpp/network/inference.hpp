// SPDX-License-Identifier: MIT
// Evaluation of a derived network with its running statistics: batch normalisations folded into the products, one image
// at a time through the whole network, so that what it works on stays in the cache of one core.
#pragma once
#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "core/memory.hpp"
#include "core/parallel.hpp"
#include "network/graph.hpp"

namespace pydarts {

// What to do for one image of a size, in order, and where everything stands; independent of weights and batch.
//
// Steps of one phase depend on steps of earlier phases, or on the same rows of earlier steps of their own phase: the
// rows of an output are cut into bands, and a task takes its band through all steps of a phase.
struct Program {
  Program(const Graph& graph, int height, int width);

  enum class Kind : std::uint8_t { unit, pool, identity, tile, zero };
  struct Place {
    std::size_t at = 0;
    Halo halo{};
  };
  struct Target {  // a node that a step gives to
    int node;
    bool accumulate;
  };
  struct Step {
    Kind kind;
    int index;  // of the unit, pool or state
    int phase;
    bool relu;                    // tile: of relu(x)
    std::vector<Target> targets;  // empty: a unit inside a chain, a tile
    bool bias = false;            // a unit that brings the biases of its node
    bool y_relu = false;          // a unit whose node is read through the ReLU by the head
    int height = 0;               // of the output
  };

  int height, width;
  std::vector<Step> steps;
  std::vector<int> phases;       // the first step of each, then their number
  std::vector<UnitShape> units;  // with their sizes
  std::vector<PoolShape> pools;
  std::vector<int> rows;                    // of a unit at a time
  std::vector<std::size_t> states;          // their places
  std::vector<std::array<int, 2>> sizes;    // and sizes
  std::vector<std::array<Place, 2>> tiles;  // of a state: of x, of relu(x)
  std::vector<Place> outputs;               // of units inside chains
  std::vector<std::vector<int>> offsets;    // of a unit's pixels in a tile
  std::vector<double> work;                 // multiplications with their additions of each phase
  std::size_t arena_size = 0, scratch_size = 0;
};

template <class T>
class Inference {
 public:
  // Whether a graph is one that this can evaluate: without architecture parameters, with one operation an edge, and
  // without batch normalisations that follow no product.
  static bool suits(const Graph& graph);

  Inference(const Graph& graph, const MemoryHooks& memory);

  // The program for a size; `made`, if given, tells whether it is new.
  const Program& program(int height, int width, bool* made = nullptr);

  // Of the memory of a pass, in elements: arenas first, one or a thread's each, then the threads' scratch.
  struct Layout {
    bool by_bands;  // threads share an image; else each takes images
    std::size_t scratch, size;
  };
  static Layout layout(const Program& program, const Threads& threads, int samples);
  // Elements that the folded weights take.
  std::size_t folded_size() const { return packed_size_ + graph_.num_weights + graph_.num_running; }

  // (samples, classes) into `logits`. `stopped` is asked between steps; once it says so, the rest is left out.
  void run(const Program& program, const Threads& threads, const T* images, int samples, const T* weights,
           const T* running, T* memory, const std::function<bool()>& stopped, T* logits);

 private:
  struct Pass;

  void fold(const Threads& threads, const T* weights, const T* running);
  void fold(const Unit& unit, const T* weights, const T* running, std::size_t at);
  void run_step(const Program& program, const Program::Step& step, const Pass& pass, int band, int bands) const;
  void run_head(const Program& program, const Pass& pass, T* logits) const;

  const Graph& graph_;
  const Kernels<T>& kernels_;
  std::vector<std::unique_ptr<Program>> programs_;  // of the sizes seen last
  std::vector<std::size_t> at_;                     // of a unit's packed weights: depthwise, product, bias
  std::size_t packed_size_ = 0;
  Vector<T> packed_;
  Vector<T> seen_weights_, seen_running_;  // from which packed_ was made
};

}  // namespace pydarts

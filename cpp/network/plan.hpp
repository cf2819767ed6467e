// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/communicator.hpp"
#include "core/memory.hpp"
#include "core/pairs.hpp"
#include "network/graph.hpp"

namespace pydarts {

// Sizes, places and lifetimes of all activations of a graph for one batch and image size. Offsets and
// strides are in elements of the arena. Of several ranks each has a part of the batch: what follows is of one rank, and
// its samples and tasks are counted from its own first one, where nothing else is said.
struct Plan {
  Plan(const Graph& graph, int samples, int height, int width, bool backward, bool recompute, int rank = 0,
       int ranks = 1);

  struct StatePlace {
    int h, w;
    std::size_t at, stride;  // activation
    std::size_t gradient, gradient_stride;
    std::vector<std::size_t> partial;  // by level, the tasks' gradients of its weights: [task][unit]
    int group;                         // samples that a task takes through a phase together
    int all_tasks;  // of a phase: cut by batch and image alone, so that sums depend on neither threads nor ranks
    int first_task, tasks;
    std::vector<PairNode> nodes;       // of several ranks: what this one's tasks are of the tree of all tasks' sums,
    std::vector<int> node_counts;      // how many such parts every rank has,
    std::vector<std::uint8_t> levels;  // and their levels
    int plane() const { return h * w; }
  };
  struct OutputPlace {  // of what leaves a state, in either pass: the same place unless it is made again
    std::size_t forward, backward;
  };
  struct UnitPlace {
    UnitShape shape;
    OutputPlace at;        // raw output; samples are out_blocks * out_plane * lanes apart
    std::size_t gradient;  // at the normalised output of a unit that has a next one
    std::size_t stride() const { return std::size_t(shape.out_blocks) * shape.out_plane() * kLanes; }
  };
  struct PoolPlace {
    PoolShape shape;
    OutputPlace at;
    std::size_t stride() const { return std::size_t(shape.blocks) * shape.out_h * shape.out_w * kLanes; }
  };
  struct NoisePlace {
    int h, w;
    OutputPlace at;
    std::size_t stride;
    int plane() const { return h * w; }
  };

  int samples;  // of the batch
  int height, width;
  int first, held;                // samples of this rank
  std::vector<int> rank_samples;  // where those of each rank begin; then `samples`
  std::vector<int> rank_nodes;    // the most parts that a rank has in a state
  bool backward;
  bool recompute;  // what leaves a state is not kept, but made again for the state's backward
  std::vector<StatePlace> states;
  std::vector<UnitPlace> units;
  std::vector<PoolPlace> pools;
  std::vector<NoisePlace> noises;
  std::vector<int> affine_plane;  // pixels of the output that an affine map belongs to
  std::size_t arena_size = 0;
  std::size_t scratch_size = 0;  // a thread
  std::size_t sums_size = 0;     // of the tasks of a phase: [task][affine][2][lane]

  // A task of a phase of a state works on the samples from its own first one to that of the next task.
  int first_sample(int state, int task) const {
    const StatePlace& place = states[state];
    return int((long long)samples * (place.first_task + task) / place.all_tasks) - first;
  }

 private:
  void measure(const Graph& graph);
  void divide(int rank, int ranks);
  void place(const Graph& graph);
  void size_scratch(const Graph& graph);
};

constexpr int kMaxTasks = 128;  // of a phase

// From a task's sums of what leaves a state to the next one's: no whole page, or those of a channel would share one set
// of the cache.
inline std::size_t sums_distance(const State& state) { return state.lanes * 2 + kCacheLine / sizeof(double); }

// What a task keeps in its thread's scratch while it takes a group of samples through one level of a state.
template <class T>
struct LevelBuffers {
  LevelBuffers(const Graph& graph, const Plan& plan, int v, int level, Scratch<T> scratch);

  T* tiles[2];     // level 0: of the state, and of its ReLU; else tiles[0]: of a unit's input
  T* gradient;     // at what the tiles are of
  Scratch<T> own;  // of a kernel
  std::size_t size;
};

// The plan for such a batch, which becomes the last: the first is the one that was used longest ago. Null: there is
// none.
const Plan* find_plan(std::vector<std::unique_ptr<Plan>>& plans, int samples, int height, int width, bool backward);

// Halo of the tile of a state, or of a unit's input: what its widest reader needs.
Halo unit_halo(const Unit& unit);
Halo state_halo(const Graph& graph, const State& state, bool relu);

}  // namespace pydarts

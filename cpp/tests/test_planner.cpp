// SPDX-License-Identifier: MIT
// The planner against its plain version, which looks at every buffer that is placed; sizes of arenas that it has given;
// the time of the largest supernet.
#include <algorithm>
#include <ctime>
#include <numeric>
#include <vector>

#include "check.hpp"
#include "core/planner.hpp"
#include "core/random.hpp"
#include "network/plan.hpp"

using namespace pydarts;

namespace {

struct Block {
  std::size_t size, offset;
  Lifetime lifetime;
};

bool overlap(const Lifetime& a, const Lifetime& b) { return a.birth <= b.death && b.birth <= a.death; }

// Largest first, each at the lowest place where no live buffer stands.
void place_plainly(std::vector<Block>& blocks) {
  std::vector<int> order(blocks.size()), placed;
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return blocks[a].size > blocks[b].size; });
  for (int index : order) {
    Block& block = blocks[index];
    block.offset = 0;
    for (int other : placed)  // by offset
      if (overlap(blocks[other].lifetime, block.lifetime) && blocks[other].offset < block.offset + block.size)
        block.offset = std::max(block.offset, blocks[other].offset + blocks[other].size);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), index,
                                   [&](int a, int b) { return blocks[a].offset < blocks[b].offset; }),
                  index);
  }
}

void random_buffers_stand_where_the_plain_version_puts_them() {
  for (int seed = 0; seed < 200; ++seed) {
    Random random(seed);
    auto below = [&](int n) { return int(n * random.uniform()); };
    const int count = 1 + below(120), times = 1 + below(60), sizes = 1 + below(seed % 2 ? 8 : 4000);
    Planner planner;
    std::vector<Block> blocks;
    for (int i = 0; i < count; ++i) {
      const int a = below(times), b = below(3) ? std::min(times - 1, a + below(4)) : below(times);
      const Lifetime lifetime{std::min(a, b), std::max(a, b)};
      const std::size_t size = std::size_t(1 + below(sizes)) * 16;
      planner.add(size, lifetime);
      blocks.push_back({size + 144, 0, lifetime});
    }
    planner.solve();
    place_plainly(blocks);
    std::size_t end = 0;
    for (int i = 0; i < count; ++i) {
      CHECK(planner.offset(i) == blocks[i].offset);
      end = std::max(end, blocks[i].offset + blocks[i].size);
    }
    CHECK(planner.arena_size() == end);
  }
}

void arenas_have_their_sizes() {
  const CellGenotype cell{{{"sep_conv_7x7", 0}, {"conv_7x1_1x7", 1}, {"dil_conv_5x5", 2}, {"skip_connect", 0}}, {2, 3}};
  const Graph graphs[] = {supernet_graph(darts_space(), {3, 4, 5, 2}), supernet_graph(darts_space(), {16, 8, 10, 3}),
                          supernet_graph(darts_space(), {4, 20, 10, 3}),
                          derived_graph({darts_space(), {cell, cell}}, {36, 20, 10, 3}, true, 0.4)};
  const std::size_t sizes[] = {748800, 748800, 3000288,  817920,  1560960, 1560960, 16381968, 2098368,
                               748800, 748800, 15907872, 1338480, 743904,  743904,  12786768, 6307440};
  int i = 0;
  for (const Graph& graph : graphs)
    for (bool backward : {false, true})
      for (bool recompute : {false, true}) {
        const std::size_t size = Plan(graph, 6, 18, 20, backward, recompute).arena_size;
        if (sizes[i] != size) std::fprintf(stderr, "plan %d takes %zu\n", i, size);
        CHECK(sizes[i++] == size);
      }
}

// The processor time of the quickest of some plans.
double seconds_to_plan(int cells, bool recompute) {
  const Graph graph = supernet_graph(darts_space(), {4, cells, 10, 3});
  double least = 0;
  for (int i = 0; i < 3; ++i) {
    const std::clock_t start = std::clock();
    const Plan plan(graph, 2, 8, 8, true, recompute);
    const double seconds = double(std::clock() - start) / CLOCKS_PER_SEC;
    least = i ? std::min(least, seconds) : seconds;
  }
  return least;
}

// Eight times the cells take some eight times as long; where each buffer is compared with each, 64 times.
void the_largest_supernet_is_planned_in_time() {
  for (bool recompute : {false, true}) {
    const double some = seconds_to_plan(128, recompute), most = seconds_to_plan(1024, recompute);
    std::printf("1024 cells%s: %.2f s, 128: %.3f s\n", recompute ? ", recomputed" : "", most, some);
    CHECK(most < 24 * some);
  }
}

}  // namespace

int main() {
  random_buffers_stand_where_the_plain_version_puts_them();
  arenas_have_their_sizes();
  the_largest_supernet_is_planned_in_time();
  return checked();
}

#include "engine/plan/memory_planner.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace headlane {
namespace {

struct Placed {
  int64_t begin = 0;
  int64_t end = 0;
};

bool overlap(const Lifetime& a, const Lifetime& b) {
  return a.first <= b.last && b.first <= a.last;
}

// The start of the smallest gap of at least `size` between neighbours (sorted by begin), or their
// end.
int64_t best_gap(const std::vector<Placed>& neighbours, int64_t size, int64_t alignment) {
  int64_t end = 0;
  int64_t best = -1;
  int64_t best_room = std::numeric_limits<int64_t>::max();
  for (const Placed& neighbour : neighbours) {
    const int64_t room = neighbour.begin - end;
    if (room >= size && room < best_room) {
      best = end;
      best_room = room;
    }
    end = std::max(end, (neighbour.end + alignment - 1) / alignment * alignment);
  }
  return best >= 0 ? best : end;
}

}  // namespace

MemoryPlan plan_memory(std::span<const Lifetime> lifetimes, int64_t alignment) {
  std::vector<size_t> order(lifetimes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return lifetimes[a].size > lifetimes[b].size; });
  MemoryPlan plan;
  plan.offsets.assign(lifetimes.size(), 0);
  std::vector<size_t> done;
  for (const size_t i : order) {
    std::vector<Placed> neighbours;
    for (const size_t j : done) {
      if (!overlap(lifetimes[i], lifetimes[j])) continue;
      neighbours.push_back({plan.offsets[j], plan.offsets[j] + lifetimes[j].size});
    }
    std::sort(neighbours.begin(), neighbours.end(),
              [](const Placed& a, const Placed& b) { return a.begin < b.begin; });
    plan.offsets[i] = best_gap(neighbours, lifetimes[i].size, alignment);
    plan.size = std::max(plan.size, plan.offsets[i] + lifetimes[i].size);
    if (lifetimes[i].size > 0) done.push_back(i);
  }
  return plan;
}

}  // namespace headlane

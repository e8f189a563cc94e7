#include "engine/ops/packed_weight.h"

#include "engine/run/team.h"

namespace headlane {

const PackedWeight* PackedWeights::add(const std::string& name, int64_t n, int64_t k,
                                       const float* weight, const float* bias,
                                       kernels::Activation activation) {
  for (const PackedWeight& known : weights_) {
    if (known.name == name) return &known;
  }
  PackedWeight& added = weights_.emplace_back();
  added.name = name;
  added.n = n;
  added.k = k;
  added.weight = weight;
  added.bias = bias;
  added.activation = activation;
  return &added;
}

void PackedWeights::pack(const kernels::Table& kernels) {
  constexpr int64_t kAlign = kernels::kRowAlign;
  const kernels::GemmF32& gemm = kernels.gemm_f32;
  if (gemm.create) {
    Team::with_one_thread([&] {
      for (PackedWeight& w : weights_) {
        w.state = {gemm.create(w.n, w.k, w.activation), gemm.destroy};
      }
    });
  }
  std::vector<int64_t> offsets;
  int64_t floats = 0;
  for (const PackedWeight& w : weights_) {
    offsets.push_back(floats);
    floats += (gemm.packed_floats(w.n, w.k) + kAlign - 1) / kAlign * kAlign;
  }
  memory_ = Buffer(static_cast<size_t>(floats) * sizeof(float));
  float* base = static_cast<float*>(memory_.data());
  // Where the kernels' provider has threads of its own, it packs on them; ours are then one.
  Team team(gemm.create ? 1 : available_cpus());
  team.run([&](int thread, int count) {
    for (size_t i = 0; i < weights_.size(); ++i) {
      const PackedWeight& w = weights_[i];
      const Range panels = part_of(gemm.n_panels(w.n), {thread, count});
      gemm.pack(w.weight, w.bias, w.n, w.k, panels.begin, panels.end, base + offsets[i]);
    }
  });
  for (size_t i = 0; i < weights_.size(); ++i) weights_[i].packed = base + offsets[i];
}

}  // namespace headlane

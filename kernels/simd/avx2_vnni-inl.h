// Products of bytes by the VEX form of VPDPBUSD: what WidenedU8 does, in one instruction.

namespace headlane::kernels::HEADLANE_ISA {

struct NativeU8 {
  using Acc = Groups;
  static Groups a(const uint32_t* p) { return broadcast_group(p); }
  static Groups b(const uint32_t* p) { return load_groups(p); }
  static Acc load_acc(const float* p) { return load_groups(reinterpret_cast<const uint32_t*>(p)); }
  static void store_acc(float* p, Acc x) { store_groups(reinterpret_cast<uint32_t*>(p), x); }
  static Acc add(Acc x, Acc y) { return add_32(x, y); }
  static Acc step(Acc sum, Groups a, Groups b) { return _mm256_dpbusd_avx_epi32(sum, a, b); }
};

}  // namespace headlane::kernels::HEADLANE_ISA

// Products of bytes by VPDPBUSD: what WidenedU8 does, in one instruction.

namespace headlane::kernels::HEADLANE_ISA {

struct NativeU8 : S32Sums {
  static Groups a(const uint32_t* p) { return broadcast_group(p); }
  static Groups b(const uint32_t* p) { return load_groups(p); }
  static Acc step(Acc sum, Groups a, Groups b) { return _mm512_dpbusd_epi32(sum, a, b); }
};

}  // namespace headlane::kernels::HEADLANE_ISA

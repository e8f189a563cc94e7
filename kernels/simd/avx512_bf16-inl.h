// Products of pairs of bf16 by VDPBF16PS: what WidenedBf16 does, in one instruction, which takes
// denormals for zeros.

namespace headlane::kernels::HEADLANE_ISA {

struct NativeBf16 : F32Sums {
  static Groups a(const uint32_t* p) { return broadcast_group(p); }
  static Groups b(const uint32_t* p) { return load_groups(p); }
  static Acc step(Acc sum, Groups a, Groups b) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
};

}  // namespace headlane::kernels::HEADLANE_ISA

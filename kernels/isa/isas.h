// The instruction sets that there are kernels for: a row each, slowest first.
#pragma once

#include <array>
#include <string_view>

#include "kernels/kernels.h"

namespace headlane::kernels {

// The machine has these, and the system lets this process use them. dispatch.cc asks once.
struct Cpu {
  bool any = true;
  bool avx2 = false;         // AVX2, FMA and F16C, their registers saved by the system
  bool avx2_vnni = false;    // and VPDPBUSD on their registers
  bool avx512 = false;       // AVX-512 F, CD, BW, DQ and VL likewise
  bool avx512_vnni = false;  // and VPDPBUSD
  bool avx512_bf16 = false;  // and VDPBF16PS
  bool amx = false;          // beside all of these: tiles, of bf16 and of bytes
  AmxState tiles = AmxState::kAbsent;
};

// Each is defined by kernels/isa/<isa>.cc. `table` is that of the fastest set before it that the
// machine runs: fill() replaces what its own set does otherwise. It is compiled for its instruction
// set, so it is called only where that runs.
namespace ref {
void fill(Table* table);
}
namespace avx2 {
void fill(Table* table);
}
namespace avx2_vnni {
void fill(Table* table);
}
namespace avx512 {
void fill(Table* table);
}
namespace avx512_vnni {
void fill(Table* table);
}
namespace avx512_bf16 {
void fill(Table* table);
}
namespace amx {
void fill(Table* table);
}

struct Isa {
  const char* name;
  // The precisions of products that it has kernels of its own for; "all": those, and all other
  // slots. What it does not have is that of the nearest set before it
  // (tests/kernels/dispatch_test).
  std::string_view own;

  constexpr bool has_own(std::string_view precision) const {
    if (own == "all") return true;
    for (std::string_view rest = own; !rest.empty();) {
      const std::string_view word = rest.substr(0, rest.find(' '));
      if (word == precision) return true;
      rest.remove_prefix(word.size() < rest.size() ? word.size() + 1 : rest.size());
    }
    return false;
  }
};
struct IsaRow : Isa {
  void (*fill)(Table* table);
  bool Cpu::*runs;
};
inline constexpr std::array kIsaRows = {
    IsaRow{{"ref", "all"}, ref::fill, &Cpu::any},
    IsaRow{{"avx2", "all"}, avx2::fill, &Cpu::avx2},
    IsaRow{{"avx2_vnni", "int8 int8g int6 int5 int4"}, avx2_vnni::fill, &Cpu::avx2_vnni},
    IsaRow{{"avx512", "all"}, avx512::fill, &Cpu::avx512},
    IsaRow{{"avx512_vnni", "int8 int8g int6 int5 int4"}, avx512_vnni::fill, &Cpu::avx512_vnni},
    IsaRow{{"avx512_bf16", "bf16"}, avx512_bf16::fill, &Cpu::avx512_bf16},
    IsaRow{{"amx", "bf16 int8 int8g int5 int4"}, amx::fill, &Cpu::amx},
};

// Without the functions, for those who do not link with them.
inline constexpr auto kIsas = [] {
  std::array<Isa, kIsaRows.size()> isas = {};
  for (size_t i = 0; i < isas.size(); ++i) isas[i] = kIsaRows[i];
  return isas;
}();

}  // namespace headlane::kernels

// Which instruction sets this machine can run, and the choice among the tables. The environment
// variable HEADLANE_MAX_ISA, read once, hides what is above it from the whole process, as an older
// CPU would.
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "kernels/isa/tables.h"
#include "kernels/kernels.h"

namespace headlane::kernels {
namespace {

struct CpuFeatures {
  bool avx2 = false;                 // AVX2 and FMA, with their registers saved by the system
  bool avx2_vnni = false;            // and VPDPBUSD on their registers
  bool avx512 = false;               // AVX-512 F, CD, BW, DQ and VL likewise
  bool avx512_vnni = false;          // and VPDPBUSD
  bool avx512_bf16 = false;          // and VDPBF16PS
  AmxState amx = AmxState::kAbsent;  // beside all of these: tiles, of bf16 and of bytes
};

constexpr bool has(uint32_t word, int bit) { return (word >> bit) & 1u; }

// The register states that the operating system saves: XCR0. Asked only where OSXSAVE says it can
// be.
uint64_t saved_states() {
  uint32_t low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t{high} << 32) | low;
}

// Asks the system for the use of tiles, which it gives to the whole process or to none of it: not
// where its kernel is too old, nor where an alternate signal stack has no room for their state.
bool permit_tiles() {
  constexpr int kGetPermission = 0x1022, kRequestPermission = 0x1023, kTileData = 18;
  uint64_t permitted = 0;
  if (syscall(SYS_arch_prctl, kRequestPermission, kTileData) != 0) return false;
  if (syscall(SYS_arch_prctl, kGetPermission, &permitted) != 0) return false;
  return (permitted >> kTileData) & 1u;
}

CpuFeatures detect_cpu() {
  CpuFeatures features;
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return features;
  const bool fma = has(c, 12), xsave = has(c, 27), avx = has(c, 28);
  if (!xsave || !avx) return features;
  const uint64_t states = saved_states();
  constexpr uint64_t kYmm = 0x6, kZmm = 0xe6;  // XMM + YMM; and opmask + both halves of ZMM
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return features;
  features.avx2 = fma && has(b, 5) && (states & kYmm) == kYmm;
  const bool f = has(b, 16), dq = has(b, 17), cd = has(b, 28), bw = has(b, 30), vl = has(b, 31);
  features.avx512 = features.avx2 && f && cd && dq && bw && vl && (states & kZmm) == kZmm;
  features.avx512_vnni = features.avx512 && has(c, 11);
  const bool tiles = has(d, 22) && has(d, 24) && has(d, 25);
  if (!__get_cpuid_count(7, 1, &a, &b, &c, &d)) return features;
  features.avx2_vnni = features.avx2 && has(a, 4);
  features.avx512_bf16 = features.avx512_vnni && has(a, 5);
  constexpr uint64_t kTileStates = 0x60000;
  if (features.avx512_bf16 && tiles) {
    const bool usable = (states & kTileStates) == kTileStates && permit_tiles();
    features.amx = usable ? AmxState::kUsable : AmxState::kRefused;
  }
  return features;
}

struct Row {
  std::string_view isa;
  // Compiled for its own instruction set, copying a table included: called where that is supported.
  const Table& (*table)();
  bool supported;
};

struct Rows {
  static constexpr int kCount = 7;
  Row row[kCount];              // slowest first
  const Table* usable[kCount];  // the supported ones, in the same order
  size_t n_usable = 0;
  bool cap_is_known = true;  // HEADLANE_MAX_ISA is unset, empty or the name of a row
  AmxState amx = AmxState::kAbsent;
};

// The registry: one line an instruction set (and its count above).
Rows make_rows() {
  const CpuFeatures cpu = detect_cpu();
  Rows rows = {{{"ref", ref_table, true},
                {"avx2", avx2_table, cpu.avx2},
                {"avx2_vnni", avx2_vnni_table, cpu.avx2_vnni},
                {"avx512", avx512_table, cpu.avx512},
                {"avx512_vnni", avx512_vnni_table, cpu.avx512_vnni},
                {"avx512_bf16", avx512_bf16_table, cpu.avx512_bf16},
                {"amx", amx_table, cpu.amx == AmxState::kUsable}},
               {}};
  const char* variable = std::getenv("HEADLANE_MAX_ISA");
  const std::string_view cap = variable ? variable : "";
  bool over_cap = false;
  for (Row& row : rows.row) {
    row.supported = row.supported && !over_cap;
    if (row.supported) rows.usable[rows.n_usable++] = &row.table();
    if (row.isa == cap) over_cap = true;
  }
  rows.cap_is_known = cap.empty() || over_cap;
  rows.amx = cpu.amx;
  return rows;
}

const Rows& rows() {
  static const Rows kRows = make_rows();
  return kRows;
}

}  // namespace

AmxState amx_state() { return rows().amx; }

std::span<const Table* const> supported() { return {rows().usable, rows().n_usable}; }

std::string isa_names() {
  std::string names;
  for (const Row& row : rows().row) {
    if (!names.empty()) names += ", ";
    names += row.isa;
  }
  return names;
}

const Table* select(std::string_view max_isa) {
  if (!rows().cap_is_known) return nullptr;
  const Table* best = nullptr;
  for (const Row& row : rows().row) {
    if (row.supported) best = &row.table();
    if (row.isa == max_isa) return best;
  }
  return max_isa.empty() ? best : nullptr;
}

}  // namespace headlane::kernels

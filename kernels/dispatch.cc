// Asks which instruction sets this machine can run, and chooses among the tables. The environment
// variable HEADLANE_MAX_ISA, read once, hides what is above it from the whole process, as an older
// CPU would.
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "kernels/isa/isas.h"
#include "kernels/kernels.h"

namespace headlane::kernels {
namespace {

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

Cpu detect_cpu() {
  Cpu features;
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return features;
  const bool fma = has(c, 12), xsave = has(c, 27), avx = has(c, 28), f16c = has(c, 29);
  if (!xsave || !avx) return features;
  const uint64_t states = saved_states();
  constexpr uint64_t kYmm = 0x6, kZmm = 0xe6;  // XMM + YMM; and opmask + both halves of ZMM
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return features;
  features.avx2 = fma && f16c && has(b, 5) && (states & kYmm) == kYmm;
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
    features.tiles = usable ? AmxState::kUsable : AmxState::kRefused;
    features.amx = usable;
  }
  return features;
}

struct Tables {
  Tables();

  Table table[kIsaRows.size()];               // of the sets that run here and are allowed
  const Table* usable[kIsaRows.size()] = {};  // them, slowest first
  size_t n_usable = 0;
  bool cap_is_known = true;  // HEADLANE_MAX_ISA is unset, empty or the name of a set
  AmxState amx = AmxState::kAbsent;
};

Tables::Tables() {
  const Cpu cpu = detect_cpu();
  amx = cpu.tiles;
  const char* variable = std::getenv("HEADLANE_MAX_ISA");
  const std::string_view cap = variable ? variable : "";
  bool over_cap = false;
  Table of_isa;
  for (size_t i = 0; i < kIsaRows.size(); ++i) {
    const IsaRow& row = kIsaRows[i];
    if (cpu.*row.runs && !over_cap) {
      row.fill(&of_isa);
      of_isa.isa = row.name;
      table[i] = of_isa;
      usable[n_usable++] = &table[i];
    }
    if (row.name == cap) over_cap = true;
  }
  cap_is_known = cap.empty() || over_cap;
}

const Tables& tables() {
  static const Tables kTables;
  return kTables;
}

}  // namespace

AmxState amx_state() { return tables().amx; }

std::span<const Table* const> supported() { return {tables().usable, tables().n_usable}; }

std::string isa_names() {
  std::string names;
  for (const Isa& isa : kIsas) {
    if (!names.empty()) names += ", ";
    names += isa.name;
  }
  return names;
}

const Table* select(std::string_view max_isa) {
  if (!tables().cap_is_known) return nullptr;
  const Table* best = nullptr;
  for (size_t i = 0; i < kIsas.size(); ++i) {
    if (tables().table[i].isa != nullptr) best = &tables().table[i];
    if (kIsas[i].name == max_isa) return best;
  }
  return max_isa.empty() ? best : nullptr;
}

}  // namespace headlane::kernels

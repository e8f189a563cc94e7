// Shows the program that preloads it (LD_PRELOAD) a CPU that has AVX2 and FMA and no more, so that
// engines without a cap of their own can be measured as on such a machine: CPUID is made to fault,
// and the answer to the fault leaves out AVX-512, AMX and what is younger. The rest of the answer
// is the CPU's own. Linux on an Intel CPU with CPUID faulting (arch_prctl(2), ARCH_SET_CPUID);
// without it nothing is hidden, and HEADLANE_BENCH_HIDES_AVX512 is not set.
//
// The setting holds for the threads and processes that this one starts, until they call exec.
#include <asm/prctl.h>
#include <cpuid.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdlib>

namespace {

constexpr uint32_t bit(int n) { return uint32_t{1} << n; }

// The numbers of the bits are those of Intel's manual, volume 2A, CPUID.
constexpr uint32_t kLeaf7Ebx = bit(16) | bit(17) | bit(21) | bit(26) | bit(27) | bit(28) | bit(30) |
                               bit(31);  // AVX-512 F DQ IFMA .. VL
constexpr uint32_t kLeaf7Ecx = bit(1) | bit(6) | bit(11) | bit(12) | bit(14);  // VBMI .. VPOPCNTDQ
constexpr uint32_t kLeaf7Edx =
    bit(2) | bit(3) | bit(8) | bit(22) | bit(23) | bit(24) | bit(25);    // 4VNNIW .. AMX, FP16
constexpr uint32_t kLeaf7Sub1Eax = bit(4) | bit(5) | bit(21) | bit(23);  // AVX-VNNI, BF16, AMX
constexpr uint32_t kLeaf7Sub1Edx = bit(4) | bit(5) | bit(8) | bit(10) | bit(19);  // .. AVX10

bool allow_cpuid(bool allowed) {
  return syscall(SYS_arch_prctl, ARCH_SET_CPUID, static_cast<unsigned long>(allowed)) == 0;
}

struct Answer {
  uint32_t eax, ebx, ecx, edx;
};

Answer answer(uint32_t leaf, uint32_t sub) {
  Answer a{};
  __cpuid_count(leaf, sub, a.eax, a.ebx, a.ecx, a.edx);
  if (leaf == 7 && sub == 0) {
    a.ebx &= ~kLeaf7Ebx;
    a.ecx &= ~kLeaf7Ecx;
    a.edx &= ~kLeaf7Edx;
  } else if (leaf == 7 && sub == 1) {
    a.eax &= ~kLeaf7Sub1Eax;
    a.edx &= ~kLeaf7Sub1Edx;
  }
  return a;
}

// A fault of anything other than CPUID is the program's own: the default takes it.
void on_fault(int number, siginfo_t*, void* context) {
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto* code = reinterpret_cast<const uint8_t*>(registers[REG_RIP]);
  if (code[0] != 0x0F || code[1] != 0xA2) {
    signal(number, SIG_DFL);
    return;
  }
  allow_cpuid(true);
  const Answer a =
      answer(static_cast<uint32_t>(registers[REG_RAX]), static_cast<uint32_t>(registers[REG_RCX]));
  allow_cpuid(false);
  registers[REG_RAX] = a.eax;
  registers[REG_RBX] = a.ebx;
  registers[REG_RCX] = a.ecx;
  registers[REG_RDX] = a.edx;
  registers[REG_RIP] += 2;
}

__attribute__((constructor)) void hide() {
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  if (sigaction(SIGSEGV, &action, nullptr) == 0 && allow_cpuid(false)) {
    setenv("HEADLANE_BENCH_HIDES_AVX512", "1", 1);
  }
}

}  // namespace

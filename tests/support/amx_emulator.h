// AMX where there is none: the tile instructions that a compiler put into a program are carried out
// by a handler of SIGILL, so that tests of AMX kernels run the real code on any machine.
//
// It emulates LDTILECFG, STTILECFG, TILERELEASE, TILEZERO, TILELOADD, TILELOADDT1,
// TILESTORED, TDPBF16PS, TDPBSSD, TDPBSUD, TDPBUSD and TDPBUUD, as in Intel's manual, each thread
// with tiles of its own. An instruction that a processor would refuse (#GP, #UD) is said on stderr
// and aborts. Any other illegal instruction goes to the handler there was before, or kills the
// process as ever.
//
// Two things to know in a kernel's test. A tile that is read or written out of bounds faults inside
// the handler, which ends the process as a fault outside does. And a thread that blocks SIGILL is
// killed by its first tile instruction.
#pragma once

namespace headlane::test {

// Whether the processor has AMX-TILE, AMX-BF16 and AMX-INT8, and the kernel lets this process use
// them, which this asks of it.
bool amx_is_native();

// From here on tile instructions work in all threads. Does nothing where AMX is native, nor when it
// was called before.
void install_amx_emulator();

}  // namespace headlane::test

// Tile instructions that are refused. A processor kills by SIGSEGV (#GP) or SIGILL (#UD); the
// emulator says why.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "tests/support/amx_tiles.h"

namespace headlane::test {
namespace {

class AmxDeathTest : public Amx {};

void expect_refused(const std::string& why, void (*refused)()) {
  EXPECT_DEATH(refused(), amx_is_native() ? std::string() : "AMX emulator: " + why);
}

TEST_F(AmxDeathTest, Configurations) {
  expect_refused("#GP: ldtilecfg at 0x[0-9a-f]+: no such palette: 2", [] {
    Config config = all_tiles(16, 64);
    config.palette = 2;
    configure(config);
  });
  expect_refused("#GP.*more than 16 rows: tmm3 17x64", [] { configure(Config().set(3, 17, 64)); });
  expect_refused("#GP.*more than 64 bytes: tmm0 1x65", [] { configure(Config().set(0, 1, 65)); });
  expect_refused("#GP.*without.*: tmm7 0x64", [] { configure(Config().set(7, 0, 64)); });
  expect_refused("#GP.*without.*: tmm7 16x0", [] { configure(Config().set(7, 16, 0)); });
  expect_refused("#GP.*reserved", [] {
    Config config = all_tiles(16, 64);
    config.reserved_2[13] = 1;
    configure(config);
  });
  expect_refused("#GP.*reserved", [] {
    Config config = all_tiles(16, 64);
    config.reserved_32[0] = 64;  // the columns of a tile 8
    configure(config);
  });
  expect_refused("#GP.*reserved", [] {
    Config config = all_tiles(16, 64);
    config.reserved_56[7] = 1;
    configure(config);
  });
}

TEST_F(AmxDeathTest, TilesWithoutConfiguration) {
  static int32_t memory[256];
  expect_refused("#UD: tileloadd at .*not configured", [] { load(0, memory, 64); });
  expect_refused("#UD: tileloaddt1 at .*not configured", [] { stream_load(0, memory, 64); });
  expect_refused("#UD: tilestored at .*not configured", [] { store(0, memory, 64); });
  expect_refused("#UD: tilezero at .*not configured", [] { zero(0); });
  expect_refused("#UD: tdpbf16ps at .*not configured", [] { dpbf16ps(kTriples[0]); });
  expect_refused("#UD: tileloadd at .*not configured", [] {
    configure(all_tiles(16, 64));
    _tile_release();
    load(0, memory, 64);
  });
}

TEST_F(AmxDeathTest, TilesThatAreNotAmongTheConfigured) {
  static int32_t memory[256];
  expect_refused("#UD: tileloadd .*no such tile.*: tmm5 0x0", [] {
    configure(Config().set(4, 16, 64));
    load(5, memory, 64);
  });
  expect_refused("#UD: tilezero .*no such tile.*: tmm5 0x0", [] {
    configure(Config().set(4, 16, 64));
    zero(5);
  });
  expect_refused("#UD: tilestored .*whole dwords: tmm4 16x63", [] {
    configure(Config().set(4, 16, 63));
    store(4, memory, 64);
  });
  expect_refused("#UD: tileloadd .*start_row.*: tmm4 2x64", [] {
    Config config = Config().set(4, 2, 64);
    config.start_row = 2;
    configure(config);
    load(4, memory, 64);
  });
}

TEST_F(AmxDeathTest, ShapesThatDoNotFit) {
  // C is tile 0, A is 1, B is 2.
  expect_refused("#UD: tdpbssd .*C and A.*: tmm0 15x64 tmm1 16x64 tmm2 16x64", [] {
    configure(all_tiles(16, 64).set(0, 15, 64));
    dpbssd({0, 1, 2});
  });
  expect_refused("#UD: tdpbsud .*C and B.*: tmm0 16x60 tmm1 16x64 tmm2 16x64", [] {
    configure(all_tiles(16, 64).set(0, 16, 60));
    dpbsud({0, 1, 2});
  });
  expect_refused("#UD: tdpbusd .*A's columns.*: tmm0 16x64 tmm1 16x60 tmm2 16x64", [] {
    configure(all_tiles(16, 64).set(1, 16, 60));
    dpbusd({0, 1, 2});
  });
  expect_refused("#UD: tdpbuud .*A's columns.*: tmm0 16x64 tmm1 16x64 tmm2 15x64", [] {
    configure(all_tiles(16, 64).set(2, 15, 64));
    dpbuud({0, 1, 2});
  });
  expect_refused("#UD: tdpbf16ps .*no such tile.*: tmm2 0x0", [] {
    configure(all_tiles(16, 64).set(2, 0, 0));
    dpbf16ps({0, 1, 2});
  });
  // Assemblers refuse this one: tdpbssd tmm1, tmm1, tmm1.
  expect_refused("#UD: tdpbssd .*twice: tmm1 16x64 tmm1 16x64 tmm1 16x64", [] {
    configure(all_tiles(16, 64));
    __asm__ volatile(".byte 0xc4, 0xe2, 0x73, 0x5e, 0xc9");
  });
}

TEST_F(AmxDeathTest, MemoryThatIsNotThere) {
  configure(all_tiles(16, 64));
  EXPECT_DEATH(load(0, reinterpret_cast<const void*>(64), 64), "");
}

// An instruction that is not a tile instruction is as illegal as ever, near as it may be, and so is
// a signal that is sent.
TEST_F(AmxDeathTest, OtherInstructionsAreIllegal) {
  const auto killed = testing::KilledBySignal(SIGILL);
  configure(all_tiles(16, 64));
  EXPECT_EXIT(__asm__ volatile("ud2"), killed, "");
  // tilezero tmm0 is c4 e2 7b 49 c0: here of tmm8, and with W, 256 bits, another map or a vvvv.
  EXPECT_EXIT(__asm__ volatile(".byte 0xc4, 0x62, 0x7b, 0x49, 0xc0"), killed, "");
  EXPECT_EXIT(__asm__ volatile(".byte 0xc4, 0xe2, 0xfb, 0x49, 0xc0"), killed, "");
  EXPECT_EXIT(__asm__ volatile(".byte 0xc4, 0xe2, 0x7f, 0x49, 0xc0"), killed, "");
  EXPECT_EXIT(__asm__ volatile(".byte 0xc4, 0xe3, 0x7b, 0x49, 0xc0"), killed, "");
  EXPECT_EXIT(__asm__ volatile(".byte 0xc4, 0xe2, 0x73, 0x49, 0xc0"), killed, "");
  // tileloadd tmm0, [rsp] is c4 e2 7b 4b 04 24: here of tmm8, and of [rax], without an SIB byte.
  EXPECT_EXIT(__asm__ volatile(".byte 0xc4, 0x62, 0x7b, 0x4b, 0x04, 0x24"), killed, "");
  EXPECT_EXIT(__asm__ volatile("mov %%rsp, %%rax\n\t.byte 0xc4, 0xe2, 0x7b, 0x4b, 0x00" ::
                                   : "rax"),
              killed, "");
  // tdpbssd tmm0, tmm1, tmm2 is c4 e2 6b 5e c1: here with a tmm8, each in turn.
  EXPECT_EXIT(__asm__ volatile(".byte 0xc4, 0x62, 0x6b, 0x5e, 0xc1"), killed, "");
  EXPECT_EXIT(__asm__ volatile(".byte 0xc4, 0xc2, 0x6b, 0x5e, 0xc1"), killed, "");
  EXPECT_EXIT(__asm__ volatile(".byte 0xc4, 0xe2, 0x2b, 0x5e, 0xc1"), killed, "");
  EXPECT_EXIT(raise(SIGILL), killed, "");
}

void exit_with_3(int) { _exit(3); }
void exit_with_4(int, siginfo_t* info, void* context) {
  _exit(info != nullptr && context != nullptr ? 4 : 5);
}

TEST_F(AmxDeathTest, OtherInstructionsGoToTheHandlerBefore) {
  const auto die = [](void (*simple)(int), void (*detailed)(int, siginfo_t*, void*)) {
    struct sigaction before {};
    if (simple != nullptr) before.sa_handler = simple;
    if (detailed != nullptr) before.sa_sigaction = detailed, before.sa_flags = SA_SIGINFO;
    sigaction(SIGILL, &before, nullptr);
    install_amx_emulator();
    install_amx_emulator();  // again, which changes nothing
    configure(all_tiles(16, 64));
    zero(0);
    __asm__ volatile("ud2");
  };
  EXPECT_EXIT(die(exit_with_3, nullptr), testing::ExitedWithCode(3), "");
  EXPECT_EXIT(die(nullptr, exit_with_4), testing::ExitedWithCode(4), "");
}

}  // namespace
}  // namespace headlane::test

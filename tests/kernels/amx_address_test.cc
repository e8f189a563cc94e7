// Ways to say where a tile or a configuration is in memory: base, index, scale, displacement.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>

#include "tests/support/amx_tiles.h"

namespace headlane::test {
namespace {

// 16 rows of 4 dwords, row r being {100 r, 100 r + 1, ...}, at a stride of 48 bytes.
class AmxAddress : public Amx {
 protected:
  static constexpr int64_t kStride = 48;

  void SetUp() override {
    for (int r = 0; r < 16; ++r)
      for (int i = 0; i < 4; ++i) memory_[kFirst + r * kStride / 4 + i] = 100 * r + i;
    configure(all_tiles(16, 16));
  }
  uintptr_t address(int64_t offset) {
    return reinterpret_cast<uintptr_t>(memory_ + kFirst) + offset;
  }
  void expect_loaded(int tile, const char* how) {
    int32_t rows[16][4];
    store(tile, rows, 16);
    for (int r = 0; r < 16; ++r)
      for (int i = 0; i < 4; ++i) EXPECT_EQ(rows[r][i], 100 * r + i) << how;
    zero(tile);
  }

 private:
  static constexpr int kFirst = 1000;
  int32_t memory_[2000] = {};
};

// NOLINTBEGIN(bugprone-macro-parentheses): pieces of assembly
// By fixed registers; r12 and r13 are those that look like "SIB follows" and "no base".
#define CHECK_ADDRESS(displacement, base, index, scale)                           \
  do {                                                                            \
    __asm__ volatile("mov %0, %%" base                                            \
                     "\n\t"                                                       \
                     "mov %1, %%" index                                           \
                     "\n\t"                                                       \
                     "tileloadd " #displacement "(%%" base ",%%" index "," #scale \
                     "), %%tmm6" ::"r"(address(-(displacement))),                 \
                     "r"(kStride / (scale))                                       \
                     : base, index, "memory");                                    \
    expect_loaded(6, #displacement "(" base "," index "," #scale ")");            \
  } while (false)

TEST_F(AmxAddress, OfAnyBaseAndIndex) {
  CHECK_ADDRESS(0, "rax", "rcx", 1);
  CHECK_ADDRESS(0, "rdx", "rsi", 1);
  CHECK_ADDRESS(0, "rdi", "r8", 1);
  CHECK_ADDRESS(0, "r9", "r10", 1);
  CHECK_ADDRESS(0, "r11", "r12", 1);
  CHECK_ADDRESS(0, "r12", "r13", 1);
  CHECK_ADDRESS(0, "r13", "r14", 1);
  CHECK_ADDRESS(0, "r14", "r15", 1);
  CHECK_ADDRESS(0, "r15", "rax", 1);
}

TEST_F(AmxAddress, OfAnyScale) {
  CHECK_ADDRESS(0, "rax", "rdx", 2);
  CHECK_ADDRESS(0, "r8", "r12", 4);
  CHECK_ADDRESS(0, "rcx", "r9", 8);
}

TEST_F(AmxAddress, OfAnyDisplacement) {
  CHECK_ADDRESS(64, "rax", "rcx", 1);
  CHECK_ADDRESS(-128, "r13", "rsi", 2);
  CHECK_ADDRESS(127, "r12", "r11", 1);
  CHECK_ADDRESS(128, "rbx", "r15", 1);
  CHECK_ADDRESS(-129, "r15", "rdi", 4);
  CHECK_ADDRESS(0x12345678, "r14", "r12", 1);
  CHECK_ADDRESS(-0x12345678, "rdx", "r9", 8);
}

TEST_F(AmxAddress, OfTheFramePointer) {
  uintptr_t base = address(-8);
  __asm__ volatile(
      "xchg %%rbp, %0\n\t"
      "tileloadd 8(%%rbp,%1,1), %%tmm0\n\t"
      "xchg %%rbp, %0"
      : "+a"(base)
      : "d"(kStride)
      : "memory");
  expect_loaded(0, "8(rbp,rdx,1)");
}

TEST_F(AmxAddress, WithoutAnIndexHasNoStride) {
  __asm__ volatile("tileloadd 48(%0), %%tmm7" ::"r"(address(-48)) : "memory");
  int32_t rows[16][4];
  store(7, rows, 16);
  for (int r = 0; r < 16; ++r)
    for (int i = 0; i < 4; ++i) EXPECT_EQ(rows[r][i], i);
}

TEST_F(AmxAddress, OfStoresAndStreams) {
  int32_t rows[17][4] = {};
  __asm__ volatile(
      "mov %0, %%r15\n\t"
      "mov %1, %%r14\n\t"
      "tileloaddt1 -64(%%r15,%%r14,4), %%tmm4\n\t"
      "mov %2, %%r13\n\t"
      "mov $2, %%r12\n\t"
      "tilestored %%tmm4, 16(%%r13,%%r12,8)" ::"r"(address(64)),
      "r"(kStride / 4), "r"(rows)
      : "r12", "r13", "r14", "r15", "memory");
  for (int i = 0; i < 4; ++i) EXPECT_EQ(rows[0][i], 0);
  for (int r = 0; r < 16; ++r)
    for (int i = 0; i < 4; ++i) EXPECT_EQ(rows[r + 1][i], 100 * r + i);
}

}  // namespace

// Configurations at RIP, which needs a name that the assembler knows, and at FS.
extern "C" {
Config headlane_test_config = Config().set(1, 2, 12);
}

namespace {

thread_local Config thread_config = Config().set(7, 16, 64);

TEST_F(Amx, ConfigurationRelativeToRip) {
  settle();
  __asm__ volatile("ldtilecfg headlane_test_config(%%rip)" ::: "memory");
  EXPECT_TRUE(same(stored_config(), headlane_test_config));
}

TEST_F(Amx, ConfigurationRelativeToFs) {
  const auto* config = &thread_config;
  settle();
  __asm__ volatile(
      "mov %%fs:0, %%rax\n\t"
      "sub %%rax, %0\n\t"
      "ldtilecfg %%fs:(%0)"
      : "+r"(config)::"rax", "memory");
  EXPECT_TRUE(same(stored_config(), thread_config));
}

TEST_F(Amx, ConfigurationByRegisters) {
  Config configs[2] = {Config().set(2, 1, 4), Config().set(3, 2, 8)};
  const auto at = reinterpret_cast<uintptr_t>(&configs[1]);
#define CHECK_CONFIG(operand, register_name, value)                                    \
  do {                                                                                 \
    _tile_release();                                                                   \
    settle();                                                                          \
    __asm__ volatile("mov %0, %%" register_name "\n\tldtilecfg " operand ::"r"(value), \
                     "d"(int64_t{16})                                                  \
                     : register_name, "memory");                                       \
    EXPECT_TRUE(same(stored_config(), configs[1])) << operand;                         \
  } while (false)
  CHECK_CONFIG("(%%rax)", "rax", at);
  CHECK_CONFIG("(%%r12)", "r12", at);
  CHECK_CONFIG("(%%r13)", "r13", at);
  CHECK_CONFIG("64(%%rsi)", "rsi", at - 64);
  CHECK_CONFIG("-1024(%%r9)", "r9", at + 1024);
  CHECK_CONFIG("(,%%r12,4)", "r12", at / 4);
  CHECK_CONFIG("512(,%%rcx,8)", "rcx", (at - 512) / 8);
  CHECK_CONFIG("(%%r15,%%rdx,4)", "r15", at - 64);
  CHECK_CONFIG("-8(%%r8,%%rdx,1)", "r8", at - 8);
#undef CHECK_CONFIG
}
// NOLINTEND(bugprone-macro-parentheses)

// The stack pointer as a base, which always takes an SIB byte.
TEST_F(Amx, ConfigurationOnTheStack) {
  Config config;
  std::memset(static_cast<void*>(&config), 0xee, sizeof(config));
  configure(Config().set(4, 3, 20));
  void* to = &config;
  __asm__ volatile(
      "sub $256, %%rsp\n\t"
      "sttilecfg 64(%%rsp)\n\t"
      "lea 64(%%rsp), %%rsi\n\t"
      "mov $64, %%ecx\n\t"
      "rep movsb\n\t"
      "add $256, %%rsp"
      : "+D"(to)::"rsi", "rcx", "cc", "memory");
  EXPECT_TRUE(same(config, Config().set(4, 3, 20)));
}

}  // namespace
}  // namespace headlane::test

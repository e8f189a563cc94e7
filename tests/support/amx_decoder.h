// How a tile instruction is found in machine code.
#pragma once

#include <ucontext.h>

#include <cstdint>

namespace headlane::test::amx {

constexpr int kTiles = 8;

enum class Op { kLoadConfig, kStoreConfig, kRelease, kZero, kLoad, kStore, kBf16, kInt8 };
enum class Form { kConfigInMemory, kNoOperand, kTile, kTileAndMemory, kThreeTiles };
enum Prefix : uint8_t { kNone, k66, kF3, kF2 };  // as VEX.pp has them

struct Encoding {
  uint8_t opcode;
  Prefix prefix;
  Form form;
  Op op;
  const char* name;
  bool a_signed = false, b_signed = false;
};

struct Instruction {
  const Encoding* encoding;
  uint64_t at, next;
  int reg, rm, vvvv;        // tiles: ModRM.reg is written or stored, C += rm * vvvv
  uint64_t address, index;  // base and displacement; scaled index, the stride of tiles
};

// False if there is no tile instruction at RIP. What begins with C4 and is illegal has five bytes
// to read; those after them are there if it is a tile instruction.
bool decode(const greg_t* registers, Instruction* in);

}  // namespace headlane::test::amx

#include "tests/support/amx_decoder.h"

#include <cstring>

namespace headlane::test::amx {
namespace {

constexpr Encoding kEncodings[] = {
    {0x49, kNone, Form::kConfigInMemory, Op::kLoadConfig, "ldtilecfg"},
    {0x49, k66, Form::kConfigInMemory, Op::kStoreConfig, "sttilecfg"},
    {0x49, kNone, Form::kNoOperand, Op::kRelease, "tilerelease"},
    {0x49, kF2, Form::kTile, Op::kZero, "tilezero"},
    {0x4b, kF2, Form::kTileAndMemory, Op::kLoad, "tileloadd"},
    {0x4b, k66, Form::kTileAndMemory, Op::kLoad, "tileloaddt1"},
    {0x4b, kF3, Form::kTileAndMemory, Op::kStore, "tilestored"},
    {0x5c, kF3, Form::kThreeTiles, Op::kBf16, "tdpbf16ps"},
    {0x5e, kF2, Form::kThreeTiles, Op::kInt8, "tdpbssd", true, true},
    {0x5e, kF3, Form::kThreeTiles, Op::kInt8, "tdpbsud", true, false},
    {0x5e, k66, Form::kThreeTiles, Op::kInt8, "tdpbusd", false, true},
    {0x5e, kNone, Form::kThreeTiles, Op::kInt8, "tdpbuud", false, false},
};

// The three bytes of a VEX prefix and the two after it; extension bits the right way round.
struct Vex {
  bool r, x, b;
  int map, vvvv, w, l;
  Prefix prefix;
  uint8_t opcode;
  int mod, reg, rm;
};

Vex parse_vex(const uint8_t* code) {
  const uint8_t p1 = code[1], p2 = code[2], modrm = code[4];
  Vex vex{};
  vex.r = !(p1 & 0x80), vex.x = !(p1 & 0x40), vex.b = !(p1 & 0x20);
  vex.map = p1 & 0x1f;
  vex.w = p2 >> 7, vex.vvvv = ~(p2 >> 3) & 15, vex.l = p2 >> 2 & 1;
  vex.prefix = static_cast<Prefix>(p2 & 3);
  vex.opcode = code[3];
  vex.mod = modrm >> 6, vex.reg = modrm >> 3 & 7, vex.rm = modrm & 7;
  return vex;
}

bool has_form(const Vex& vex, Form form) {
  // There is no tile above 7, and a vvvv that names nothing is all ones, here 0.
  const bool in_memory = vex.mod != 3, no_vvvv = vex.vvvv == 0;
  switch (form) {
    case Form::kConfigInMemory:
      return in_memory && no_vvvv && vex.reg == 0;
    case Form::kNoOperand:
      return !in_memory && no_vvvv && vex.reg == 0 && vex.rm == 0;
    case Form::kTile:
      return !in_memory && no_vvvv && vex.rm == 0 && !vex.r;
    case Form::kTileAndMemory:  // always with an SIB byte
      return in_memory && no_vvvv && vex.rm == 4 && !vex.r;
    case Form::kThreeTiles:
      return !in_memory && vex.vvvv < kTiles && !vex.r && !vex.b;
  }
  return false;
}

const Encoding* find_encoding(const Vex& vex) {
  constexpr int kMap0F38 = 2;
  if (vex.map != kMap0F38 || vex.w != 0 || vex.l != 0) return nullptr;
  for (const Encoding& encoding : kEncodings) {
    if (encoding.opcode == vex.opcode && encoding.prefix == vex.prefix &&
        has_form(vex, encoding.form)) {
      return &encoding;
    }
  }
  return nullptr;
}

uint64_t general_register(const greg_t* registers, int number) {
  constexpr int kOrder[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                              REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                              REG_R12, REG_R13, REG_R14, REG_R15};
  return static_cast<uint64_t>(registers[kOrder[number]]);
}

// Reads SIB and displacement at `code`; returns where the instruction ends. "No base" and "no
// index" are said by the three bits of ModRM or SIB and by four with VEX.X, respectively: r13 can
// not go without a displacement, but r12 is an index.
const uint8_t* decode_memory(const uint8_t* code, const Vex& vex, const greg_t* registers,
                             Instruction* in) {
  constexpr int kSib = 4, kNoIndex = 4, kNoBase = 5;
  int base = vex.rm;
  if (vex.rm == kSib) {
    const uint8_t sib = *code++;
    const int index = (sib >> 3 & 7) + 8 * vex.x;
    if (index != kNoIndex) in->index = general_register(registers, index) << (sib >> 6);
    base = sib & 7;
  }
  const bool no_base = vex.mod == 0 && base == kNoBase;
  int32_t displacement = 0;
  if (vex.mod == 1) {
    displacement = static_cast<int8_t>(*code++);  // NOLINT(bugprone-signed-char-misuse): signed
  } else if (vex.mod == 2 || no_base) {
    std::memcpy(&displacement, code, sizeof(displacement));
    code += sizeof(displacement);
  }
  uint64_t start = 0;
  if (!no_base) {
    start = general_register(registers, base + 8 * vex.b);
  } else if (vex.rm != kSib) {
    start = reinterpret_cast<uint64_t>(code);  // relative to the next instruction, which is here
  }
  in->address += start + static_cast<uint64_t>(static_cast<int64_t>(displacement));
  return code;
}

uint64_t fs_base() {
  uint64_t base;  // the ABI keeps it at its own address; rdfsbase is not for everyone
  __asm__("mov %%fs:0, %0" : "=r"(base));
  return base;
}

}  // namespace

bool decode(const greg_t* registers, Instruction* in) {
  *in = {};
  in->at = static_cast<uint64_t>(registers[REG_RIP]);
  const auto* code = reinterpret_cast<const uint8_t*>(in->at);
  constexpr uint8_t kFsPrefix = 0x64, kVex3 = 0xc4;
  if (*code == kFsPrefix) {  // of a thread_local variable
    in->address = fs_base();
    ++code;
  }
  if (*code != kVex3) return false;
  const Vex vex = parse_vex(code);
  in->encoding = find_encoding(vex);
  if (in->encoding == nullptr) return false;
  in->reg = vex.reg, in->rm = vex.rm, in->vvvv = vex.vvvv;
  code += 5;
  if (vex.mod != 3) code = decode_memory(code, vex, registers, in);
  in->next = reinterpret_cast<uint64_t>(code);
  return true;
}

}  // namespace headlane::test::amx

#include "tests/support/amx_emulator.h"

#include <cpuid.h>
#include <immintrin.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "tests/support/amx_decoder.h"

namespace headlane::test {
namespace {

using amx::Instruction;
using amx::kTiles;
using amx::Op;

// ---- The state of a thread: palette 1 has 8 tiles of up to 16 rows of up to 64 bytes.

constexpr int kMaxRows = 16, kMaxRowBytes = 64, kMaxColumns = kMaxRowBytes / 4;

struct Config {  // in the layout of LDTILECFG and STTILECFG
  uint8_t palette, start_row;
  uint8_t reserved_2[14];
  uint16_t row_bytes[kTiles];
  uint8_t reserved_32[16];
  uint8_t rows[kTiles];
  uint8_t reserved_56[8];
};
static_assert(sizeof(Config) == 64);

struct Tile {
  alignas(64) uint8_t row[kMaxRows][kMaxRowBytes];
};

struct State {
  Config config;  // palette 0: not configured
  Tile tile[kTiles];
};

// Initial-exec, since any other model may allocate at a thread's first use, in a signal handler.
__attribute__((tls_model("initial-exec"))) thread_local State state;

uint32_t dword(const uint8_t* row, int column) {
  uint32_t value;
  std::memcpy(&value, row + 4 * column, sizeof(value));
  return value;
}

// ---- What a processor refuses.

// A line for stderr, put together without the C library's streams or memory.
class Message {
 public:
  Message& text(const char* s) {
    while (*s != '\0' && size_ < sizeof(line_)) line_[size_++] = *s++;
    return *this;
  }
  Message& number(uint64_t value, unsigned base = 10) {
    char digits[24];
    char* first = digits + sizeof(digits) - 1;
    *first = '\0';
    do *--first = "0123456789abcdef"[value % base];
    while (value /= base);
    return text(first);
  }
  Message& tile(int t) {
    text(" tmm").number(t).text(" ").number(state.config.rows[t]);
    return text("x").number(state.config.row_bytes[t]);
  }
  [[noreturn]] void die() {
    text("\n");
    // Nothing is left to do about a stderr that takes no more.
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line_, size_);
    std::abort();
  }

 private:
  char line_[256];
  size_t size_ = 0;
};

Message fault(const Instruction& in, const char* exception, const char* why) {
  Message message;
  message.text("AMX emulator: ").text(exception).text(": ").text(in.encoding->name);
  return message.text(" at 0x").number(in.at, 16).text(": ").text(why);
}

void require_valid(const Instruction& in, int tile) {
  if (state.config.palette == 0) fault(in, "#UD", "tiles are not configured").die();
  if (state.config.rows[tile] == 0)
    fault(in, "#UD", "no such tile is configured:").tile(tile).die();
}

void require_dwords(const Instruction& in, int tile) {
  require_valid(in, tile);
  if (state.config.row_bytes[tile] % 4 != 0)
    fault(in, "#UD", "rows are not of whole dwords:").tile(tile).die();
}

void require_movable(const Instruction& in) {
  require_dwords(in, in.reg);
  if (state.config.start_row >= state.config.rows[in.reg])
    fault(in, "#UD", "start_row is beyond the rows:").tile(in.reg).die();
}

// C[M,N] += A[M,K] * B[K,N], where an element is a dword.
void require_product(const Instruction& in) {
  const int c = in.reg, a = in.rm, b = in.vvvv;
  for (int tile : {c, a, b}) require_dwords(in, tile);
  const char* why = nullptr;
  const Config& config = state.config;
  if (c == a || c == b || a == b) why = "the same tile twice:";
  if (config.rows[c] != config.rows[a]) why = "C and A differ in rows:";
  if (config.row_bytes[c] != config.row_bytes[b]) why = "C and B differ in columns:";
  if (config.row_bytes[a] / 4 != config.rows[b]) why = "A's columns are not B's rows:";
  if (why != nullptr) fault(in, "#UD", why).tile(c).tile(a).tile(b).die();
}

template <size_t n>
bool all_zero(const uint8_t (&bytes)[n]) {
  uint8_t any = 0;
  for (uint8_t byte : bytes) any |= byte;
  return any == 0;
}

void require_loadable(const Instruction& in, const Config& config) {
  if (config.palette > 1) fault(in, "#GP", "no such palette: ").number(config.palette).die();
  if (!all_zero(config.reserved_2) || !all_zero(config.reserved_32) ||
      !all_zero(config.reserved_56)) {
    fault(in, "#GP", "reserved bytes are not zero (there are 8 tiles)").die();
  }
  for (int t = 0; t < kTiles; ++t) {
    const int rows = config.rows[t], bytes = config.row_bytes[t];
    const char* why = nullptr;
    if (rows > kMaxRows) why = "more than 16 rows: tmm";
    if (bytes > kMaxRowBytes) why = "rows of more than 64 bytes: tmm";
    if ((rows == 0) != (bytes == 0)) why = "rows without columns or columns without rows: tmm";
    if (why != nullptr)
      fault(in, "#GP", why).number(t).text(" ").number(rows).text("x").number(bytes).die();
  }
}

// ---- The instructions.

void load_config(const Instruction& in) {
  Config config;
  std::memcpy(&config, reinterpret_cast<const void*>(in.address + in.index), sizeof(config));
  // Palette 0 is that of TILERELEASE, whatever else is said.
  if (config.palette != 0) require_loadable(in, config);
  std::memset(&state, 0, sizeof(state));
  if (config.palette != 0) state.config = config;
}

void store_config(const Instruction& in) {
  std::memcpy(reinterpret_cast<void*>(in.address + in.index), &state.config, sizeof(Config));
}

void load_tile(const Instruction& in) {
  require_movable(in);
  const Config& config = state.config;
  Tile& tile = state.tile[in.reg];
  if (config.start_row == 0) std::memset(&tile, 0, sizeof(tile));
  for (uint64_t r = config.start_row; r < config.rows[in.reg]; ++r) {
    std::memset(tile.row[r], 0, kMaxRowBytes);
    std::memcpy(tile.row[r], reinterpret_cast<const void*>(in.address + r * in.index),
                config.row_bytes[in.reg]);
  }
}

void store_tile(const Instruction& in) {
  require_movable(in);
  const Config& config = state.config;
  for (uint64_t r = config.start_row; r < config.rows[in.reg]; ++r) {
    std::memcpy(reinterpret_cast<void*>(in.address + r * in.index), state.tile[in.reg].row[r],
                config.row_bytes[in.reg]);
  }
}

// Bytes as 16-bit numbers: even has bytes 0 and 2 of each dword, odd has 1 and 3.
struct WideRow {
  __m128i even[4], odd[4];
};

WideRow widen(const uint8_t* row, bool is_signed) {
  WideRow wide;
  for (int v = 0; v < 4; ++v) {
    const __m128i bytes = _mm_load_si128(reinterpret_cast<const __m128i*>(row) + v);
    const __m128i low = _mm_slli_epi16(bytes, 8);
    wide.even[v] = is_signed ? _mm_srai_epi16(low, 8) : _mm_srli_epi16(low, 8);
    wide.odd[v] = is_signed ? _mm_srai_epi16(bytes, 8) : _mm_srli_epi16(bytes, 8);
  }
  return wide;
}

__m128i broadcast_pair(const __m128i* pairs, int k) {
  int32_t pair;
  std::memcpy(&pair, reinterpret_cast<const char*>(pairs) + 4 * k, sizeof(pair));
  return _mm_set1_epi32(pair);
}

// By SSE2, which every x86-64 has. Sums wrap around; two products of bytes do not.
void multiply_int8(const Instruction& in) {
  require_product(in);
  const int depth = state.config.rows[in.vvvv];
  WideRow b[kMaxRows];
  for (int k = 0; k < depth; ++k) {
    b[k] = widen(state.tile[in.vvvv].row[k], in.encoding->b_signed);
  }
  for (int m = 0; m < state.config.rows[in.reg]; ++m) {
    const WideRow a = widen(state.tile[in.rm].row[m], in.encoding->a_signed);
    auto* c = reinterpret_cast<__m128i*>(state.tile[in.reg].row[m]);
    for (int k = 0; k < depth; ++k) {
      const __m128i even = broadcast_pair(a.even, k), odd = broadcast_pair(a.odd, k);
      for (int v = 0; v < 4; ++v) {
        const __m128i products =
            _mm_add_epi32(_mm_madd_epi16(even, b[k].even[v]), _mm_madd_epi16(odd, b[k].odd[v]));
        _mm_store_si128(c + v, _mm_add_epi32(_mm_load_si128(c + v), products));
      }
    }
  }
}

// Sums over k of the products of the first and of the second elements of each pair, apart.
struct PairSums {
  alignas(32) float first[kMaxColumns], second[kMaxColumns];
};

float from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

float first_of_pair(uint32_t pair) { return from_bits(pair << 16); }
float second_of_pair(uint32_t pair) { return from_bits(pair & 0xffff0000u); }

// For processors without FMA: right, but a call of a library function for each product.
void sum_pairs_plainly(const uint8_t* a, const Tile& b, int depth, PairSums* sums) {
  *sums = {};
  for (int k = 0; k < depth; ++k) {
    const uint32_t x = dword(a, k);
    for (int n = 0; n < kMaxColumns; ++n) {
      const uint32_t y = dword(b.row[k], n);
      sums->first[n] = std::fma(first_of_pair(x), first_of_pair(y), sums->first[n]);
      sums->second[n] = std::fma(second_of_pair(x), second_of_pair(y), sums->second[n]);
    }
  }
}

__attribute__((target("avx2,fma"))) void sum_pairs_by_fma(const uint8_t* a, const Tile& b,
                                                          int depth, PairSums* sums) {
  const __m256i high = _mm256_set1_epi32(static_cast<int32_t>(0xffff0000u));
  for (int n = 0; n < kMaxColumns; n += 8) {
    __m256 first = _mm256_setzero_ps(), second = _mm256_setzero_ps();
    for (int k = 0; k < depth; ++k) {
      const uint32_t x = dword(a, k);
      const __m256i y = _mm256_load_si256(reinterpret_cast<const __m256i*>(b.row[k] + 4 * n));
      first = _mm256_fmadd_ps(_mm256_set1_ps(first_of_pair(x)),
                              _mm256_castsi256_ps(_mm256_slli_epi32(y, 16)), first);
      second = _mm256_fmadd_ps(_mm256_set1_ps(second_of_pair(x)),
                               _mm256_castsi256_ps(_mm256_and_si256(y, high)), second);
    }
    _mm256_store_ps(sums->first + n, first);
    _mm256_store_ps(sums->second + n, second);
  }
}

// In the manual's order, so that results are the same to the bit. Not inlined, since the compiler
// knows nothing of a change of MXCSR around it.
__attribute__((noinline)) void multiply_bf16_rows(const Instruction& in) {
  const bool has_fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const auto sum_pairs = has_fma ? sum_pairs_by_fma : sum_pairs_plainly;
  const Config& config = state.config;
  for (int m = 0; m < config.rows[in.reg]; ++m) {
    PairSums sums;
    sum_pairs(state.tile[in.rm].row[m], state.tile[in.vvvv], config.rows[in.vvvv], &sums);
    uint8_t* row = state.tile[in.reg].row[m];
    for (int n = 0; n < config.row_bytes[in.reg] / 4; ++n) {
      const float sum = from_bits(dword(row, n)) + (sums.first[n] + sums.second[n]);
      std::memcpy(row + 4 * n, &sum, sizeof(sum));
    }
  }
}

// Round to nearest, denormals are zero going in and coming out, no exceptions, whatever MXCSR says.
void multiply_bf16(const Instruction& in) {
  require_product(in);
  constexpr unsigned kExceptionsMasked = 0x1f80, kFlushToZero = 0x8000, kDenormalsAreZero = 0x40;
  const unsigned mxcsr = _mm_getcsr();
  _mm_setcsr(kExceptionsMasked | kFlushToZero | kDenormalsAreZero);
  multiply_bf16_rows(in);
  _mm_setcsr(mxcsr);
}

void execute(const Instruction& in) {
  switch (in.encoding->op) {
    case Op::kLoadConfig:
      return load_config(in);
    case Op::kStoreConfig:
      return store_config(in);  // leaves start_row as it is
    case Op::kRelease:
      std::memset(&state, 0, sizeof(state));
      break;
    case Op::kZero:
      require_valid(in, in.reg);
      std::memset(&state.tile[in.reg], 0, sizeof(Tile));
      break;
    case Op::kLoad:
      load_tile(in);
      break;
    case Op::kStore:
      store_tile(in);
      break;
    case Op::kBf16:
      multiply_bf16(in);
      break;
    case Op::kInt8:
      multiply_int8(in);
      break;
  }
  state.config.start_row = 0;
}

// ---- The signal.

struct sigaction previous;

void pass_on(int signal, siginfo_t* info, void* context) {
  if (previous.sa_flags & SA_SIGINFO) return previous.sa_sigaction(signal, info, context);
  if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN)
    return previous.sa_handler(signal);
  // Once this returns, the instruction is illegal again; but a signal that someone sent is gone.
  struct sigaction default_action {};
  default_action.sa_handler = SIG_DFL;
  sigaction(signal, &default_action, nullptr);
  if (info->si_code <= 0) raise(signal);
}

// qemu 7.2 calls handlers on a stack that is not aligned as the ABI says.
__attribute__((force_align_arg_pointer)) void handle(int signal, siginfo_t* info, void* context) {
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  Instruction in;
  const bool by_instruction = info->si_code > 0;
  if (!by_instruction || !amx::decode(registers, &in)) return pass_on(signal, info, context);
  execute(in);
  registers[REG_RIP] = static_cast<greg_t>(in.next);
}

bool processor_has_amx() {
  constexpr unsigned kOsxsave = 1u << 27;
  constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24, kInt8 = 1u << 25,
                     kAll = kBf16 | kTile | kInt8;
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & kOsxsave)) return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & kAll) == kAll;
}

bool system_keeps_tiles() {
  constexpr unsigned kTileConfig = 1u << 17, kTileData = 1u << 18;
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & kTileConfig) && (low & kTileData);
}

bool system_grants_tiles() {
  constexpr long kArchReqXcompPerm = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kArchReqXcompPerm, kTileData) == 0;
}

}  // namespace

bool amx_is_native() {
  static const bool native = processor_has_amx() && system_keeps_tiles() && system_grants_tiles();
  return native;
}

void install_amx_emulator() {
  if (amx_is_native()) return;
  struct sigaction now {};
  sigaction(SIGILL, nullptr, &now);
  if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == handle) return;
  previous = now;
  struct sigaction action {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGILL, &action, nullptr);
}

}  // namespace headlane::test

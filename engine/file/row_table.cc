#include "engine/file/row_table.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>
#include <span>

namespace headlane {
namespace {

// A table's rows are some 1 to 4 KB, and a read costs about as much as copying 10 KB.
constexpr int64_t kChunk = 16 << 10;

}  // namespace

RowTable::RowTable(const InputFile& file, int64_t offset, int64_t n_rows, int64_t row_bytes)
    : file_(file), offset_(offset), row_bytes_(row_bytes), bytes_(n_rows * row_bytes) {
  if (bytes_ == 0) return;  // mmap refuses a length of 0
  read_ =
      std::make_unique<std::atomic<bool>[]>(static_cast<size_t>((bytes_ + kChunk - 1) / kChunk));
  void* memory = ::mmap(nullptr, static_cast<size_t>(bytes_), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<std::byte*>(memory);
}

RowTable::~RowTable() {
  if (memory_ != nullptr) ::munmap(memory_, static_cast<size_t>(bytes_));
}

void RowTable::need(const int32_t* rows, int64_t n) {
  if (row_bytes_ == 0) return;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t begin = rows[i] * row_bytes_;
    for (int64_t chunk = begin / kChunk; chunk * kChunk < begin + row_bytes_; ++chunk) {
      if (!read_[static_cast<size_t>(chunk)].load(std::memory_order_acquire)) read_chunk(chunk);
    }
  }
}

void RowTable::read_chunk(int64_t chunk) {
  const std::lock_guard lock(reading_);
  std::atomic<bool>& read = read_[static_cast<size_t>(chunk)];
  if (read.load(std::memory_order_relaxed)) return;  // another thread was faster
  const int64_t begin = chunk * kChunk, size = std::min(kChunk, bytes_ - begin);
  file_.read(offset_ + begin, {memory_ + begin, static_cast<size_t>(size)});
  read.store(true, std::memory_order_release);
}

}  // namespace headlane

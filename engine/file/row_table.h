// A table of a file of which calls need some rows each: embeddings. Rows are read when they are
// first needed, and stay; memory that no row was read to is not taken from the system.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "engine/file/input_file.h"

namespace headlane {

class RowTable {
 public:
  // Rows of row_bytes from `offset` on, all inside the file, which must outlive the table. Throws
  // std::bad_alloc.
  RowTable(const InputFile& file, int64_t offset, int64_t n_rows, int64_t row_bytes);
  ~RowTable();
  RowTable(const RowTable&) = delete;
  RowTable& operator=(const RowTable&) = delete;

  const void* data() const { return memory_; }  // row i is at i * row_bytes, once it was read

  // Reads those of the rows that were not read yet. From any thread; allocates nothing. Throws
  // Error as InputFile::read.
  void need(const int32_t* rows, int64_t n);

 private:
  void read_chunk(int64_t chunk);

  const InputFile& file_;
  int64_t offset_, row_bytes_, bytes_;
  std::byte* memory_ = nullptr;
  std::unique_ptr<std::atomic<bool>[]> read_;  // by chunk
  std::mutex reading_;
};

}  // namespace headlane

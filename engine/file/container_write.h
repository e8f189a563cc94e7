// Writes a .headlane file (container.h) whose tensors come piece by piece, so that they need not be
// in memory at once. write_container does all of it for tensors that are.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/file/checksum.h"
#include "engine/file/container.h"
#include "engine/file/json.h"
#include "engine/file/output_file.h"

namespace headlane {

// Panels to be written, behind all tensors.
struct PanelsSource {
  std::string weight, layout;
  int64_t bytes = 0;
};

class ContainerWriter {
 public:
  // `tensors`: their names, types and shapes in the order in which their data will come, which the
  // header is made from; `data` is not used. The data of `panels` come after them, in their order.
  // Throws Error as write_container, before anything is written.
  ContainerWriter(const std::string& path, const Json& config, const Json& tokenizer,
                  std::span<const TensorSource> tensors, std::span<const PanelsSource> panels = {});

  // The next bytes of the tensor, or panels, that are not whole yet, none of them another's. Throws
  // Error(kIo).
  void write(std::span<const std::byte> bytes);

  // After all of them: the file is there. Without it, nothing is. Throws Error(kIo).
  void commit();

 private:
  ContainerWriter(const std::string& path, const std::string& head);
  void write_through(std::span<const std::byte> bytes);

  std::vector<int64_t> left_;  // bytes to come of each tensor that has any, and of panels
  size_t n_whole_ = 0;         // of these
  int64_t offset_ = 0;         // in the file
  OutputFile file_;
  Checksum checksum_;
};

}  // namespace headlane

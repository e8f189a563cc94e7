// A .headlane file written anew with its products' weights packed too, as some kernels read them.
#pragma once

#include <string>
#include <vector>

#include "engine/base/log.h"

namespace headlane {

struct PackOptions {
  std::vector<std::string> isas;  // to pack for; none: the fastest of this machine
  std::string precision;          // of the products, as of choose_precision; "": the file's
  Log log;
};

// Writes the tensors of the model at `path` and panels for each of the instruction sets, in the
// place of those that it had. Both paths may be the same. Throws Error: kInvalidArgument,
// kUnsupported for an instruction set that this machine lacks, and as Container::open, check_model
// and ContainerWriter do.
void pack_file(const std::string& path, const std::string& out_path, const PackOptions& options);

}  // namespace headlane

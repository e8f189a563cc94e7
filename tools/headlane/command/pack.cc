#include <cstdio>
#include <headlane/headlane.hpp>
#include <memory>

#include "tools/headlane/commands.h"
#include "tools/headlane/options/common_options.h"

namespace tool {
namespace {

struct PackOptions {
  std::string source, output;
  std::vector<std::string> isas;  // none: the fastest of this machine
  std::string precision;          // "": the file's
};

void pack(const PackOptions& options) {
  headlane::PackOptions to;
  std::vector<const char*> isas;
  for (const std::string& isa : options.isas) isas.push_back(isa.c_str());
  to.isas = isas.empty() ? nullptr : isas.data();
  to.n_isas = static_cast<int64_t>(isas.size());
  if (!options.precision.empty()) to.precision = options.precision.c_str();
  to.log = [](void*, headlane_log_level, const char* message) {
    std::fprintf(stderr, "headlane: note: %s\n", message);
  };
  headlane::pack(options.source, options.output, to);
}

}  // namespace

void declare_pack(Command* command) {
  const auto options = std::make_shared<PackOptions>();
  command->file("FILE", &options->source, "A .headlane file")->required();
  command->file("-o,--output", &options->output, "The .headlane file to write; it may be FILE")
      ->required();
  command
      ->each("--isa", &options->isas,
             "An instruction set to pack for, of those that this machine has; may be given "
             "again; none given: the fastest")
      ->not_empty();
  command->choice("--precision", &options->precision, kPrecisions,
                  "What products are computed in; none given: what the file stores");
  command->run = [options] {
    if (options->output == "-") {
      throw UsageError(
          "-o is \"-\", and a .headlane file, which is not written from front to back, cannot go "
          "to standard output; name a file");
    }
    pack(*options);
  };
}

}  // namespace tool

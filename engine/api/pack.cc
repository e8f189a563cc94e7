// The C API's packing of files.
#include <headlane/pack.h>

#include "engine/api/c_api.h"
#include "engine/api/options.h"
#include "engine/model/pack_file.h"

using namespace headlane::c_api;  // NOLINT(google-build-using-namespace): what this file is of

namespace {

headlane::PackOptions pack_options(const headlane_pack_options& options) {
  headlane::PackOptions result;
  if (options.n_isas < 0 || (options.n_isas > 0 && options.isas == nullptr)) {
    headlane::fail(headlane::Status::kInvalidArgument,
                   "option n_isas is %lld, and isas is %s; there must be as many names",
                   static_cast<long long>(options.n_isas), options.isas ? "there" : "null");
  }
  for (int64_t i = 0; i < options.n_isas; ++i) {
    require(options.isas[i], "an element of isas");
    result.isas.emplace_back(options.isas[i]);
  }
  if (options.precision) result.precision = options.precision;
  result.log = read_log(options.log, options.log_user);
  return result;
}

}  // namespace

headlane_status headlane_pack(const char* path, const char* out_path,
                              const headlane_pack_options* options) {
  return guarded([&] {
    require(path, "path");
    require(out_path, "out_path");
    headlane::pack_file(path, out_path,
                        pack_options(read_struct(options, "headlane_pack_options")));
  });
}

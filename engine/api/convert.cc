// The C API's conversion of models to files.
#include "engine/import/convert.h"

#include "engine/api/c_api.h"
#include "engine/api/options.h"
#include "engine/file/json_fields.h"
#include "engine/spec/isa.h"

using headlane::fail;
using headlane::Status;
using namespace headlane::c_api;  // NOLINT(google-build-using-namespace): what this file is of

namespace {

headlane::ConvertOptions convert_options(const headlane_convert_options& options) {
  headlane::ConvertOptions result;
  const std::string precision = options.precision ? options.precision : "";
  if (precision == "auto") {
    fail(Status::kInvalidArgument,
         "option precision is \"auto\", which depends on the machine; for a file, name one of %s",
         headlane::precision_names().c_str());
  }
  if (!precision.empty()) {
    result.precision =
        headlane::choose_precision(precision, headlane::kernels_for(""), headlane::Precision::kF32);
  }
  result.log = read_log(options.log, options.log_user);
  if (options.pooling) result.pooling = headlane::pooling_by_name(options.pooling, true);
  if (options.higher_precision == nullptr) return result;
  result.higher_precision.emplace();
  for (int64_t i = 0; i < options.n_higher_precision; ++i) {
    require(options.higher_precision[i], "an element of higher_precision");
    result.higher_precision->emplace_back(options.higher_precision[i]);
  }
  return result;
}

}  // namespace

headlane_status headlane_convert(const char* path, const char* out_path,
                                 const headlane_convert_options* options) {
  return guarded([&] {
    require(path, "path");
    require(out_path, "out_path");
    headlane::convert_model(path, out_path,
                            convert_options(read_struct(options, "headlane_convert_options")));
  });
}

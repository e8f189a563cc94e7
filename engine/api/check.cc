// The C API of checking files.
#include "engine/api/c_api.h"
#include "engine/model/file_check.h"

using namespace headlane::c_api;  // NOLINT(google-build-using-namespace): what this file is of

headlane_status headlane_check_file(const char* path,
                                    void (*on_tensor)(void* user,
                                                      const headlane_tensor_check* found),
                                    void* user, headlane_file_check* out) {
  return guarded([&] {
    require(path, "path");
    require(out, "out");
    size_of_struct(out, "headlane_file_check");  // before all of the file is read
    const headlane::FileCheck found = headlane::check_file(
        path, [&](const headlane::TensorInfo& tensor, int64_t n_nan, int64_t n_infinite) {
          if (on_tensor == nullptr) return;
          const headlane_tensor_check of_tensor = {.struct_size = sizeof of_tensor,
                                                   .name = tensor.name.c_str(),
                                                   .n_nan = n_nan,
                                                   .n_infinite = n_infinite};
          on_tensor(user, &of_tensor);
        });
    headlane_file_check facts{};
    facts.has_checksum = found.has_checksum ? 1 : 0;
    facts.checksum_matches = found.checksum_matches ? 1 : 0;
    facts.n_tensors = found.n_tensors;
    facts.n_bad_tensors = found.n_bad_tensors;
    facts.n_nan = found.n_nan;
    facts.n_infinite = found.n_infinite;
    write_struct(facts, out, "headlane_file_check");
  });
}

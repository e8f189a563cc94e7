// GGUF files: each tensor that a file has, as f32, and the conversion of the file.
#include <algorithm>
#include <vector>

#include "engine/base/error.h"
#include "engine/import/gguf.h"
#include "engine/import/source/gguf_file.h"
#include "tests/fuzz/folder.h"
#include "tests/fuzz/fuzz.h"

namespace headlane::fuzz {
namespace {

void check(const Error& error) {
  if (error.status() == Status::kBadFile || error.status() == Status::kUnsupported) return;
  if (error.status() == Status::kIo) return;  // a split's other files are not there
  finding("gguf", error.what());
}

// The first, the last and some of the middle, so that what lies outside of the file shows.
void load(const GgufFile& file, const std::string& name, const GgufEntry& entry) {
  const int64_t n = entry.bytes / entry.type->block_bytes * entry.type->block;
  std::vector<float> part(static_cast<size_t>(std::min<int64_t>(n, 1000)));
  try {
    for (const int64_t first : {int64_t{0}, (n - std::ssize(part)) / 2, n - std::ssize(part)}) {
      file.read(name, first, part);
    }
  } catch (const Error& error) {
    check(error);
  }
}

}  // namespace
}  // namespace headlane::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headlane;  // NOLINT(google-build-using-namespace): the entry of libFuzzer
  static fuzz::Folder folder;
  const std::string path = folder.file("a.gguf");
  folder.write("a.gguf", {reinterpret_cast<const char*>(data), size});
  try {
    const GgufFile file(path);
    for (const auto& [name, entry] : file.entries()) fuzz::load(file, name, entry);
    convert_gguf(path, folder.file("out.headlane"), {});
  } catch (const Error& error) {
    fuzz::check(error);
  }
  return 0;
}

// .safetensors files: each tensor that a file has, as f32.
#include <algorithm>

#include "engine/base/error.h"
#include "engine/import/source/safetensors.h"
#include "tests/fuzz/json_change.h"

namespace headlane::fuzz {
namespace {

void check(const Error& error) {
  if (error.status() != Status::kBadFile && error.status() != Status::kUnsupported) {
    finding("safetensors", error.what());
  }
}

// All of the file's data is read, so that what lies outside shows.
void load(const SafetensorsModel& model, const std::string& name) {
  try {
    const std::vector<float> values = read_tensor(model, name, model.shape_of(name));
    uint32_t sum = 0;
    for (const float& value : values) {
      uint32_t bits = 0;
      std::memcpy(&bits, &value, sizeof bits);
      sum += bits;
    }
    asm volatile("" : : "r"(sum));  // the loop has a result
  } catch (const Error& error) {
    check(error);
  }
}

// Header and data; the length in front is made anew.
size_t change(uint8_t* data, size_t size, size_t max_size, Random* random) {
  uint64_t length = 0;
  if (size < sizeof length || random->one_in(8)) return LLVMFuzzerMutate(data, size, max_size);
  std::memcpy(&length, data, sizeof length);
  if (length > size - sizeof length) return LLVMFuzzerMutate(data, size, max_size);
  const std::string rest(reinterpret_cast<char*>(data) + sizeof length, size - sizeof length);
  const std::string header = changed_json(rest.substr(0, length), length + 200, random);
  const std::string file = header + rest.substr(length);
  const size_t n = std::min(file.size(), max_size - sizeof length);
  length = random->one_in(20) ? random->below(n + 2) : header.size();
  std::memcpy(data, &length, sizeof length);
  std::copy_n(file.data(), n, data + sizeof length);
  return n + sizeof length;
}

}  // namespace
}  // namespace headlane::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  headlane::fuzz::Random random(seed);
  return headlane::fuzz::change(data, size, max_size, &random);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headlane;  // NOLINT(google-build-using-namespace): the entry of libFuzzer
  static fuzz::MemoryFile file;
  file.write({data, size});
  try {
    const SafetensorsModel model = SafetensorsModel::of_file(file.path());
    for (const std::string& name : model.names()) fuzz::load(model, name);
  } catch (const Error& error) {
    fuzz::check(error);
  }
  return 0;
}

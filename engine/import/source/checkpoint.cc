#include "engine/import/source/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>

#include "engine/base/error.h"
#include "engine/file/tensor_shape.h"

namespace headlane {
namespace {

int64_t size_of(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

}  // namespace

void Checkpoint::require(const std::string& name, const std::vector<int64_t>& shape) const {
  if (!contains(name)) fail(Status::kBadFile, "%s is missing", where(name).c_str());
  if (shape_of(name) != shape) {
    fail(Status::kBadFile, "%s field \"shape\" is %s; the config asks for %s", where(name).c_str(),
         shape_text(shape_of(name)).c_str(), shape_text(shape).c_str());
  }
  check_type(name);
}

void Checkpoint::refuse(const std::string& name, const std::string& why) const {
  fail(Status::kUnsupported, "%s %s", where(name).c_str(), why.c_str());
}

std::vector<float> read_tensor(const Checkpoint& checkpoint, const std::string& name,
                               const std::vector<int64_t>& shape) {
  checkpoint.require(name, shape);
  std::vector<float> values(static_cast<size_t>(size_of(shape)));
  checkpoint.read(name, 0, values);
  return values;
}

bool same_tensors(const Checkpoint& checkpoint, const std::string& a, const std::string& b) {
  if (a == b) return true;
  if (checkpoint.shape_of(a) != checkpoint.shape_of(b)) return false;
  constexpr int64_t kMostAtOnce = 1 << 18;
  const int64_t size = size_of(checkpoint.shape_of(a));
  std::vector<float> of_a(static_cast<size_t>(std::min(size, kMostAtOnce))), of_b(of_a.size());
  for (int64_t first = 0; first < size; first += kMostAtOnce) {
    const auto n = static_cast<size_t>(std::min(kMostAtOnce, size - first));
    checkpoint.read(a, first, std::span(of_a).first(n));
    checkpoint.read(b, first, std::span(of_b).first(n));
    if (std::memcmp(of_a.data(), of_b.data(), n * sizeof(float)) != 0) return false;
  }
  return true;
}

}  // namespace headlane

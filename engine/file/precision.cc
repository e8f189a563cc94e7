#include "engine/file/precision.h"

#include "engine/base/error.h"

namespace headlane {
namespace {

Precision fastest(const kernels::Table& kernels) {
  const kernels::ProductKind* best = &kernels::kProductKinds[0];
  for (const kernels::ProductKind& kind : kernels::kProductKinds) {
    const bool is_native = kernels.product(kind.precision).native;
    if (kind.automatic && is_native && kind.speed > best->speed) best = &kind;
  }
  return best->precision;
}

}  // namespace

Precision choose_precision(const std::string& name, const kernels::Table& kernels,
                           Precision fallback) {
  if (name.empty()) return fallback;
  if (name == "auto") return fastest(kernels);
  for (const kernels::ProductKind& kind : kernels::kProductKinds) {
    if (name == kind.name) return kind.precision;
  }
  fail(Status::kInvalidArgument, "option precision is \"%s\"; it must be %s or \"auto\"",
       name.c_str(), precision_names().c_str());
}

std::string precision_names() {
  std::string names;
  for (const kernels::ProductKind& kind : kernels::kProductKinds) {
    names += (names.empty() ? "\"" : ", \"") + std::string(kind.name) + "\"";
  }
  return names;
}

}  // namespace headlane

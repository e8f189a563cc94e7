#include "engine/import/families/language_model.h"

#include <set>

#include "engine/base/error.h"
#include "engine/import/source/json_file.h"

namespace headlane {

void refuse_other_heads(const Json& config, const std::string& path, const std::string& ending) {
  constexpr const char* kField = "architectures";
  if (!json_has(config, kField, path)) return;
  for (const std::string& name : json_strings(config, kField, path)) {
    if (name.ends_with(ending)) continue;
    fail(Status::kUnsupported,
         "%s field \"%s\" names \"%s\"; of this \"model_type\" only language models, ...%s, are "
         "supported",
         path.c_str(), kField, printable(name).c_str(), ending.c_str());
  }
}

void refuse_changed_weights(const Json& config, const std::string& path) {
  for (const char* key : {"quantization_config", "pruned_heads"}) {
    if (!json_has(config, key, path) || config[key].empty()) continue;
    fail(Status::kUnsupported, "%s field \"%s\" is not empty; that is not supported", path.c_str(),
         key);
  }
}

void refuse_both_ways(const Json& config, const std::string& path) {
  if (json_bool(config, kIsCausal, path, true)) return;
  fail(Status::kUnsupported, "%s field \"%s\" is false; only true is supported", path.c_str(),
       kIsCausal);
}

void refuse_partial_rotary(const Json& config, const std::string& path) {
  constexpr const char* kPartial = "partial_rotary_factor";
  const auto refuse_in = [&](const Json& fields, const std::string& where) {
    if (!json_has(fields, kPartial, where) || json_number(fields, kPartial, where) == 1) return;
    fail(Status::kUnsupported, "%s field \"%s\" is not 1; heads of this family turn as a whole",
         where.c_str(), kPartial);
  };
  refuse_in(config, path);
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (!json_has(config, key, path) || !config[key].is_object()) continue;
    refuse_in(config[key], path + " field \"" + key + "\":");
  }
}

void refuse_flag(const Json& config, const char* key, const std::string& path) {
  if (!json_bool(config, key, path, false)) return;
  fail(Status::kUnsupported, "%s field \"%s\" is true; only false is supported", path.c_str(), key);
}

void refuse_left_over(const Checkpoint& checkpoint, const std::vector<TensorRecipe>& recipes,
                      const std::function<bool(const std::string& name)>& known) {
  std::set<std::string> taken;
  for (const TensorRecipe& recipe : recipes) {
    for (const TensorSlice& slice : recipe.slices) taken.insert(slice.tensor);
  }
  for (const std::string& name : checkpoint.names()) {
    if (taken.contains(name) || known(name)) continue;
    checkpoint.refuse(name, "is none that Headlane computes with in this model");
  }
}

int64_t json_positive(const Json& config, const char* key, const std::string& path) {
  const int64_t value = json_int(config, key, path);
  if (value < 1) {
    fail(Status::kBadFile, "%s field \"%s\" is %lld, less than 1", path.c_str(), key,
         static_cast<long long>(value));
  }
  return value;
}

}  // namespace headlane

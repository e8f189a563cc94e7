#include "engine/import/families/class_check.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

// These may stand behind the name of a family, besides "For" and a task.
constexpr std::string_view kEndings[] = {"Model", "MTModel", "LMHeadModel", "WithLMHeadModel"};

bool is_of_family(std::string_view name, const std::string& family) {
  if (!name.starts_with(family)) return false;
  name.remove_prefix(family.size());
  const bool is_model =
      std::find(std::begin(kEndings), std::end(kEndings), name) != std::end(kEndings);
  return is_model || name.starts_with("For");
}

// "auto_map": {"AutoModel": "modeling_own.OwnModel"}
void refuse_own_code(const Json& config, const std::string& path) {
  constexpr const char* kField = "auto_map";
  if (!json_has(config, kField, path) || !config[kField].is_object()) return;
  for (const auto& [key, value] : config[kField].items()) {
    if (key != "AutoConfig" && !key.starts_with("AutoModel")) continue;
    fail(
        Status::kUnsupported,
        "%s field \"%s\" names Python code of the folder's own (\"%s\"), which Headlane cannot run",
        path.c_str(), kField, printable(key).c_str());
  }
}

}  // namespace

void check_class(const Json& config, const std::string& path, const std::string& family) {
  constexpr const char* kField = "architectures";
  refuse_own_code(config, path);
  if (!json_has(config, kField, path)) return;
  for (const std::string& name : json_strings(config, kField, path)) {
    if (is_of_family(name, family)) continue;
    fail(Status::kUnsupported,
         "%s field \"%s\" names \"%s\", which is not a class of transformers' for this "
         "\"model_type\""
         ": %sModel, or %sFor and a task",
         path.c_str(), kField, printable(name).c_str(), family.c_str(), family.c_str());
  }
}

}  // namespace headlane

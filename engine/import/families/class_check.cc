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
constexpr std::string_view kEndings[] = {"Model",       "TextModel",       "MTModel",
                                         "LMHeadModel", "WithLMHeadModel", "EncoderModel"};

// Makers who publish a class of their own spell it in more than one way: in `any_case`.
bool is_of_family(std::string_view name, std::string_view family, bool any_case) {
  const auto same = [&](char a, char b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; };
    return any_case ? lower(a) == lower(b) : a == b;
  };
  if (name.size() < family.size() ||
      !std::equal(family.begin(), family.end(), name.begin(), same)) {
    return false;
  }
  name.remove_prefix(family.size());
  const bool is_model =
      std::find(std::begin(kEndings), std::end(kEndings), name) != std::end(kEndings);
  return is_model || name.starts_with("For") || name.starts_with("TextFor");
}

// "modeling_KNOWN.KnownForCausalLM", and its config, "configuration_KNOWN.KnownConfig"; behind
// "OWNER/MODEL--", where the code lies in another folder.
bool is_of_module(std::string_view name, std::string_view known) {
  constexpr std::string_view kElsewhere = "--";
  const size_t owner = name.find(kElsewhere);
  if (owner != std::string_view::npos) name.remove_prefix(owner + kElsewhere.size());
  for (const std::string_view kind : {"modeling_", "configuration_"}) {
    if (!name.starts_with(kind)) continue;
    name.remove_prefix(kind.size());
    return name.starts_with(known) && name.substr(known.size()).starts_with('.');
  }
  return false;
}

// "auto_map": {"AutoModel": "modeling_own.OwnModel"}
void refuse_own_code(const Json& config, const std::string& path, const char* known) {
  constexpr const char* kField = "auto_map";
  if (!json_has(config, kField, path) || !config[kField].is_object()) return;
  for (const auto& [key, value] : config[kField].items()) {
    if (key != "AutoConfig" && !key.starts_with("AutoModel")) continue;
    if (known != nullptr && value.is_string() && is_of_module(value.text(), known)) continue;
    fail(
        Status::kUnsupported,
        "%s field \"%s\" names Python code of the folder's own (\"%s\"), which Headlane cannot run",
        path.c_str(), kField, printable(key).c_str());
  }
}

}  // namespace

void check_class(const Json& config, const std::string& path, const std::string& family,
                 const char* own_module) {
  constexpr const char* kField = "architectures";
  refuse_own_code(config, path, own_module);
  if (!json_has(config, kField, path)) return;
  for (const std::string& name : json_strings(config, kField, path)) {
    if (is_of_family(name, family, own_module != nullptr)) continue;
    fail(Status::kUnsupported,
         "%s field \"%s\" names \"%s\", which is not a class of transformers' for this "
         "\"model_type\""
         ": %sModel, or %sFor and a task",
         path.c_str(), kField, printable(name).c_str(), family.c_str(), family.c_str());
  }
}

}  // namespace headlane

#include "engine/import/families/class_defaults.h"

namespace headlane {

Json with_class_defaults(Json config, ClassDefaults defaults) {
  if (defaults == nullptr || !config.is_object()) return config;
  const auto type = config.find("model_type");
  if (type == config.end() || !type->is_string()) return config;
  const Json all = defaults(type->text());
  for (const auto& [key, value] : all.items()) {
    if (!config.contains(key)) config[key] = value;
  }
  return config;
}

}  // namespace headlane

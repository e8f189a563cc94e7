#include "engine/import/write/write_model.h"

#include "engine/file/json.h"
#include "engine/model/model_check.h"

namespace headlane {

void write_model(const std::string& path, const ModelConfig& config, const Json& tokenizer,
                 std::span<const TensorSource> tensors) {
  const Json fields = config.to_json();
  check_model(Container::view(path, fields, tokenizer, tensors));
  write_container(path, fields, tokenizer, tensors);
}

}  // namespace headlane

#include "engine/import/write/write_model.h"

#include <vector>

#include "engine/file/container_write.h"
#include "engine/model/model_check.h"

namespace headlane {

void write_model(const std::string& path, const ModelConfig& config, const StoredTensors& weights,
                 const Json& tokenizer, std::span<const TensorSource> texts) {
  const Json fields = config.to_json();
  std::vector<TensorSource> tensors = weights.outline();
  tensors.insert(tensors.end(), texts.begin(), texts.end());
  check_model(Container::view(path, fields, tokenizer, tensors));
  ContainerWriter writer(path, fields, tokenizer, tensors);
  weights.write(&writer);
  for (const TensorSource& text : texts) writer.write(text.data);
  writer.commit();
}

}  // namespace headlane

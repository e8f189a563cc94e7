#include "engine/import/families/mpnet.h"

#include "engine/base/error.h"
#include "engine/file/json.h"
#include "engine/import/families/bert.h"
#include "engine/import/families/encoder.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

using json = Json;

// transformers' code has these numbers, whatever the fields "pad_token_id" and
// "relative_attention_num_buckets" say. The second of them is the table's rows alone.
constexpr int64_t kPaddingId = 1, kBuckets = 32, kMaxDistance = 128;

LayerNames mpnet_layer(const std::string& at) {
  LayerNames names = bert_layer(at);
  const std::string self = at + "attention.attn.";
  names.self = {self + "q", self + "k", self + "v", self + "o", at + "attention.LayerNorm"};
  return names;
}

}  // namespace

json mpnet_defaults(const std::string& type) {
  json defaults = bert_defaults(type);
  defaults.erase("type_vocab_size");
  defaults.update({{"vocab_size", 30527}, {"relative_attention_num_buckets", kBuckets}});
  return defaults;
}

ModelConfig mpnet_config(const json& config, const std::string& path) {
  ModelConfig result = read_bert_body(config, path);
  StackConfig& encoder = result.encoder;
  count_from_padding(kPaddingId, path, &encoder);
  const int64_t n_buckets = json_int(config, "relative_attention_num_buckets", path);
  if (n_buckets != kBuckets) {
    fail(Status::kUnsupported,
         "%s field \"relative_attention_num_buckets\" is %lld; only %lld, which transformers "
         "computes with whatever the field says, is supported",
         path.c_str(), static_cast<long long>(n_buckets), static_cast<long long>(kBuckets));
  }
  RelativeBiasSpec& relative = encoder.attention.relative;
  relative.n_buckets = kBuckets;
  relative.max_distance = kMaxDistance;
  relative.bidirectional = true;
  relative.max_len = encoder.max_positions;
  return result;
}

std::vector<TensorRecipe> mpnet_tensors(const Checkpoint& checkpoint, const json&,
                                        const std::string&, const ModelConfig& config) {
  return encoder_tensors(checkpoint, config,
                         {.head_prefix = "mpnet.",
                          .relative_bias = "encoder.relative_attention_bias.weight",
                          .layer = mpnet_layer,
                          .first_position = kPaddingId});
}

}  // namespace headlane

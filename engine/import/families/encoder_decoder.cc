#include "engine/import/families/encoder_decoder.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json.h"
#include "engine/import/families/language_model.h"
#include "engine/import/source/json_file.h"

namespace headlane {

using json = Json;

void refuse_other_than_encoder_decoder(const json& config, const std::string& path) {
  const std::pair<const char*, bool> fields[] = {{"is_encoder_decoder", true},
                                                 {"is_decoder", false}};
  for (const auto& [key, wanted] : fields) {
    if (json_bool(config, key, path, wanted) == wanted) continue;
    fail(Status::kUnsupported, "%s field \"%s\" is %s; only %s is supported", path.c_str(), key,
         wanted ? "false" : "true", wanted ? "true" : "false");
  }
  // transformers takes it for the encoder as for the decoder.
  if (json_has(config, kIsCausal, path)) {
    fail(Status::kUnsupported, "%s field \"%s\" is there; only a model without it is supported",
         path.c_str(), kIsCausal);
  }
  for (const char* key : {"pruned_heads", "quantization_config"}) {
    if (!json_has(config, key, path) || config[key].empty()) continue;
    fail(Status::kUnsupported, "%s field \"%s\" is not empty; that is not supported", path.c_str(),
         key);
  }
}

// transformers' names. Names that have one value here are equal but for less than f32's rounding.
Activation activation_of(const std::string& name, const char* key, const std::string& path) {
  constexpr std::pair<const char*, Activation> kNames[] = {
      {"gelu", Activation::kGelu},
      {"gelu_python", Activation::kGelu},
      {"gelu_new", Activation::kGeluTanh},
      {"gelu_pytorch_tanh", Activation::kGeluTanh},
      {"gelu_python_tanh", Activation::kGeluTanh},
      {"gelu_accurate", Activation::kGeluTanh},
      {"gelu_fast", Activation::kGeluTanh},
      {"relu", Activation::kRelu},
      {"silu", Activation::kSilu},
      {"swish", Activation::kSilu},
  };
  std::string known;
  for (const auto& [theirs, ours] : kNames) {
    if (name == theirs) return ours;
    known += (known.empty() ? "" : ", ") + std::string(theirs);
  }
  fail(Status::kUnsupported, "%s field \"%s\" is \"%s\", not one of: %s", path.c_str(), key,
       printable(name).c_str(), known.c_str());
}

void EncoderDecoderTensors::add_all() {
  add_words();
  add_stack(names_.encoder, "encoder", config_.encoder.n_layers);
  add_stack(names_.decoder, "decoder", config_.decoder.n_layers);
}

void EncoderDecoderTensors::add_encoder() {
  recipes_.add(first_there(names_.encoder_words), "encoder.embeddings.word",
               {config_.encoder.vocab_size, config_.d_model});
  add_stack(names_.encoder, "encoder", config_.encoder.n_layers);
}

// If none is there, the first is missing.
const std::string& EncoderDecoderTensors::first_there(
    const std::vector<std::string>& sources) const {
  const auto there = std::find_if(sources.begin(), sources.end(), [&](const std::string& source) {
    return checkpoint_.contains(source);
  });
  return there == sources.end() ? sources.front() : *there;
}

// Equal tables are one, whether or not the file has them twice.
void EncoderDecoderTensors::add_words() {
  const int64_t d = config_.d_model;
  const std::vector<int64_t> shape = {config_.decoder.vocab_size, d};
  const std::string& encoder_words = first_there(names_.encoder_words);
  const std::string& words = first_there(names_.decoder_words);
  const std::string& head = first_there(names_.head);
  recipes_.add(encoder_words, "encoder.embeddings.word", {config_.encoder.vocab_size, d});
  for (const std::string& source : {words, head}) checkpoint_.require(source, shape);
  if (!same_tensors(checkpoint_, words, encoder_words)) {
    recipes_.add(words, "decoder.embeddings.word", shape);
  }
  if (!same_tensors(checkpoint_, head, words)) recipes_.add(head, "lm_head.weight", shape);
}

void EncoderDecoderTensors::add_stack(const StackNames& names, const std::string& stack,
                                      int64_t n_layers) {
  if (config_.encoder.embedding_norm) add_norm(names.embedding_norm, stack + ".embeddings.norm");
  for (int64_t i = 0; i < n_layers; ++i) {
    add_layer(names.layer(i), stack + ".layers." + std::to_string(i) + ".", stack == "decoder");
  }
  if (config_.encoder.final_norm) add_norm(names.final_norm, stack + ".norm");
}

void EncoderDecoderTensors::add_layer(const LayerNames& names, const std::string& layer,
                                      bool of_decoder) {
  const StackConfig& stack = of_decoder ? config_.decoder : config_.encoder;
  const int64_t d = config_.d_model, d_ff = stack.d_ff;
  const AttentionSpec& spec = stack.attention;
  add_linear({names.self.q, names.self.k, names.self.v}, layer + "attention.qkv", spec.q_width(),
             d);
  add_linear({names.self.out}, layer + "attention.out", d, spec.o_width());
  add_norm(names.self.norm, layer + "attention.norm");
  if (of_decoder) {
    const AttentionSpec& cross = stack.cross;
    add_linear({names.cross.q}, layer + "cross.q", cross.q_width(), d);
    add_linear({names.cross.k, names.cross.v}, layer + "cross.kv", cross.k_width(), d);
    add_linear({names.cross.out}, layer + "cross.out", d, cross.o_width());
    add_norm(names.cross.norm, layer + "cross.norm");
  }
  add_linear(names.up, layer + "ffn.up", d_ff, d);
  add_linear({names.down}, layer + "ffn.down", d, d_ff);
  add_norm(names.norm, layer + "ffn.norm");
}

void EncoderDecoderTensors::add_linear(const std::vector<std::string>& sources,
                                       const std::string& name, int64_t n_out, int64_t n_in) {
  const auto with = [&](const char* suffix) {
    std::vector<std::string> names = sources;
    for (std::string& source : names) source += suffix;
    return names;
  };
  recipes_.add_stacked(with(".weight"), name + ".weight", {n_out, n_in});
  if (names_.biases) recipes_.add_stacked(with(".bias"), name + ".bias", {n_out});
}

void EncoderDecoderTensors::add_norm(const std::string& source, const std::string& name) {
  recipes_.add(source + ".weight", name + ".weight", {config_.d_model});
  if (names_.biases) recipes_.add(source + ".bias", name + ".bias", {config_.d_model});
}

}  // namespace headlane

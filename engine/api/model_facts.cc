#include "engine/api/model_facts.h"

#include <iterator>
#include <string>
#include <utility>

#include "engine/file/json_fields.h"
#include "engine/generate/decoder.h"

using headlane::Json;

namespace {

Json tensors_of(const headlane::Container& container) {
  Json tensors = Json::array();
  for (const headlane::TensorInfo& tensor : container.tensors()) {
    tensors.push_back(Json::object({{"name", tensor.name},
                                    {"dtype", name_of(tensor.dtype)},
                                    {"shape", tensor.shape},
                                    {"bytes", tensor.bytes}}));
  }
  return tensors;
}

// The lines "slot: implementation" as members.
Json kernels_of(const std::string& lines) {
  Json kernels = Json::object();
  for (size_t begin = 0; begin < lines.size();) {
    const size_t colon = lines.find(": ", begin), end = lines.find('\n', colon);
    kernels[lines.substr(begin, colon - begin)] = lines.substr(colon + 2, end - colon - 2);
    begin = end + 1;
  }
  return kernels;
}

Json tokenizer_facts(const headlane::Model& model) {
  if (model.tokenizer() == nullptr) return nullptr;
  const headlane::Tokenizer& tokenizer = *model.tokenizer();
  Json languages = Json::array();
  for (const std::string_view name : tokenizer.languages()) languages.push_back(name);
  return Json::object({{"type", model.container().tokenizer()["type"]},
                       {"vocab_size", tokenizer.vocab_size()},
                       {"target_vocab_size", tokenizer.target_vocab_size()},
                       {"languages", std::move(languages)}});
}

// Null if the model makes none.
Json vectors_of(const headlane_model_facts& facts) {
  if (facts.d_vector == 0) return nullptr;
  return Json::object({{"columns", facts.d_vector},
                       {"embedding_columns", facts.d_embedding},
                       {"similarity", facts.similarity},
                       {"leaves_out_prompt", facts.leaves_out_prompt != 0}});
}

const char* auto_precision_of(const headlane::Model& model) {
  return name_of(headlane::choose_precision("auto", model.kernels(), headlane::Precision::kF32));
}

// A number of a part that a model may not have.
template <typename Number>
Number number_of(bool has_part, Number number) {
  return has_part ? number : Number{0};
}

}  // namespace

// All members of the C struct, in their order: gcc refuses one that is left out. Those of the
// config are taken as members, not by a visitor of its fields (spec/fields.h), which would find
// them by the text of their names: a name that is wrong would be 0 without a word.
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wmissing-field-initializers"
headlane_model_facts headlane::c_api::facts_of(const Model& model) {
  const ModelConfig& config = model.config();
  const StackConfig& stack = config.first_stack();
  const StackConfig& decoder = config.decoder;
  const HeadConfig& head = config.head;
  const GenerationDefaults& generation = config.generation;
  const SamplingDefaults& sampling = generation.sampling;
  const bool generates = config.generates(), samples = generates && sampling.samples;
  const bool pools = head.kind == HeadKind::kPool, classifies = head.kind == HeadKind::kClassify;
  return {
      .struct_size = sizeof(headlane_model_facts),
      .architecture = config.architecture.c_str(),
      .activation = name_of(stack.activation),
      .pooling = name_of(pools ? head.pooling : Pooling::kNone),
      .isa = model.kernels().isa,
      .gemm = model.kernels().gemm,
      .n_layers = config.encoder.n_layers,
      .d_model = config.d_model,
      .n_heads = stack.attention.n_heads,
      .head_dim = stack.attention.head_dim,
      .d_ff = config.encoder.d_ff,
      .vocab_size = stack.vocab_size,
      .max_positions = stack.max_positions,
      .max_seq_len = config.max_seq_len,
      .n_types = stack.n_types,
      .norm_eps = stack.norm_eps,
      .normalize = head.normalize,
      .has_tokenizer = model.tokenizer() != nullptr,
      .n_parameters = model.n_parameters(),
      .file_bytes = model.container().file_bytes(),
      .packed_bytes = model.packed_bytes(),
      .n_tensors = std::ssize(model.container().tensors()),
      .kdim = config.kdim,
      .vdim = config.vdim,
      .n_kv_heads = stack.attention.n_kv_heads,
      .norm = name_of(stack.norm),
      .residual = stack.residual,
      .final_norm = stack.final_norm,
      .batch_first = config.batch_first,
      .precision = name_of(model.precision()),
      .file_precision = name_of(model.file_precision()),
      .auto_precision = auto_precision_of(model),
      .has_decoder = generates,
      .n_decoder_layers = decoder.n_layers,
      .n_decoder_heads = decoder.attention.n_heads,
      .decoder_d_ff = decoder.d_ff,
      .decoder_vocab_size = number_of(generates, decoder.vocab_size),
      .max_target_len = number_of(generates, decoder.max_positions),
      .max_new_tokens = number_of(generates, generation.max_new_tokens),
      .n_beams = number_of(generates, generation.n_beams),
      .start_id = number_of(generates, generation.start_id),
      .forced_first_id = number_of(generates, generation.forced_first_id),
      .n_languages = model.tokenizer() ? std::ssize(model.tokenizer()->languages()) : 0,
      .n_prompts = std::ssize(config.prompts.texts),
      .default_prompt = config.prompts.default_text().c_str(),
      .d_vector = config.vector_columns(),
      .n_labels = number_of(classifies, head.classifier.n_labels()),
      .outcome = classifies ? name_of(head.classifier.outcome) : "none",
      .has_entailment = classifies && head.classifier.entailment >= 0,
      .d_embedding = config.meant_columns(),
      .similarity = name_of(head.use.similarity),
      .leaves_out_prompt = head.use.leaves_out_prompt,
      .temperature = number_of(samples, double{sampling.temperature}),
      .top_k = number_of(samples, sampling.top_k),
      .top_p = number_of(samples, double{sampling.top_p}),
      .min_p = number_of(samples, double{sampling.min_p}),
      .cache_token_bytes = cache_token_bytes(model),
  };
}
#pragma GCC diagnostic pop

Json headlane::c_api::json_of(const headlane_model& handle) {
  const Model& model = *handle.model;
  const headlane_model_facts facts = facts_of(model);
  return Json::object({{"config", model.config().to_json()},
                       {"vectors", vectors_of(facts)},
                       {"tokenizer", tokenizer_facts(model)},
                       {"n_parameters", facts.n_parameters},
                       {"file_bytes", facts.file_bytes},
                       {"packed_bytes", facts.packed_bytes},
                       {"cache_token_bytes", facts.cache_token_bytes},
                       {"file_precision", facts.file_precision},
                       {"precision", facts.precision},
                       {"auto_precision", facts.auto_precision},
                       {"isa", facts.isa},
                       {"gemm", facts.gemm},
                       {"kernels", kernels_of(handle.kernels)},
                       {"tensors", tensors_of(model.container())}});
}

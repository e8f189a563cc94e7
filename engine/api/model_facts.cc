#include "engine/api/model_facts.h"

#include <cstring>
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

Json list_panels(const headlane::Container& container) {
  Json panels = Json::array();
  for (const headlane::PanelsInfo& entry : container.panels()) {
    panels.push_back(
        Json::object({{"weight", entry.weight}, {"layout", entry.layout}, {"bytes", entry.bytes}}));
  }
  return panels;
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

// All members of the C struct, in their order. Those of the config are taken as members, not by a
// visitor of its fields (spec/fields.h), which would find them by the text of their names: a name
// that is wrong would be 0 without a word. A program is given all of the struct's bytes, so those
// between members are zeros, not what lay in this memory before. That each member is set is tested
// (tests/api/model_facts_test.cc).
headlane_model_facts headlane::c_api::facts_of(const Model& model) {
  const ModelConfig& config = model.config();
  const StackConfig& stack = config.first_stack();
  const StackConfig& decoder = config.decoder;
  const HeadConfig& head = config.head;
  const GenerationDefaults& generation = config.generation;
  const SamplingDefaults& sampling = generation.sampling;
  const bool generates = config.generates(), samples = generates && sampling.samples;
  const bool pools = head.kind == HeadKind::kPool, classifies = head.kind == HeadKind::kClassify;
  headlane_model_facts facts;
  std::memset(&facts, 0, sizeof facts);
  facts.struct_size = sizeof(headlane_model_facts);
  facts.architecture = config.architecture.c_str();
  facts.activation = name_of(stack.activation);
  facts.pooling = name_of(pools ? head.pooling : Pooling::kNone);
  facts.isa = model.kernels().isa;
  facts.gemm = model.kernels().gemm;
  facts.n_layers = config.encoder.n_layers;
  facts.d_model = config.d_model;
  facts.n_heads = stack.attention.n_heads;
  facts.head_dim = stack.attention.head_dim;
  facts.d_ff = config.encoder.d_ff;
  facts.vocab_size = stack.vocab_size;
  facts.max_positions = stack.max_positions;
  facts.max_seq_len = config.max_seq_len;
  facts.n_types = stack.n_types;
  facts.norm_eps = stack.norm_eps;
  facts.normalize = head.normalize;
  facts.has_tokenizer = model.tokenizer() != nullptr;
  facts.n_parameters = model.n_parameters();
  facts.file_bytes = model.container().file_bytes();
  const Model::PackedFacts packed = model.packed_facts();
  facts.packed_bytes = packed.bytes;
  facts.mapped_bytes = packed.mapped_bytes;
  facts.n_products = packed.n_products;
  facts.n_stored_products = packed.n_stored;
  facts.n_panels = std::ssize(model.container().panels());
  facts.n_tensors = std::ssize(model.container().tensors());
  facts.kdim = config.kdim;
  facts.vdim = config.vdim;
  facts.n_kv_heads = stack.attention.n_kv_heads;
  facts.norm = name_of(stack.norm);
  facts.residual = stack.residual;
  facts.final_norm = stack.final_norm;
  facts.batch_first = config.batch_first;
  facts.precision = name_of(model.precision());
  facts.file_precision = name_of(model.file_precision());
  facts.auto_precision = auto_precision_of(model);
  facts.has_decoder = generates;
  facts.n_decoder_layers = decoder.n_layers;
  facts.n_decoder_heads = decoder.attention.n_heads;
  facts.decoder_d_ff = decoder.d_ff;
  facts.decoder_vocab_size = number_of(generates, decoder.vocab_size);
  facts.max_target_len = number_of(generates, decoder.max_positions);
  facts.max_new_tokens = number_of(generates, generation.max_new_tokens);
  facts.n_beams = number_of(generates, generation.n_beams);
  facts.start_id = number_of(generates, generation.start_id);
  facts.forced_first_id = number_of(generates, generation.forced_first_id);
  facts.n_languages = model.tokenizer() ? std::ssize(model.tokenizer()->languages()) : 0;
  facts.n_prompts = std::ssize(config.prompts.texts);
  facts.default_prompt = config.prompts.default_text().c_str();
  facts.d_vector = config.vector_columns();
  facts.n_labels = number_of(classifies, head.classifier.n_labels());
  facts.outcome = classifies ? name_of(head.classifier.outcome) : "none";
  facts.has_entailment = classifies && head.classifier.entailment >= 0;
  facts.d_embedding = config.meant_columns();
  facts.similarity = name_of(head.use.similarity);
  facts.leaves_out_prompt = head.use.leaves_out_prompt;
  facts.temperature = number_of(samples, double{sampling.temperature});
  facts.top_k = number_of(samples, sampling.top_k);
  facts.top_p = number_of(samples, double{sampling.top_p});
  facts.min_p = number_of(samples, double{sampling.min_p});
  facts.cache_token_bytes = cache_token_bytes(model, default_cache_format(model.precision()));
  facts.cache_token_bytes_f32 = cache_token_bytes(model, kernels::Format::kF32);
  facts.cache_token_bytes_bf16 = cache_token_bytes(model, kernels::Format::kBf16);
  facts.cache_token_bytes_int8 = cache_token_bytes(model, kernels::Format::kS8);
  facts.n_chat_templates = std::ssize(config.chat.templates);
  return facts;
}

Json headlane::c_api::json_of(const headlane_model& handle) {
  const Model& model = *handle.model;
  const headlane_model_facts facts = facts_of(model);
  return Json::object({{"config", model.config().to_json()},
                       {"vectors", vectors_of(facts)},
                       {"tokenizer", tokenizer_facts(model)},
                       {"n_parameters", facts.n_parameters},
                       {"file_bytes", facts.file_bytes},
                       {"packed_bytes", facts.packed_bytes},
                       {"mapped_bytes", facts.mapped_bytes},
                       {"n_products", facts.n_products},
                       {"n_stored_products", facts.n_stored_products},
                       {"panels", list_panels(model.container())},
                       {"cache_token_bytes", facts.cache_token_bytes},
                       {"cache_token_bytes_f32", facts.cache_token_bytes_f32},
                       {"cache_token_bytes_bf16", facts.cache_token_bytes_bf16},
                       {"cache_token_bytes_int8", facts.cache_token_bytes_int8},
                       {"file_precision", facts.file_precision},
                       {"precision", facts.precision},
                       {"auto_precision", facts.auto_precision},
                       {"isa", facts.isa},
                       {"gemm", facts.gemm},
                       {"kernels", kernels_of(handle.kernels)},
                       {"tensors", tensors_of(model.container())}});
}

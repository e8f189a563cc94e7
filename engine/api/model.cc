// The C API's models: opening them, and what they are.
#include "engine/model/model.h"

#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "engine/api/c_api.h"
#include "engine/api/options.h"
#include "engine/file/json_fields.h"
#include "engine/generate/decoder.h"
#include "engine/spec/isa.h"
#include "kernels/slots.h"

using headlane::fail;
using headlane::Json;
using headlane::Status;
using namespace headlane::c_api;  // NOLINT(google-build-using-namespace): what this file is of

namespace {

// The instruction set that brought what a table has in a slot.
std::string origin_of(const headlane::kernels::Table& table, const headlane::kernels::Slot& slot) {
  if (slot.address(table) == 0) return "none (f32 instead)";
  for (const headlane::kernels::Table* other : headlane::kernels::supported()) {
    if (slot.address(*other) == slot.address(table)) return other->isa;
  }
  return table.isa;
}

std::string describe_kernels(const headlane::kernels::Table& table) {
  std::string text;
  for (const headlane::kernels::ProductKind& kind : headlane::kernels::kProductKinds) {
    const headlane::kernels::Product& product = table.product(kind.precision);
    text += std::string("gemm_") + kind.name + ": " + (product.name ? product.name : "none");
    if (product.nr > 0 && product.nr != headlane::kernels::Product::kAllColumns) {
      text += " " + std::to_string(product.mr) + "x" + std::to_string(product.nr);
    }
    text += product.native || product.name == nullptr ? "\n" : " (widened)\n";
  }
  const auto amx = headlane::kernels::amx_state();
  text += "amx: ";
  text += amx == headlane::kernels::AmxState::kUsable    ? "usable\n"
          : amx == headlane::kernels::AmxState::kRefused ? "refused to this process by the system\n"
                                                         : "not of this CPU\n";
  for (const headlane::kernels::Slot& slot : headlane::kernels::kSlots) {
    if (!slot.is_size()) text += std::string(slot.name) + ": " + origin_of(table, slot) + "\n";
  }
  return text;
}

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

Json vector_facts(const headlane::ModelConfig& config) {
  if (config.vector_columns() == 0) return nullptr;
  return Json::object({{"columns", config.vector_columns()},
                       {"embedding_columns", config.meant_columns()},
                       {"similarity", name_of(config.head.use.similarity)},
                       {"leaves_out_prompt", config.head.use.leaves_out_prompt}});
}

const char* auto_precision_of(const headlane::Model& model) {
  return name_of(headlane::choose_precision("auto", model.kernels(), headlane::Precision::kF32));
}

Json json_of(const headlane_model& handle) {
  const headlane::Model& model = *handle.model;
  return Json::object({{"config", model.config().to_json()},
                       {"vectors", vector_facts(model.config())},
                       {"tokenizer", tokenizer_facts(model)},
                       {"n_parameters", model.n_parameters()},
                       {"file_bytes", model.container().file_bytes()},
                       {"packed_bytes", model.packed_bytes()},
                       {"cache_token_bytes", headlane::cache_token_bytes(model)},
                       {"file_precision", name_of(model.file_precision())},
                       {"precision", name_of(model.precision())},
                       {"auto_precision", auto_precision_of(model)},
                       {"isa", model.kernels().isa},
                       {"gemm", model.kernels().gemm},
                       {"kernels", kernels_of(handle.kernels)},
                       {"tensors", tensors_of(model.container())}});
}

}  // namespace

headlane::ModelOptions headlane::c_api::model_options(const headlane_model_options& options) {
  const auto text = [](const char* given, const char* otherwise) {
    return given ? given : otherwise;
  };
  const Threads threads = read_threads(options.n_threads, options.pool);
  return {text(options.isa, ""),
          text(options.gemm, "headlane"),
          text(options.precision, ""),
          threads.count,
          threads.pool,
          read_log(options.log, options.log_user),
          options.sizes_only != 0};
}

headlane_model* headlane::c_api::new_model(std::unique_ptr<headlane::Model> made) {
  std::string kernels = describe_kernels(made->kernels());
  return new headlane_model{std::move(made), std::move(kernels)};
}

headlane_status headlane_model_open(const char* path, const headlane_model_options* options,
                                    headlane_model** out) {
  return guarded([&] {
    require(path, "path");
    require(out, "out");
    const headlane_model_options read = read_struct(options, "headlane_model_options");
    *out = new_model(headlane::Model::open(path, model_options(read)));
  });
}

void headlane_model_destroy(headlane_model* model) { delete model; }

headlane_status headlane_model_get_facts(const headlane_model* model, headlane_model_facts* out) {
  return guarded([&] {
    require(model, "model");
    const headlane::Model& m = *model->model;
    const headlane::ModelConfig& config = m.config();
    const headlane::StackConfig& stack = config.first_stack();
    headlane_model_facts facts{};
    facts.architecture = config.architecture.c_str();
    facts.activation = name_of(stack.activation);
    const headlane::HeadConfig& head = config.head;
    const bool pools = head.kind == headlane::HeadKind::kPool;
    facts.pooling = name_of(pools ? head.pooling : headlane::Pooling::kNone);
    facts.isa = m.kernels().isa;
    facts.gemm = m.kernels().gemm;
    facts.n_layers = config.encoder.n_layers;
    facts.d_model = config.d_model;
    facts.d_vector = config.vector_columns();
    facts.d_embedding = config.meant_columns();
    facts.similarity = name_of(config.head.use.similarity);
    facts.leaves_out_prompt = config.head.use.leaves_out_prompt ? 1 : 0;
    facts.n_heads = stack.attention.n_heads;
    facts.head_dim = stack.attention.head_dim;
    facts.d_ff = config.encoder.d_ff;
    facts.vocab_size = config.first_stack().vocab_size;
    facts.max_positions = stack.max_positions;
    facts.max_seq_len = config.max_seq_len;
    facts.n_types = config.first_stack().n_types;
    facts.norm_eps = stack.norm_eps;
    facts.normalize = config.head.normalize ? 1 : 0;
    facts.has_tokenizer = m.tokenizer() ? 1 : 0;
    facts.n_parameters = m.n_parameters();
    facts.file_bytes = m.container().file_bytes();
    facts.packed_bytes = m.packed_bytes();
    facts.n_tensors = static_cast<int64_t>(m.container().tensors().size());
    facts.kdim = config.kdim;
    facts.vdim = config.vdim;
    facts.n_kv_heads = stack.attention.n_kv_heads;
    facts.norm = name_of(stack.norm);
    facts.residual = stack.residual ? 1 : 0;
    facts.final_norm = stack.final_norm ? 1 : 0;
    facts.batch_first = config.batch_first ? 1 : 0;
    facts.precision = name_of(m.precision());
    facts.file_precision = name_of(m.file_precision());
    facts.auto_precision = auto_precision_of(m);
    const headlane::StackConfig& decoder = config.decoder;
    facts.n_decoder_layers = decoder.n_layers;
    facts.n_decoder_heads = decoder.attention.n_heads;
    facts.decoder_d_ff = decoder.d_ff;
    if (config.generates()) {
      facts.has_decoder = 1;
      facts.decoder_vocab_size = decoder.vocab_size;
      facts.max_target_len = decoder.max_positions;
      facts.max_new_tokens = config.generation.max_new_tokens;
      facts.n_beams = config.generation.n_beams;
      facts.cache_token_bytes = headlane::cache_token_bytes(m);
      facts.start_id = config.generation.start_id;
      facts.forced_first_id = config.generation.forced_first_id;
      const headlane::SamplingDefaults& sampling = config.generation.sampling;
      if (sampling.samples) {
        facts.temperature = double{sampling.temperature};
        facts.top_k = sampling.top_k;
        facts.top_p = double{sampling.top_p};
        facts.min_p = double{sampling.min_p};
      }
    }
    facts.n_prompts = std::ssize(config.prompts.texts);
    facts.default_prompt = config.prompts.default_text().c_str();
    if (m.tokenizer()) facts.n_languages = std::ssize(m.tokenizer()->languages());
    facts.outcome = "none";
    if (head.kind == headlane::HeadKind::kClassify) {
      facts.n_labels = head.classifier.n_labels();
      facts.outcome = name_of(head.classifier.outcome);
      facts.has_entailment = head.classifier.entailment >= 0 ? 1 : 0;
    }
    write_struct(facts, out, "headlane_model_facts");
  });
}

headlane_status headlane_model_get_json(const headlane_model* model, char* json, int64_t capacity,
                                        int64_t* n_bytes) {
  return guarded([&] {
    require(model, "model");
    require(n_bytes, "n_bytes");
    check_room(json, "json", capacity);
    const std::string text = json_of(*model).dump();
    write_results<char>(text, "bytes", json, capacity, n_bytes);
  });
}

headlane_status headlane_model_get_tensor(const headlane_model* model, int64_t i,
                                          headlane_tensor_facts* out) {
  return guarded([&] {
    require(model, "model");
    const auto& tensors = model->model->container().tensors();
    if (i < 0 || i >= static_cast<int64_t>(tensors.size())) {
      fail(Status::kInvalidArgument, "tensor index i is %lld; the file has %zu tensors",
           static_cast<long long>(i), tensors.size());
    }
    const headlane::TensorInfo& tensor = tensors[static_cast<size_t>(i)];
    headlane_tensor_facts facts{};
    facts.name = tensor.name.c_str();
    facts.dtype = name_of(tensor.dtype);
    facts.rank = static_cast<int64_t>(tensor.shape.size());
    facts.shape = tensor.shape.data();
    facts.bytes = tensor.bytes;
    write_struct(facts, out, "headlane_tensor_facts");
  });
}

headlane_status headlane_model_get_prompt(const headlane_model* model, int64_t i,
                                          headlane_prompt_facts* out) {
  return guarded([&] {
    require(model, "model");
    const headlane::Prompts& prompts = model->model->config().prompts;
    if (i < 0 || i >= std::ssize(prompts.texts)) {
      fail(Status::kInvalidArgument, "prompt index i is %lld; the model has %zu prompts",
           static_cast<long long>(i), prompts.texts.size());
    }
    const auto& [name, text] = *std::next(prompts.texts.begin(), i);
    headlane_prompt_facts facts{};
    facts.name = name.c_str();
    facts.text = text.c_str();
    facts.is_default = name == prompts.default_name ? 1 : 0;
    write_struct(facts, out, "headlane_prompt_facts");
  });
}

headlane_status headlane_model_find_prompt(const headlane_model* model, const char* name,
                                           const char** text) {
  return guarded([&] {
    require(model, "model");
    require(name, "name");
    require(text, "text");
    *text = model->model->config().prompts.require(name).c_str();
  });
}

headlane_status headlane_isa(const char* isa, const char** out) {
  return guarded([&] {
    require(out, "out");
    *out = headlane::kernels_for(isa ? isa : "").isa;
  });
}

const char* headlane_isa_names(void) {
  static const std::string kNames = headlane::kernels::isa_names();
  return kNames.c_str();
}

const char* headlane_model_kernels(const headlane_model* model) {
  return model ? model->kernels.c_str() : nullptr;
}

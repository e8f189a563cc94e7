// Brings together what the files of a Hugging Face folder say, and writes one .headlane file.
// Each family of models has a file for what is particular to it.
#include "engine/import/huggingface.h"

#include <algorithm>
#include <limits>
#include <new>
#include <optional>
#include <span>
#include <utility>

#include "engine/base/error.h"
#include "engine/chat/conversation.h"
#include "engine/file/container.h"
#include "engine/import/families/baichuan.h"
#include "engine/import/families/bart.h"
#include "engine/import/families/bert.h"
#include "engine/import/families/class_check.h"
#include "engine/import/families/classifier.h"
#include "engine/import/families/decoder.h"
#include "engine/import/families/deepseek.h"
#include "engine/import/families/distilbert.h"
#include "engine/import/families/electra.h"
#include "engine/import/families/falcon.h"
#include "engine/import/families/gemma.h"
#include "engine/import/families/generation.h"
#include "engine/import/families/gpt2.h"
#include "engine/import/families/llama.h"
#include "engine/import/families/mixture.h"
#include "engine/import/families/modernbert.h"
#include "engine/import/families/mpnet.h"
#include "engine/import/families/phi3.h"
#include "engine/import/families/roberta.h"
#include "engine/import/families/rotary_encoder.h"
#include "engine/import/families/t5.h"
#include "engine/import/quantized/quantization.h"
#include "engine/import/quantized/quantized_checkpoint.h"
#include "engine/import/source/interleaved_experts.h"
#include "engine/import/source/json_file.h"
#include "engine/import/source/model_path.h"
#include "engine/import/source/safetensors.h"
#include "engine/import/source/sentence_transformers.h"
#include "engine/import/tokenizers/chat_files.h"
#include "engine/import/tokenizers/tokenizer.h"
#include "engine/import/write/kept_types.h"
#include "engine/import/write/stored_tensors.h"
#include "engine/import/write/write_model.h"

namespace headlane {
namespace {

using json = Json;

// Of language models whose layers can make vectors or scores of whole texts.
constexpr Family also_reads(Family family) {
  family.classifier = &kLastTokenClassifier;
  family.embeds = true;
  return family;
}

// What is made of a model with a decoder.
enum class Use { kAnswers, kVectors, kScores, kLogitScores };

constexpr Family kFamilies[] = {
    {"bert", "Bert", bert_defaults, bert_config, bert_tensors, &kBertClassifier},
    {"distilbert", "DistilBert", distilbert_defaults, distilbert_config, distilbert_tensors,
     &kDistilbertClassifier},
    {"roberta", "Roberta", roberta_defaults, roberta_config, roberta_tensors, &kRobertaClassifier},
    {"xlm-roberta", "XLMRoberta", roberta_defaults, roberta_config, roberta_tensors,
     &kRobertaClassifier},
    {"camembert", "Camembert", roberta_defaults, roberta_config, roberta_tensors,
     &kRobertaClassifier},
    {"electra", "Electra", electra_defaults, electra_config, electra_tensors, &kElectraClassifier},
    {"mpnet", "MPNet", mpnet_defaults, mpnet_config, mpnet_tensors, &kMpnetClassifier},
    {"modernbert", "ModernBert", modernbert_defaults, modernbert_config, modernbert_tensors,
     nullptr, nullptr, nullptr, false, modernbert_classifier},
    {"eurobert", "EuroBert", llama_defaults, eurobert_config, eurobert_tensors, nullptr,
     "eurobert"},
    {"nomic_bert", "NomicBert", nomic_bert_defaults, nomic_bert_config, rotary_encoder_tensors,
     &kNomicBertClassifier, "hf_nomic_bert"},
    {"gte", "Gte", gte_defaults, gte_config, rotary_encoder_tensors, &kGteClassifier,
     "hf_alibaba_nlp_gte"},
    {"jina_embeddings_v3", "JinaEmbeddingsV3", jina3_defaults, jina3_config, rotary_encoder_tensors,
     &kJina3Classifier},
    {"marian", "Marian", bart_defaults, bart_config, bart_tensors},
    {"bart", "Bart", bart_defaults, bart_config, bart_tensors},
    {"mbart", "MBart", bart_defaults, bart_config, bart_tensors},
    {"m2m_100", "M2M100", bart_defaults, bart_config, bart_tensors},
    {"t5", "T5", t5_defaults, t5_config, t5_tensors},
    {"mt5", "MT5", t5_defaults, t5_config, t5_tensors},
    {"gpt2", "GPT2", gpt2_defaults, gpt2_config, gpt2_tensors},
    also_reads({"llama", "Llama", llama_defaults, llama_config, llama_tensors}),
    also_reads({"mistral", "Mistral", llama_defaults, llama_config, llama_tensors}),
    also_reads({"qwen2", "Qwen2", llama_defaults, llama_config, llama_tensors}),
    also_reads({"qwen3", "Qwen3", llama_defaults, llama_config, llama_tensors}),
    also_reads({"gemma", "Gemma", gemma_defaults, gemma_config, gemma_tensors}),
    also_reads({"gemma2", "Gemma2", gemma2_defaults, gemma2_config, gemma_tensors}),
    also_reads({"gemma3_text", "Gemma3", gemma3_defaults, gemma3_config, gemma_tensors}),
    {"gemma3", "Gemma3", nullptr, gemma3_text_part_config, gemma3_text_part_tensors, nullptr,
     nullptr, gemma3_text_part_name},
    also_reads({"phi3", "Phi3", phi3_defaults, phi3_config, phi3_tensors}),
    also_reads({"smollm3", "SmolLM3", llama_defaults, smollm3_config, llama_tensors}),
    also_reads({"olmo2", "Olmo2", llama_defaults, olmo2_config, llama_tensors}),
    also_reads({"glm", "Glm", glm_defaults, glm_config, glm_tensors}),
    also_reads({"glm4", "Glm4", glm_defaults, glm_config, glm_tensors}),
    {"falcon", "Falcon", falcon_defaults, falcon_config, falcon_tensors},
    {"bloom", "Bloom", bloom_defaults, bloom_config, bloom_tensors},
    also_reads({"mixtral", "Mixtral", mixture_defaults, mixtral_config, mixture_tensors}),
    also_reads({"qwen2_moe", "Qwen2Moe", mixture_defaults, qwen2_moe_config, mixture_tensors}),
    also_reads({"qwen3_moe", "Qwen3Moe", mixture_defaults, qwen3_moe_config, mixture_tensors}),
    {"olmoe", "Olmoe", mixture_defaults, olmoe_config, mixture_tensors},
    {"gpt_oss", "GptOss", mixture_defaults, gpt_oss_config, mixture_tensors, nullptr, nullptr,
     nullptr, false, nullptr, true},
    {"glm4_moe", "Glm4Moe", mixture_defaults, glm4_moe_config, mixture_tensors},
    {"deepseek_v2", "DeepseekV2", deepseek_defaults, deepseek_v2_config, deepseek_tensors},
    {"deepseek_v3", "DeepseekV3", deepseek_defaults, deepseek_v3_config, deepseek_tensors},
    {"baichuan", "Baichuan", baichuan_defaults, baichuan_config, baichuan_tensors, nullptr,
     "baichuan"}};

// Ids beyond the embedding table would have no row. Fewer are fine: tables are often padded.
void check_vocab(const ImportedTokenizer& tokenizer, const ModelConfig& config,
                 const std::string& path) {
  const int64_t n_tokens = std::count(tokenizer.vocab.begin(), tokenizer.vocab.end(), '\n');
  if (n_tokens <= config.first_stack().vocab_size) return;
  fail(Status::kBadFile, "%s field \"vocab_size\" is %lld, but the tokenizer has %lld tokens",
       path.c_str(), static_cast<long long>(config.first_stack().vocab_size),
       static_cast<long long>(n_tokens));
}

// Views of the tokenizer's strings.
std::vector<TensorSource> texts_of(const ImportedTokenizer& tokenizer) {
  std::vector<TensorSource> sources;
  const TokenizerTensors views = tokenizer.views();
  for (const auto& [name, member] : TokenizerTensors::kMembers) {
    const std::span<const std::byte> bytes = views.*member;
    if (bytes.empty()) continue;
    sources.push_back({name, Format::kU8, {static_cast<int64_t>(bytes.size())}, bytes});
  }
  return sources;
}

// Heads that the vector of a text, or the answer of a model that generates, has no need of beyond
// what is converted.
bool needs_no_head(const std::string& head, const ModelConfig& config) {
  if (head.empty() || head == "ForPreTraining") return true;
  if (config.is_language_model()) {
    // Other parts of such a model are left out, which the log says.
    return head == "ForCausalLM" || head == "ForConditionalGeneration";
  }
  return head == (config.generates() ? "ForConditionalGeneration" : "ForMaskedLM");
}

bool classifies(const Family& family) {
  return family.classifier != nullptr || family.classifier_of != nullptr;
}

// `fields`: config.json with the class's defaults.
ClassifierForm classifier_form(const Family& family, const json& fields, const std::string& path) {
  return family.classifier != nullptr ? *family.classifier : family.classifier_of(fields, path);
}

[[noreturn]] void refuse_head(const std::string& head, const std::string& path, bool generates) {
  if (head != kSequenceClassification) {
    fail(Status::kUnsupported,
         "%s field \"architectures\" is of a model %s, whose head is not supported%s", path.c_str(),
         printable(head).c_str(),
         generates ? ""
                   : "; for vectors of its hidden states, say how they are pooled, such as by "
                     "the mean");
  }
  std::string known;
  for (const Family& family : kFamilies) {
    if (!classifies(family)) continue;
    known += (known.empty() ? "" : ", ") + std::string(family.model_type);
  }
  fail(Status::kUnsupported,
       "%s field \"architectures\" is of a model %s, which is supported for: %s", path.c_str(),
       head.c_str(), known.c_str());
}

// `source` is config.json as it is, of a model for which `fields` has the class's defaults too.
HeadConfig read_class_scores(const Family& family, const SentenceModules& modules,
                             const json& source, const json& fields, const std::string& path,
                             int64_t d_model) {
  HeadConfig head = read_classifier(source, path, classifier_form(family, fields, path), d_model,
                                    modules.cross_encoder ? &*modules.cross_encoder : nullptr);
  if (head.pooling == Pooling::kLastToken) {
    // No text has a token that is no id of 32 bits.
    const int64_t pad = json_int(fields, "pad_token_id", path, -1);
    const bool is_id = pad >= 0 && pad <= std::numeric_limits<int32_t>::max();
    head.classifier.row.passed_over = is_id ? static_cast<int32_t>(pad) : -1;
  }
  return head;
}

// The class of the model says what its output is, unless the user or a modules.json does.
void read_head(const Family& family, const SentenceModules& modules, const json& source,
               const json& fields, const std::string& path, ModelConfig* config) {
  const std::string head = head_of_class(source, path);
  if (modules.logit_score) {
    config->head = read_logit_score(source, path, *modules.cross_encoder);
  } else if (head == kSequenceClassification && classifies(family)) {
    config->head = read_class_scores(family, modules, source, fields, path, config->d_model);
  } else if (modules.cross_encoder && head != kSequenceClassification) {
    fail(Status::kUnsupported,
         "%s field \"architectures\" names no model %s; only such a CrossEncoder is supported",
         path.c_str(), kSequenceClassification);
  } else if (!needs_no_head(head, *config)) {
    refuse_head(head, path, config->generates());
  }
}

[[noreturn]] void refuse_reading(const Family& family, Use use, const std::string& path) {
  std::string known;
  for (const Family& one : kFamilies) {
    if (one.embeds) known += (known.empty() ? "" : ", ") + std::string(one.model_type);
  }
  fail(
      Status::kUnsupported,
      "%s field \"model_type\" is \"%s\"; of models with a decoder, %s of texts can be made by: %s",
      path.c_str(), family.model_type, use == Use::kVectors ? "vectors" : "scores", known.c_str());
}

// A class without a head, or one whose head is left out.
void check_embedder_class(const json& config, const std::string& path) {
  constexpr const char* kClasses = "architectures";
  if (!json_has(config, kClasses, path)) return;
  for (const std::string& name : json_strings(config, kClasses, path)) {
    if (name.ends_with("Model") || name.ends_with("ForCausalLM")) continue;
    fail(
        Status::kUnsupported,
        "%s field \"%s\" names \"%s\"; vectors of texts can be made by ...Model and ...ForCausalLM",
        path.c_str(), kClasses, printable(name).c_str());
  }
}

// A window of a model whose tokens see those after them has two sides.
void check_directions(const StackConfig& stack, bool embeds, const std::string& path) {
  if (stack.attention.causal != Causal::kNone) return;
  if (!embeds) {
    fail(Status::kUnsupported,
         "%s: tokens see those after them (\"is_causal\" is false, or "
         "\"use_bidirectional_attention\" "
         "is true), so that the model makes vectors of texts and generates none",
         path.c_str());
  }
  for (const LayerWindow& window : stack.windows) {
    if ((window.left == kUnlimited) == (window.right == kUnlimited)) continue;
    fail(Status::kUnsupported,
         "%s field \"is_causal\" is false in a model with windows, which is not supported",
         path.c_str());
  }
}

Use use_of(const Family& family, const SentenceModules& modules, const json& config,
           const std::string& path, const ConvertOptions& options) {
  if (options.pooling || modules.head.pooling != Pooling::kNone) return Use::kVectors;
  if (modules.logit_score) return Use::kLogitScores;
  const bool by_class = !modules.listed || modules.cross_encoder;
  const bool scores = by_class && family.classifier != nullptr &&
                      head_of_class(config, path) == kSequenceClassification;
  return scores ? Use::kScores : Use::kAnswers;
}

// The config of the family's models; that of a language model whose hidden states are to become
// vectors or scores of texts has no head.
ModelConfig read_config(const Family& family, const json& config, const std::string& path,
                        Use use) {
  json fields = config;
  const bool embeds = use != Use::kAnswers && family.embeds;
  if (embeds) {
    if (use == Use::kVectors) check_embedder_class(config, path);
    fields.erase("architectures");
  }
  ModelConfig result = family.config(fields, path);
  if (!result.is_language_model()) {
    if (use != Use::kLogitScores) return result;
    refuse_reading(family, use, path);
  }
  if (use != Use::kAnswers && !embeds) refuse_reading(family, use, path);
  check_directions(result.decoder, embeds, path);
  if (use == Use::kLogitScores) {
    if (result.head.cap.limit == 0) return result;
    fail(Status::kUnsupported,
         "%s: logits have a soft cap, of which no score can be made: \"final_logit_softcapping\"",
         path.c_str());
  }
  if (embeds) result.head = {};
  return result;
}

// Texts that go through the model's chat template.
void add_messages(const SentenceModules& modules, const std::string& dir,
                  const ConvertOptions& options, ModelConfig* config) {
  config->messages = modules.messages;
  config->chat = read_chat_files(dir, options.log);
  config->head.use.leaves_out_prompt = false;  // sentence-transformers leaves no message out
  const std::string& text = config->chat.find("", false);
  if (config->head.kind == HeadKind::kClassify) {
    check_pair_roles(config->chat, config->messages, dir);
  } else if (text.find("task") != std::string::npos) {
    fail(Status::kUnsupported,
         "%s: the chat template has \"task\", by which texts may differ that are queries from "
         "those that are documents; that is not supported",
         dir.c_str());
  }
}

// sentence-transformers makes a message of each text of such a folder, if nothing else is said.
void warn_of_template(const SentenceModules& modules, const ConvertOptions& options,
                      const std::string& dir) {
  if (modules.listed || read_chat_files(dir, Log()).templates.empty()) return;
  options.log.warn(
      "%s: has a chat template, and no modules.json to say that texts go through it; scores are "
      "made of texts as they are, as in transformers",
      dir.c_str());
}

// Reads what the steps after a model make of its output, or what a model generates.
void read_uses(const Family& family, const SentenceModules& modules, const json& source,
               const std::string& path, const ConvertOptions& options, ModelConfig* config) {
  if (config->generates()) {
    if (modules.head.pooling != Pooling::kNone || options.pooling) {
      fail(Status::kUnsupported, "%s field \"model_type\": a model with a decoder has no pooling",
           path.c_str());
    }
    config->generation = read_generation_defaults(modules.transformer_dir, source, family.defaults,
                                                  path, *config, options.log);
    return;
  }
  HeadConfig& head = config->head;
  config->prompts = modules.prompts;
  if (head.kind == HeadKind::kClassify) return;
  const std::string left_out = head_of_class(source, path);
  if (!left_out.empty()) {
    options.log.info(
        "%s field \"architectures\" is of a model %s; the encoder is converted, and not that head",
        path.c_str(), printable(left_out).c_str());
  }
  const bool is_assumed = !modules.listed && !options.pooling;
  head.pooling = is_assumed ? Pooling::kMean : options.pooling.value_or(modules.head.pooling);
  head.kind = head.pooling == Pooling::kNone ? HeadKind::kHidden : HeadKind::kPool;
  if (head.kind == HeadKind::kPool) {
    if (!options.pooling) head.beside = modules.head.beside;
    check_sentence_columns(modules.head, config->vector_columns());
    head.steps = modules.head.steps;
    // Where it is the last step, pooling or the one before it does it by the way.
    head.normalize = !head.steps.empty() && head.steps.back().kind == HeadStepKind::kNormalize;
    if (head.normalize) head.steps.pop_back();
    head.use = {modules.similarity, modules.truncate_dim, modules.head.leaves_out_prompt};
  }
  for (const std::string& note : modules.notes) options.log.warn("%s", note.c_str());
  if (!is_assumed) return;
  options.log.info(
      "%s: has no modules.json to say how the vector of a text is made; it is the mean of the "
      "text's hidden states, as in sentence-transformers, unless an option of the conversion, "
      "--pooling, says otherwise",
      modules.transformer_dir.c_str());
}

// MXFP4 is a form of gpt-oss's experts, and no other one is known.
void check_quantization(const Quantization& how, const Family& family, const std::string& path) {
  if ((how.layout == QuantizedLayout::kExperts) == family.interleaved_experts) return;
  fail(Status::kUnsupported,
       "%s field \"quant_method\" is \"%s\", which is not supported for the model_type \"%s\"",
       path.c_str(), how.method.c_str(), family.model_type);
}

}  // namespace

ModelConfig as_encoder(const ModelConfig& language_model) {
  ModelConfig config = language_model;
  config.encoder = std::exchange(config.decoder, {});
  config.head = {};
  return config;
}

const Family& find_family(const json& config, const std::string& path) {
  const std::string type = json_string(config, "model_type", path);
  std::string known;
  for (const Family& family : kFamilies) {
    if (type == family.model_type) return family;
    known += (known.empty() ? "" : ", ") + std::string(family.model_type);
  }
  fail(Status::kUnsupported, "%s field \"model_type\" is \"%s\", not one of: %s", path.c_str(),
       printable(type).c_str(), known.c_str());
}

void write_converted(const std::string& out_path, ModelConfig config,
                     const std::string& config_path, const Checkpoint& checkpoint,
                     std::span<const TensorRecipe> recipes, const ImportedTokenizer& tokenizer,
                     const ConvertOptions& options) {
  config.validate(config_path);
  check_vocab(tokenizer, config, config_path);
  for (const std::string& sentence : {tokenizer.left_out, tokenizer.note}) {
    if (!sentence.empty()) options.log.warn("%s", sentence.c_str());
  }
  config.higher_precision = higher_precision_of(config, options);
  config.precisions = mixed_precisions_of(config, recipes, options);
  Precision precision = options.precision.value_or(Precision::kF32);
  using Names = std::vector<std::string>;
  std::optional<KeptTypes> kept;
  if (!options.precision) {
    kept = kept_types(checkpoint, recipes, options.higher_precision.value_or(Names()));
  }
  if (kept) {
    precision = kept->precision;
    config.higher_precision = options.higher_precision.value_or(Names());
    set_precisions(*kept, options.higher_precision.has_value(), &config);
    recipes = kept->recipes;
  }
  const StoredTensors stored(checkpoint, recipes, config, precision, kept.has_value());
  write_model(out_path, config, stored, tokenizer.spec, texts_of(tokenizer));
}

void convert_huggingface(const std::string& hf_dir, const std::string& out_path,
                         const ConvertOptions& options) try {
  const SentenceModules modules = read_sentence_modules(hf_dir);
  const std::string& dir = modules.transformer_dir;
  const std::string config_path = dir + "/config.json";
  refuse_adapter(dir);
  json own_config = read_json_file(config_path);
  const std::optional<Quantization> how = read_quantization(own_config, config_path, options.log);
  if (how) own_config.erase("quantization_config");  // families know weights that are not quantised
  const Family& family = find_family(own_config, config_path);
  const json source_config = with_class_defaults(own_config, family.defaults);
  check_class(own_config, config_path, family.class_name, family.own_module);

  const Use use = use_of(family, modules, own_config, config_path, options);
  const ModelConfig of_family = read_config(family, source_config, config_path, use);
  const bool embeds = use != Use::kAnswers && of_family.is_language_model();
  ModelConfig config = embeds ? as_encoder(of_family) : of_family;
  const bool may_classify = !modules.listed || modules.cross_encoder;
  if (may_classify && !options.pooling) {
    read_head(family, modules, own_config, source_config, config_path, &config);
  }
  read_uses(family, modules, own_config, config_path, options, &config);
  // A prompt is not cut, so the tokenizer's own limit is nobody's.
  const StackConfig& stack = config.is_language_model() ? config.decoder : config.encoder;
  const int64_t max_positions = stack.max_positions;
  config.max_seq_len = config.is_language_model()
                           ? max_positions
                           : read_max_seq_len(dir, max_positions, modules.listed);
  config.validate(config_path);
  if (config.is_language_model()) config.chat = read_chat_files(dir, options.log);
  if (use == Use::kScores) warn_of_template(modules, options, dir);
  if (modules.messages.form != MessageForm::kNone) add_messages(modules, dir, options, &config);
  const ImportedTokenizer tokenizer = import_tokenizer(dir, modules.listed);
  check_vocab(tokenizer, config, config_path);

  SafetensorsModel checkpoint(dir);
  if (family.tensor_name != nullptr) {
    const int64_t n_left_out = checkpoint.rename(family.tensor_name);
    options.log.warn(
        "%s: the model takes texts alone; of its part for images, %lld tensors are "
        "left out",
        config_path.c_str(), static_cast<long long>(n_left_out));
  }
  std::optional<QuantizedCheckpoint> quantized;
  std::optional<InterleavedExperts> experts;
  if (how) check_quantization(*how, family, config_path);
  if (family.interleaved_experts) {
    experts.emplace(checkpoint, how.has_value());
  } else if (how) {
    quantized.emplace(checkpoint, *how);
  }
  const Checkpoint& weights = experts     ? static_cast<const Checkpoint&>(*experts)
                              : quantized ? static_cast<const Checkpoint&>(*quantized)
                                          : checkpoint;
  std::vector<TensorRecipe> recipes =
      family.tensors(weights, source_config, config_path, embeds ? of_family : config);
  if (embeds) name_as_encoder(&recipes);
  if (config.head.kind == HeadKind::kPool) {
    open_sentence_weights(modules.head, &checkpoint);
    for (TensorRecipe& recipe : sentence_tensors(modules.head, weights)) {
      recipes.push_back(std::move(recipe));
    }
  }
  if (modules.logit_score) {
    recipes.push_back(
        take_logit_score(weights, *modules.logit_score, config.encoder.vocab_size, &recipes));
  } else if (config.head.kind == HeadKind::kClassify) {
    const ClassifierForm form = classifier_form(family, source_config, config_path);
    for (TensorRecipe& recipe : classifier_tensors(weights, form, config)) {
      recipes.push_back(std::move(recipe));
    }
  }
  if (quantized) quantized->refuse_transposed(recipes);
  write_converted(out_path, std::move(config), config_path, weights, recipes, tokenizer, options);
} catch (const std::bad_alloc&) {
  fail(Status::kOutOfMemory, "%s: no memory to convert it", hf_dir.c_str());
}

}  // namespace headlane

#include "engine/import/families/generation.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

using json = Json;

// Fields that change what is generated, with the value at which they do not. A null, an empty list
// or object is neutral too.
struct Neutral {
  const char* key;
  json value;
};

void refuse_what_is_lacking(const json& config, const std::string& path) {
  const Neutral fields[] = {{"no_repeat_ngram_size", 0},
                            {"encoder_no_repeat_ngram_size", 0},
                            {"encoder_repetition_penalty", 1},
                            {"num_beam_groups", 1},
                            {"diversity_penalty", 0},
                            {"penalty_alpha", 0},
                            {"guidance_scale", 1},
                            {"max_time", nullptr},
                            {"stop_strings", nullptr},
                            {"exponential_decay_length_penalty", nullptr},
                            {"begin_suppress_tokens", nullptr},
                            {"forced_decoder_ids", nullptr},
                            {"sequence_bias", nullptr},
                            {"force_words_ids", nullptr},
                            {"constraints", nullptr},
                            {"dola_layers", nullptr},
                            {"watermarking_config", nullptr}};
  for (const Neutral& field : fields) {
    if (!json_has(config, field.key, path)) continue;
    const json& value = config[field.key];
    if (value == field.value || (value.is_structured() && value.empty())) continue;
    fail(Status::kUnsupported,
         "%s field \"%s\" is %s, which Headlane does not do; with %s there, the model is converted "
         "without",
         path.c_str(), field.key, printable(value.dump()).c_str(), field.value.dump().c_str());
  }
}

// A translation that is drawn is another one, so a model that asks for it is refused. Language
// models mostly do, and people ask for both.
void refuse_samples(const json& config, const std::string& path) {
  if (!json_bool(config, "do_sample", path, false)) return;
  fail(Status::kUnsupported,
       "%s field \"do_sample\" is true, which Headlane does not do; with false there, "
       "the model is converted without",
       path.c_str());
}

class Reader {
 public:
  Reader(const json& config, std::string path, const ModelConfig& model)
      : config_(config), path_(std::move(path)), model_(model) {}

  const std::string& path() const { return path_; }
  bool has(const char* key) const { return json_has(config_, key, path_); }

  // An id, or the only one of a list; -1: there is none.
  int32_t id(const char* key) const {
    const std::vector<int32_t> all = ids(key);
    if (all.size() > 1) {
      fail(Status::kUnsupported, "%s field \"%s\" has %zu ids; only one is supported",
           path_.c_str(), key, all.size());
    }
    return all.empty() ? -1 : all[0];
  }

  // An id or a list of them.
  std::vector<int32_t> ids(const char* key) const {
    std::vector<int32_t> result;
    if (!has(key)) return result;
    const json& value = config_[key];
    if (!value.is_array()) return {checked(value, key)};
    for (const json& id : value) result.push_back(checked(id, key));
    return result;
  }

  // Ids of words of one token, but for ends, which generate() leaves out of them.
  void add_bad_words(const std::vector<int32_t>& end_ids, std::vector<int32_t>* suppressed) const {
    constexpr const char* kKey = "bad_words_ids";
    if (!has(kKey)) return;
    for (const json& word : config_[kKey]) {
      if (!word.is_array() || word.size() != 1) {
        fail(Status::kUnsupported,
             "%s field \"%s\" has %s; only lists of one id each are supported", path_.c_str(), kKey,
             printable(word.dump()).c_str());
      }
      const int32_t id = checked(word[0], kKey);
      const bool is_end = std::find(end_ids.begin(), end_ids.end(), id) != end_ids.end();
      if (!is_end) suppressed->push_back(id);
    }
  }

  int64_t integer(const char* key, int64_t otherwise) const {
    return json_int(config_, key, path_, otherwise);
  }
  double number(const char* key, double otherwise) const {
    return has(key) ? json_number(config_, key, path_) : otherwise;
  }
  bool boolean(const char* key) const { return json_bool(config_, key, path_, false); }

  // As generate() draws, with 50 for a top_k that is not there; a temperature of 0 or a top_k of 1
  // takes the likeliest token.
  SamplingDefaults sampling() const {
    SamplingDefaults result;
    result.temperature = static_cast<float>(number("temperature", 1));
    if (!boolean("do_sample") || result.temperature == 0) return {};
    for (const auto& [key, neutral] : {std::pair<const char*, double>{"typical_p", 1},
                                       {"epsilon_cutoff", 0},
                                       {"eta_cutoff", 0},
                                       {"top_h", 1}}) {
      if (number(key, neutral) == neutral) continue;
      fail(
          Status::kUnsupported,
          "%s field \"%s\" is %g, which Headlane does not do when it samples; with null there, the "
          "model is converted without",
          path_.c_str(), key, number(key, neutral));
    }
    result.samples = true;
    result.top_k = integer("top_k", 50);
    result.top_p = static_cast<float>(number("top_p", 1));
    result.min_p = static_cast<float>(number("min_p", 0));
    return result;
  }

  EarlyStopping early_stopping() const {
    constexpr const char* kKey = "early_stopping";
    if (!has(kKey)) return EarlyStopping::kHeuristic;
    const json& value = config_[kKey];
    if (value == "never") return EarlyStopping::kNever;
    if (!value.is_boolean()) {
      fail(Status::kBadFile, "%s field \"%s\" is %s, not one of: true, false, \"never\"",
           path_.c_str(), kKey, printable(value.dump()).c_str());
    }
    return value.get<bool>() ? EarlyStopping::kFirst : EarlyStopping::kHeuristic;
  }

 private:
  int32_t checked(const json& value, const char* key) const {
    const int64_t n = model_.decoder.vocab_size;
    // An id above 2^63 is negative here.
    const int64_t id = value.is_number_integer() ? value.get<int64_t>() : -1;
    if (id >= 0 && id < n) return static_cast<int32_t>(id);
    fail(Status::kBadFile, "%s field \"%s\": %s is no id of the vocabulary, 0 to %lld",
         path_.c_str(), key, printable(value.dump()).c_str(), static_cast<long long>(n - 1));
  }

  const json& config_;
  std::string path_;
  const ModelConfig& model_;
};

// generate() counts the decoder's start; Headlane does not.
void read_lengths(const Reader& reader, const ModelConfig& model, GenerationDefaults* result) {
  // generate() itself stops after 20 tokens then, and warns; but a translation that ends in the
  // middle is of no use, and 256 are more than a sentence has.
  constexpr int64_t kUnlessSaid = 256;
  // A prompt has one token or more. generate() counts it in lengths that are not of new tokens
  // alone, so of a language model those say nothing about an answer.
  const bool prompted = model.is_language_model();
  const int64_t most = model.decoder.max_positions - (prompted ? 1 : 0);
  int64_t length = std::min(kUnlessSaid, most);
  const char* key = "max_new_tokens";
  if (reader.has(key)) {
    length = reader.integer(key, 0);
  } else if (!prompted && reader.has(key = "max_length")) {
    length = reader.integer(key, 0);
    length -= length > INT64_MIN ? 1 : 0;
  }
  if (length < 1) {
    fail(Status::kBadFile, "%s field \"%s\" leaves no room for a token", reader.path().c_str(),
         key);
  }
  result->max_new_tokens = std::min(length, most);
  if (prompted && reader.integer("min_length", 0) > 0) {
    fail(Status::kUnsupported,
         "%s field \"min_length\" counts the prompt too, which Headlane does not do; with 0 there, "
         "the model is converted without",
         reader.path().c_str());
  }
  // Where a file says both, min_new_tokens counts, be it 0.
  const int64_t least =
      reader.has("min_new_tokens")
          ? reader.integer("min_new_tokens", 0)
          : std::max<int64_t>(prompted ? 0 : reader.integer("min_length", 0), 1) - 1;
  result->min_new_tokens = std::clamp<int64_t>(least, 0, result->max_new_tokens);
}

// `own` is generation_config.json, or the config where there is no such file.
void read_roles(const Reader& own, const Reader& config, bool prompted,
                GenerationDefaults* result) {
  const auto role = [&](const char* key) -> int32_t {
    const int32_t id = own.id(key);
    return id >= 0 ? id : config.id(key);
  };
  result->start_id = prompted ? -1 : role("decoder_start_token_id");
  if (result->start_id < 0 && !prompted) result->start_id = role("bos_token_id");
  if (result->start_id < 0 && !prompted) {
    fail(Status::kUnsupported, "%s has no field \"decoder_start_token_id\"", own.path().c_str());
  }
  result->pad_id = role("pad_token_id");
  result->end_ids = own.ids("eos_token_id");
  if (result->end_ids.empty()) result->end_ids = config.ids("eos_token_id");
  // generate() counts the prompt where it forces tokens: of a prompt of one token, the next.
  for (const char* key : {"forced_bos_token_id", "forced_eos_token_id"}) {
    if (!prompted || own.id(key) < 0) continue;
    fail(Status::kUnsupported,
         "%s field \"%s\" is %d; a language model's answer has no place that it is forced at",
         own.path().c_str(), key, own.id(key));
  }
  result->forced_first_id = own.id("forced_bos_token_id");
  result->forced_last_id = own.id("forced_eos_token_id");
}

// The row of the padding in this table is zero, and padding does not count as a position, so a
// decoder that starts with it would begin one row later.
void check_start(const GenerationDefaults& result, const ModelConfig& model,
                 const std::string& path) {
  const bool counts = model.decoder.positions == Positions::kSinusoidalInclusive;
  if (!counts || result.start_id != model.decoder.position_offset - 1) return;
  fail(Status::kUnsupported, "%s field \"decoder_start_token_id\" is %d, the padding's id",
       path.c_str(), result.start_id);
}

}  // namespace

GenerationDefaults read_generation_defaults(const std::string& dir, const json& config,
                                            ClassDefaults defaults, const std::string& config_path,
                                            const ModelConfig& model, const Log& log) {
  const std::string own_path = dir + "/generation_config.json";
  const std::optional<json> own = read_json_file_if_present(own_path);
  const json source = own ? *own : with_class_defaults(config, defaults);
  const Reader reader(source, own ? own_path : config_path, model);
  refuse_what_is_lacking(source, reader.path());
  if (!model.is_language_model()) refuse_samples(source, reader.path());

  GenerationDefaults result;
  read_roles(reader, Reader(config, config_path, model), model.is_language_model(), &result);
  check_start(result, model, reader.path());
  result.suppressed_ids = reader.ids("suppress_tokens");
  reader.add_bad_words(result.end_ids, &result.suppressed_ids);
  std::sort(result.suppressed_ids.begin(), result.suppressed_ids.end());
  result.suppressed_ids.erase(
      std::unique(result.suppressed_ids.begin(), result.suppressed_ids.end()),
      result.suppressed_ids.end());
  read_lengths(reader, model, &result);
  result.n_beams = reader.integer("num_beams", 1);
  result.length_penalty = reader.number("length_penalty", 1);
  result.early_stopping = reader.early_stopping();
  result.repetition_penalty = reader.number("repetition_penalty", 1);
  result.renormalize = reader.boolean("renormalize_logits");
  if (model.is_language_model()) result.sampling = reader.sampling();
  const int64_t n_answers = reader.integer("num_return_sequences", 1);
  if (n_answers != 1) {
    log.info(
        "%s field \"num_return_sequences\" is %lld; a text has one answer, the best, unless a call "
        "asks for more",
        reader.path().c_str(), static_cast<long long>(n_answers));
  }
  return result;
}

}  // namespace headlane

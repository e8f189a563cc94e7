// A model's facts as a struct of C and as JSON, whose config has its own list of fields, say the
// same of every golden model.
#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <variant>

#include "tests/api/encoder.h"
#include "tests/support/chat_folder.h"
#include "tests/support/polyglot_folder.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Numbers of parts that a model does not have are 0.
const json kNoPart = 0;

// A member of headlane_model_facts, and where the JSON has the same.
struct Fact {
  using Member = std::variant<int32_t ModelFacts::*, int64_t ModelFacts::*, float ModelFacts::*,
                              double ModelFacts::*, const char * ModelFacts::*>;
  const char* name;
  size_t offset;
  Member member;
  const char* pointer;       // into the JSON of `with_parts`
  json otherwise = kNoPart;  // where the JSON has nothing there
};
#define FACT(name, ...) \
  Fact { #name, offsetof(headlane_model_facts, name), &ModelFacts::name, __VA_ARGS__ }

const std::vector<Fact> kFacts = {
    FACT(architecture, "/config/architecture"),
    FACT(activation, "/stack/activation"),
    FACT(pooling, "/pool/pooling", "none"),
    FACT(isa, "/isa"),
    FACT(gemm, "/gemm"),
    FACT(n_layers, "/config/encoder/n_layers"),
    FACT(d_model, "/config/d_model"),
    FACT(n_heads, "/stack/attention/n_heads"),
    FACT(head_dim, "/stack/attention/head_dim"),
    FACT(d_ff, "/config/encoder/d_ff"),
    FACT(vocab_size, "/stack/vocab_size"),
    FACT(max_positions, "/stack/max_positions"),
    FACT(max_seq_len, "/config/max_seq_len"),
    FACT(n_types, "/stack/n_types"),
    FACT(norm_eps, "/stack/norm_eps"),
    FACT(normalize, "/config/head/normalize"),
    FACT(has_tokenizer, "/has/tokenizer"),
    FACT(n_parameters, "/n_parameters"),
    FACT(file_bytes, "/file_bytes"),
    FACT(packed_bytes, "/packed_bytes"),
    FACT(n_tensors, "/sizes/tensors"),
    FACT(kdim, "/config/kdim"),
    FACT(vdim, "/config/vdim"),
    FACT(n_kv_heads, "/stack/attention/n_kv_heads"),
    FACT(norm, "/stack/norm"),
    FACT(residual, "/stack/residual"),
    FACT(final_norm, "/stack/final_norm"),
    FACT(batch_first, "/config/batch_first", true),
    FACT(precision, "/precision"),
    FACT(file_precision, "/file_precision"),
    FACT(auto_precision, "/auto_precision"),
    FACT(has_decoder, "/has/generation"),
    FACT(n_decoder_layers, "/config/decoder/n_layers"),
    FACT(n_decoder_heads, "/config/decoder/attention/n_heads"),
    FACT(decoder_d_ff, "/config/decoder/d_ff"),
    FACT(decoder_vocab_size, "/targets/vocab_size"),
    FACT(max_target_len, "/targets/max_positions"),
    FACT(max_new_tokens, "/config/generation/max_new_tokens"),
    FACT(n_beams, "/config/generation/n_beams"),
    FACT(start_id, "/config/generation/start_id"),
    FACT(forced_first_id, "/config/generation/forced_first_id"),
    FACT(n_languages, "/sizes/languages"),
    FACT(n_prompts, "/sizes/prompts"),
    FACT(default_prompt, "/default_prompt", ""),
    FACT(d_vector, "/vectors/columns"),
    FACT(n_labels, "/sizes/labels"),
    FACT(outcome, "/config/head/classifier/outcome", "none"),
    FACT(has_entailment, "/has/entailment"),
    FACT(d_embedding, "/vectors/embedding_columns"),
    FACT(similarity, "/vectors/similarity", "cosine"),
    FACT(leaves_out_prompt, "/vectors/leaves_out_prompt"),
    FACT(temperature, "/config/generation/sampling/temperature"),
    FACT(top_k, "/config/generation/sampling/top_k"),
    FACT(top_p, "/config/generation/sampling/top_p"),
    FACT(min_p, "/config/generation/sampling/min_p"),
    FACT(cache_token_bytes, "/cache_token_bytes"),
    FACT(cache_token_bytes_f32, "/cache_token_bytes_f32"),
    FACT(cache_token_bytes_bf16, "/cache_token_bytes_bf16"),
    FACT(cache_token_bytes_int8, "/cache_token_bytes_int8"),
    FACT(mapped_bytes, "/mapped_bytes"),
    FACT(n_products, "/n_products"),
    FACT(n_stored_products, "/n_stored_products"),
    FACT(n_panels, "/sizes/panels"),
    FACT(n_chat_templates, "/sizes/chat_templates"),
};
#undef FACT

json value_at(const json& object, const char* pointer, const json& otherwise) {
  const json::json_pointer at(pointer);
  return object.contains(at) ? object.at(at) : otherwise;
}

json size_at(const json& object, const char* pointer) {
  return value_at(object, pointer, json::array()).size();
}

// The JSON, and beside its members what facts say of more than one of them.
json with_parts(json model) {
  const json& config = model.at("config");
  json more;
  more["stack"] = config.contains("encoder") ? config["encoder"] : config.at("decoder");
  more["pool"] = config.at("head").at("kind") == "pool" ? config["head"] : json::object();
  more["targets"] = config.contains("generation") ? config.at("decoder") : json::object();
  more["has"] = {
      {"tokenizer", !model.at("tokenizer").is_null()},
      {"generation", config.contains("generation")},
      {"entailment", value_at(config, "/head/classifier/entailment", -1).get<int>() >= 0}};
  more["sizes"] = {{"tensors", size_at(model, "/tensors")},
                   {"panels", size_at(model, "/panels")},
                   {"languages", size_at(model, "/tokenizer/languages")},
                   {"prompts", size_at(config, "/prompts/texts")},
                   {"labels", size_at(config, "/head/classifier/labels")},
                   {"chat_templates", size_at(config, "/chat/templates")}};
  const std::string prompt = value_at(config, "/prompts/default", "");
  if (!prompt.empty()) more["default_prompt"] = config.at("prompts").at("texts").at(prompt);
  model.update(more);
  return model;
}

json fact_of(const ModelFacts& facts, const Fact& fact) {
  return std::visit([&](auto member) { return json(facts.*member); }, fact.member);
}

// Flags are 0 and 1 in C; a float is written as the shortest decimal that is read as it.
bool is_same(const json& fact, const json& said) {
  if (said.is_boolean()) return fact == (said.get<bool>() ? 1 : 0);
  if (fact.is_number_float()) return fact.get<float>() == said.get<float>();
  return fact == said;
}

class ModelFactsTest : public testing::Test {
 protected:
  // Converts the folder and compares all facts of the model.
  void expect_same(const std::string& folder) {
    SCOPED_TRACE(folder);
    const std::string path = temp_.file("model.headlane");
    check(headlane_convert(folder.c_str(), path.c_str(), nullptr));
    expect_same_of_file(path, ModelOptions());
  }

  void expect_same_of_file(const std::string& path, const ModelOptions& options) {
    const Model model(path, options);
    const ModelFacts facts = model.facts();
    const json parts = with_parts(json::parse(model.json()));
    for (const Fact& fact : kFacts) {
      const json value = fact_of(facts, fact), said = value_at(parts, fact.pointer, fact.otherwise);
      EXPECT_TRUE(is_same(value, said)) << fact.name << " is " << value << ", in JSON " << said;
      if (value != 0) seen_.insert(fact.name);
    }
    ++n_models_;
  }

  void expect_same_of_golden(const std::string& kind) {
    for (const auto& entry : fs::directory_iterator(HEADLANE_GOLDEN_DIR "/" + kind)) {
      if (entry.is_directory()) expect_same(entry.path());
    }
  }

  // A copy of a golden folder with one more file.
  std::string folder_with(const std::string& golden, const std::string& file, const json& content) {
    const std::string folder = temp_.file(file + " added");
    fs::copy(HEADLANE_GOLDEN_DIR "/" + golden, folder, fs::copy_options::recursive);
    write_file(folder + "/" + file, content.dump());
    return folder;
  }

  const TempDir temp_;
  std::set<std::string> seen_;  // facts that were not 0 of every model
  int n_models_ = 0;
};

// The rows above leave no member out: each begins where the one before it ends, behind what aligns
// it.
TEST_F(ModelFactsTest, HaveARowForEachMember) {
  size_t end = sizeof(size_t);  // of struct_size
  for (const Fact& fact : kFacts) {
    const size_t size =
        std::visit([](auto member) { return sizeof(ModelFacts().*member); }, fact.member);
    EXPECT_EQ(fact.offset, (end + size - 1) / size * size) << "before " << fact.name;
    end = fact.offset + size;
  }
  constexpr size_t kAlign = alignof(headlane_model_facts);
  EXPECT_EQ((end + kAlign - 1) / kAlign * kAlign, sizeof(headlane_model_facts));
}

TEST_F(ModelFactsTest, AgreeWithJsonForEveryGoldenModel) {
  for (const char* kind :
       {"bert", "encoders", "classify", "layers", "encoder_decoder", "language_models"}) {
    expect_same_of_golden(kind);
  }
  EXPECT_GE(n_models_, 150);
  // No golden model has many languages, prompts, or choices of sampling.
  const std::string many_languages = temp_.file("languages");
  write_polyglot_folder(many_languages, 7);
  expect_same(many_languages);
  const std::string prompts =
      folder_with("bert/head_dim_16_mean_normalize", "config_sentence_transformers.json",
                  {{"prompts", {{"query", "q: "}, {"passage", ""}}},
                   {"default_prompt_name", "query"},
                   {"similarity_fn_name", "dot"}});
  write_file(prompts + "/1_Pooling/config.json",
             R"({"pooling_mode_mean_tokens": true, "include_prompt": false})");
  expect_same(prompts);
  expect_same(folder_with(
      "language_models/mistral", "generation_config.json",
      {{"do_sample", true}, {"temperature", 0.7}, {"top_k", 9}, {"top_p", 0.9}, {"min_p", 0.1}}));
  const std::string path = temp_.file("model.headlane");
  pack(path, path);
  ModelOptions mapped;
  mapped.map = 1;
  expect_same_of_file(path, mapped);
  expect_same(make_chat_folder(temp_));
  for (const Fact& fact : kFacts) EXPECT_TRUE(seen_.contains(fact.name)) << fact.name;
}

}  // namespace
}  // namespace headlane::test

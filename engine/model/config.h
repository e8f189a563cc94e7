// What a model is: its architecture and sizes. Read from the .headlane header, or made by an
// importer from another format's config; validated once, then trusted everywhere.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace headlane {

enum class Architecture { kBert };
enum class Activation { kGelu, kGeluTanh, kRelu };  // kGelu is x/2 (1 + erf(x/sqrt 2))
enum class Pooling { kNone, kMean, kCls, kMax };

// The names used in the .headlane header and in messages: "bert", "gelu", "gelu_tanh", "mean", ...
const char* name_of(Architecture architecture);
const char* name_of(Activation activation);
const char* name_of(Pooling pooling);

struct ModelConfig {
  Architecture architecture = Architecture::kBert;
  int64_t vocab_size = 0;
  int64_t n_types = 0;        // segment types; 0: the model has no type embedding
  int64_t max_positions = 0;  // rows of the position table: no sequence may be longer
  int64_t n_layers = 0;
  int64_t d_model = 0;
  int64_t n_heads = 0;
  int64_t head_dim = 0;
  int64_t d_ff = 0;
  Activation activation = Activation::kGelu;
  float norm_eps = 1e-12f;
  Pooling pooling = Pooling::kNone;
  bool normalize = false;   // divide pooled vectors by their Euclidean length
  int64_t max_seq_len = 0;  // text is truncated to this many tokens, special ones included

  // Throws Error(kBadFile) that names the first field out of range. `where` is the file for the
  // message.
  void validate(const std::string& where) const;

  nlohmann::json to_json() const;
  // Every field is required and of the right JSON type; the result is validated.
  static ModelConfig from_json(const nlohmann::json& json, const std::string& where);
};

}  // namespace headlane

// Reading an architecture of GGUF: its fields, and the names that its tensors have in a Hugging
// Face folder. Each architecture has a function below, which makes the config.json of that folder.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "engine/file/json.h"
#include "engine/import/gguf/gguf_checkpoint.h"
#include "engine/spec/config.h"

namespace headlane {

// The fields of an architecture, "NAME.KEY". Each one is a part of what the model computes, so
// those that nobody asked for are refused at the end. All throw Error that names the field.
class ArchitectureFields {
 public:
  explicit ArchitectureFields(const GgufCheckpoint& checkpoint);

  const std::string& path() const { return path_; }
  const std::string& name() const { return name_; }

  bool has(const char* key);
  int64_t integer(const char* key);
  int64_t integer(const char* key, int64_t otherwise);
  // Names and quotients are made of such sizes before the config is checked as a whole.
  int64_t size(const char* key, int64_t most) { return checked(key, integer(key), most); }
  int64_t size(const char* key, int64_t most, int64_t otherwise) {
    return checked(key, integer(key, otherwise), most);
  }
  double number(const char* key);
  double number(const char* key, double otherwise) { return has(key) ? number(key) : otherwise; }
  bool flag(const char* key, bool otherwise);
  std::string text(const char* key, const char* otherwise);

  // Throws Error(kUnsupported): the field `why`, "is not ...".
  [[noreturn]] void refuse(const char* key, const std::string& why);
  void refuse_others() const;

 private:
  int64_t checked(const char* key, int64_t value, int64_t most);
  std::string full(const char* key);

  const Json& fields_;
  std::string path_, name_;
  std::set<std::string, std::less<>> asked_;
};

// A tensor's name without ".weight" and ".bias"; of a layer's, behind the layer. A name in the file
// that ends with ".bias" is of that tensor alone, whose other name is whole, too.
struct GgufRenamed {
  const char *gguf, *huggingface;
};

// The names of all tensors of one model.
class GgufNames {
 public:
  // `layers`: the name in a folder of a model's layers, "model.layers.".
  GgufNames(int64_t n_layers, std::string layers);

  void add_top(std::span<const GgufRenamed> names);
  // A name in the file that was added before gets another meaning.
  void add_layers(std::span<const GgufRenamed> names);
  // The rows of the layers' tensors called `gguf` were put into another order.
  void set_heads(const std::string& gguf, int64_t heads);
  void add_one_to_norms();
  std::map<std::string, GgufTensor> take();

 private:
  void add(const std::string& gguf, const std::string& huggingface);

  int64_t n_layers_;
  std::string layers_;
  std::map<std::string, GgufTensor> names_;
};

// Reading an architecture needs these. `config` has the sizes already, by the names of Llama.
struct GgufSource {
  GgufCheckpoint* checkpoint;
  ArchitectureFields* fields;
  Json* config;

  bool has_tensor(const char* name) const { return checkpoint->entry(name) != nullptr; }
};

// Throws Error(kUnsupported) unless heads share the width of the model, all of each head turns,
// and, where heads are not `grouped`, each has a key of its own. Some families take that for
// granted.
void check_plain_heads(const GgufSource& source, bool grouped);

// How the vector of a text is made; nothing: the file does not say it. Throws Error(kUnsupported)
// for another way than those that Headlane has.
std::optional<Pooling> read_gguf_pooling(ArchitectureFields* fields);

// Layers with a gated feed-forward, in gguf_gated.cc.
void read_gguf_llama(const GgufSource& source);
void read_gguf_qwen(const GgufSource& source);
void read_gguf_experts(const GgufSource& source);
void read_gguf_gpt_oss(const GgufSource& source);
void read_gguf_olmo2(const GgufSource& source);
void read_gguf_phi3(const GgufSource& source);
void read_gguf_glm4(const GgufSource& source);
void read_gguf_glm4_moe(const GgufSource& source);
void read_gguf_chatglm(const GgufSource& source);
void read_gguf_baichuan(const GgufSource& source);
void read_gguf_gemma(const GgufSource& source);
void read_gguf_gemma2(const GgufSource& source);
void read_gguf_gemma3(const GgufSource& source);
// Layers with one tensor for Q, K and V and a plain feed-forward, in gguf_fused.cc.
void read_gguf_gpt2(const GgufSource& source);
void read_gguf_falcon(const GgufSource& source);
void read_gguf_bloom(const GgufSource& source);
// Encoders, in gguf_encoders.cc.
void read_gguf_bert(const GgufSource& source);

}  // namespace headlane

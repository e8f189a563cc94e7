#include "engine/import/quantized/quantization.h"

#include <algorithm>
#include <initializer_list>
#include <set>

#include "engine/base/error.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

using ll = long long;

constexpr const char* kField = "quantization_config";
constexpr int64_t kMostGroup = 1 << 24;  // columns or rows, more than any weight has

// The members of an object. Each one may change what the weights stand for, so those that nobody
// asked for are refused at the end.
class Members {
 public:
  Members(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) fail(Status::kBadFile, "%s it is not an object", where_.c_str());
  }

  const std::string& where() const { return where_; }
  bool has(const char* key) {
    asked_.insert(key);
    return json_has(object_, key, where_);
  }
  const Json& value(const char* key) { return has(key) ? object_[key] : kNull; }
  int64_t integer(const char* key, int64_t otherwise) {
    return has(key) ? json_int(object_, key, where_) : otherwise;
  }
  bool flag(const char* key, bool otherwise) {
    return has(key) ? json_bool(object_, key, where_) : otherwise;
  }
  std::string text(const char* key, const char* otherwise) {
    return has(key) ? json_string(object_, key, where_) : otherwise;
  }
  std::vector<std::string> texts(const char* key) {
    return has(key) ? json_strings(object_, key, where_) : std::vector<std::string>();
  }
  // These say how the weights were made, or how another program is to run.
  void pass_over(std::initializer_list<const char*> keys) {
    asked_.insert(keys.begin(), keys.end());
  }

  [[noreturn]] void refuse(const char* key, const std::string& why) const {
    fail(Status::kUnsupported, "%s field \"%s\" %s", where_.c_str(), key, why.c_str());
  }
  void refuse_unless(const char* key, const std::string& value,
                     std::initializer_list<const char*> known) const {
    std::string names;
    for (const char* name : known) {
      if (value == name) return;
      names += std::string(names.empty() ? "" : ", ") + name;
    }
    refuse(key, "is \"" + printable(value) + "\", not one of: " + names);
  }
  // A member that is there must be null, empty or false.
  void refuse_if_any(std::initializer_list<const char*> keys) {
    for (const char* key : keys) {
      const Json& own = value(key);
      if (own.is_null() || (own.is_structured() && own.empty())) continue;
      if (own.is_boolean() && !own.get<bool>()) continue;
      refuse(key, "is not empty; that is not supported");
    }
  }
  void refuse_others() const {
    for (const auto& [key, value] : object_.items()) {
      if (asked_.contains(key) || value.is_null()) continue;
      refuse(printable(key).c_str(), "is none that Headlane knows");
    }
  }

 private:
  static inline const Json kNull;
  const Json& object_;
  std::string where_;
  std::set<std::string, std::less<>> asked_;
};

void read_bits(Members* members, const char* key, std::initializer_list<int64_t> known,
               Quantization* to) {
  to->bits = members->integer(key, 0);
  if (std::find(known.begin(), known.end(), to->bits) != known.end()) return;
  members->refuse(key, "is " + std::to_string(to->bits) + "; codes of " +
                           (known.size() == 1 ? "4 bits" : "4 and of 8 bits") + " are supported");
}

// A negative one is a group for a whole row.
void read_group_size(Members* members, Quantization* to) {
  constexpr const char* kKey = "group_size";
  const int64_t size = members->integer(kKey, 0);
  if (size < -1 || size == 0 || size > kMostGroup) {
    members->refuse(kKey, "is " + std::to_string(size) + ", neither -1 nor a number of columns");
  }
  to->group = size == -1 ? 0 : size;
}

constexpr std::initializer_list<const char*> kGptqNotes = {"damp_percent",
                                                           "damp_auto_increment",
                                                           "static_groups",
                                                           "true_sequential",
                                                           "model_name_or_path",
                                                           "model_file_base_name",
                                                           "meta",
                                                           "dataset",
                                                           "tokenizer",
                                                           "batch_size",
                                                           "block_name_to_quantize",
                                                           "cache_block_outputs",
                                                           "exllama_config",
                                                           "max_input_length",
                                                           "module_name_preceding_first_block",
                                                           "modules_in_block_to_quantize",
                                                           "pad_token_id",
                                                           "use_cuda_fp16",
                                                           "use_exllama",
                                                           "disable_exllama",
                                                           "model_seqlen",
                                                           "backend",
                                                           "mse",
                                                           "act_group_aware"};

Quantization read_gptq(Members* members) {
  Quantization result;
  result.layout = QuantizedLayout::kGptq;
  read_bits(members, "bits", {4, 8}, &result);
  read_group_size(members, &result);
  result.symmetric = members->flag("sym", true);
  result.in_any_order = members->flag("desc_act", false);
  // Older and newer programs have two names for one field.
  std::string format = members->text("checkpoint_format", "");
  const std::string newer = members->text("format", "");
  if (format.empty()) format = newer;
  if (!newer.empty() && newer != format) members->refuse("format", "is not \"checkpoint_format\"");
  if (format.empty()) format = "gptq";
  members->refuse_unless("checkpoint_format", format, {"gptq", "gptq_v2"});
  result.zeros_less_one = format == "gptq";
  members->refuse_unless("pack_dtype", members->text("pack_dtype", "int32"), {"int32"});
  if (!members->flag("lm_head", false)) result.plain = {"lm_head"};
  members->refuse_if_any({"is_marlin_format", "dynamic", "rotation", "adapter"});
  members->pass_over(kGptqNotes);
  return result;
}

Quantization read_awq(Members* members) {
  Quantization result;
  result.layout = QuantizedLayout::kAwq;
  read_bits(members, "bits", {4}, &result);
  read_group_size(members, &result);
  result.symmetric = false;
  if (!members->flag("zero_point", true)) {
    members->refuse("zero_point", "is false; only true is supported");
  }
  for (const char* key : {"version", "format"}) {
    members->refuse_unless(key, members->text(key, "gemm"), {"gemm", "GEMM"});
  }
  if (members->text("backend", "") == "llm-awq") {
    members->refuse("backend", "is \"llm-awq\", whose layout is not supported");
  }
  result.plain = members->texts("modules_to_not_convert");
  // transformers saves the fields of GPTQ too, which say nothing of AWQ.
  members->refuse_if_any({"desc_act"});
  members->pass_over({"sym", "do_fuse", "fuse_max_seq_len", "modules_to_fuse"});
  members->pass_over(kGptqNotes);
  return result;
}

// A block's rows and columns, [128, 128].
void read_block(Members* members, const char* key, Quantization* to) {
  const Json& block = members->value(key);
  const bool is_pair = block.is_array() && block.size() == 2 && block[0].is_number_integer() &&
                       block[1].is_number_integer();
  if (!is_pair) members->refuse(key, "is not a list of two numbers, of rows and of columns");
  to->group_rows = block[0].get<int64_t>();
  to->group = block[1].get<int64_t>();
  for (const int64_t size : {to->group_rows, to->group}) {
    if (size < 1 || size > kMostGroup) members->refuse(key, "has a number that is no size");
  }
}

void note_activations(const Members& members, const char* key, const Log& log) {
  log.info(
      "%s field \"%s\" asks for activations of 8 bits; the weights are converted, and the "
      "activations are those of the precision that the model runs in",
      members.where().c_str(), key);
}

Quantization read_fp8(Members* members, const Log& log) {
  Quantization result;
  result.is_float = true;
  result.scale = ".weight_scale_inv";
  members->refuse_unless("fmt", members->text("fmt", "e4m3"), {"e4m3"});
  members->refuse_unless("activation_scheme", members->text("activation_scheme", "dynamic"),
                         {"dynamic"});
  members->refuse_unless("scale_fmt", members->text("scale_fmt", "float"), {"float", "ue8m0"});
  members->refuse_unless("expert_dtype", members->text("expert_dtype", "fp8"), {"fp8"});
  members->refuse_if_any({"modules_to_convert"});
  read_block(members, "weight_block_size", &result);
  result.plain = members->texts("modules_to_not_convert");
  members->pass_over({"dequantize"});
  note_activations(*members, "activation_scheme", log);
  return result;
}

Quantization read_fbgemm(Members* members, const Log& log) {
  Quantization result;
  result.is_float = true;
  result.scale = ".weight_scale";
  result.plain = members->texts("modules_to_not_convert");
  members->pass_over({"activation_scale_ub"});
  note_activations(*members, "activation_scale_ub", log);
  return result;
}

// The scheme of a group's weights.
void read_compressed_weights(Members* weights, Quantization* to) {
  weights->refuse_unless("type", weights->text("type", "int"), {to->is_float ? "float" : "int"});
  if (to->layout == QuantizedLayout::kPacked) {
    read_bits(weights, "num_bits", {4, 8}, to);
  } else if (weights->integer("num_bits", 8) != 8) {
    weights->refuse("num_bits", "is not 8");
  }
  to->symmetric = weights->flag("symmetric", true);
  if (to->is_float && !to->symmetric) weights->refuse("symmetric", "is false");
  const bool has_group = weights->has("group_size");
  const std::string strategy =
      weights->text("strategy", !has_group                              ? "tensor"
                                : weights->integer("group_size", 0) > 0 ? "group"
                                                                        : "channel");
  weights->refuse_unless("strategy", strategy, {"group", "channel", "tensor", "block"});
  if (strategy == "group") read_group_size(weights, to);
  if (strategy == "tensor") to->group_rows = 0;
  if (strategy == "block") read_block(weights, "block_structure", to);
  const Json& order = weights->value("actorder");
  if (!order.is_boolean()) {
    const std::string name = weights->text("actorder", "weight");
    weights->refuse_unless("actorder", name, {"group", "dynamic", "weight", "static"});
    to->in_any_order = name == "group" || name == "dynamic";
  } else {
    to->in_any_order = order.get<bool>();
  }
  weights->refuse_if_any({"dynamic"});
  weights->pass_over(
      {"observer", "observer_kwargs", "scale_dtype", "zp_dtype", "block_structure", "group_size"});
  weights->refuse_others();
}

constexpr std::initializer_list<const char*> kCompressedFormats = {
    "pack-quantized", "int-quantized", "float-quantized", "naive-quantized"};

// The one group of modules that a config has.
void read_compressed_group(Members* group, const std::string& format, const Log& log,
                           Quantization* to) {
  group->refuse_unless("format", group->text("format", format.c_str()), {format.c_str()});
  group->texts("targets");  // the tensors say which modules are quantised
  const Json& inputs = group->value("input_activations");
  if (!inputs.is_null()) {
    Members own(inputs, group->where() + " input_activations:");
    const Json& dynamic = own.value("dynamic");
    if (!dynamic.is_boolean() || !dynamic.get<bool>()) own.refuse("dynamic", "is not true");
    note_activations(*group, "input_activations", log);
  }
  group->refuse_if_any({"output_activations"});
  if (!group->has("weights")) group->refuse("weights", "is missing");
  Members weights(group->value("weights"), group->where() + " weights:");
  const bool is_float = weights.text("type", "int") == "float";
  to->is_float = format == "float-quantized" || (format == "naive-quantized" && is_float);
  read_compressed_weights(&weights, to);
  group->refuse_others();
}

Quantization read_compressed(Members* members, const Log& log) {
  Quantization result;
  result.scale = ".weight_scale";
  const std::string format = members->text("format", "dense");
  members->refuse_unless("format", format, kCompressedFormats);
  if (format == "pack-quantized") result.layout = QuantizedLayout::kPacked;
  members->refuse_unless("quantization_status", members->text("quantization_status", "compressed"),
                         {"compressed"});
  const Json& groups = members->value("config_groups");
  if (!groups.is_object() || groups.size() != 1) {
    members->refuse("config_groups", "is not one group of modules, which is what is supported");
  }
  const auto& [name, scheme] = *groups.items().begin();
  Members group(scheme, members->where() + " " + printable(name) + ":");
  read_compressed_group(&group, format, log, &result);
  for (const std::string& ignored : members->texts("ignore")) {
    if (!ignored.starts_with("re:")) result.plain.push_back(ignored);
  }
  const Json& sparsity = members->value("sparsity_config");
  if (!sparsity.is_null() && !sparsity.empty()) {
    Members own(sparsity, members->where() + " sparsity_config:");
    own.refuse_unless("format", own.text("format", ""), {"dense"});
  }
  members->refuse_if_any({"kv_cache_scheme", "transform_config", "moe_sparsity_config"});
  members->pass_over({"global_compression_ratio", "version", "run_compressed", "dequantize",
                      "use_optimized_inference"});
  return result;
}

// Experts alone are quantised. The modules that are not may be named by patterns, of which those
// are known that name other parts of a layer.
Quantization read_mxfp4(Members* members) {
  Quantization result;
  result.layout = QuantizedLayout::kExperts;
  constexpr const char* kPlain = "modules_to_not_convert";
  for (const std::string& name : members->texts(kPlain)) {
    const bool is_known = std::ranges::any_of(
        std::initializer_list<const char*>{"self_attn", "mlp.router", "embed_tokens", "lm_head"},
        [&](const char* part) { return name.ends_with(part); });
    if (!is_known) members->refuse(kPlain, "has \"" + printable(name) + "\", which may be experts");
  }
  members->pass_over({"dequantize"});
  return result;
}

}  // namespace

std::optional<Quantization> read_quantization(const Json& config, const std::string& path,
                                              const Log& log) {
  if (!json_has(config, kField, path) || config[kField].empty()) return std::nullopt;
  Members members(config[kField], path + " field \"" + kField + "\":");
  const std::string method = members.text("quant_method", "");
  members.refuse_unless("quant_method", method,
                        {"gptq", "awq", "compressed-tensors", "fp8", "fbgemm_fp8", "mxfp4"});
  Quantization result = method == "gptq"                 ? read_gptq(&members)
                        : method == "awq"                ? read_awq(&members)
                        : method == "compressed-tensors" ? read_compressed(&members, log)
                        : method == "fp8"                ? read_fp8(&members, log)
                        : method == "mxfp4"              ? read_mxfp4(&members)
                                                         : read_fbgemm(&members, log);
  members.refuse_others();
  result.method = method;
  return result;
}

}  // namespace headlane

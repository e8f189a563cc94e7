#include "engine/import/pytorch/pytorch.h"

#include "engine/base/error.h"
#include "engine/file/json.h"
#include "engine/file/limits.h"
#include "engine/file/tensor_shape.h"
#include "engine/import/pytorch/pytorch_module.h"
#include "engine/import/source/json_file.h"
#include "engine/import/write/stored_tensors.h"
#include "engine/import/write/write_model.h"
#include "engine/spec/config.h"

namespace headlane {
namespace {

using json = Json;
using ll = long long;

constexpr int64_t kMostPositions = file_limits::kPositions;  // where no table ends sooner

// A field that has two names; Error if both or none are there.
int64_t json_int_of(const json& config, const char* name, const char* other,
                    const std::string& path) {
  const bool has = json_has(config, name, path), has_other = json_has(config, other, path);
  if (has && has_other) {
    fail(Status::kBadFile, "%s has both fields \"%s\" and \"%s\"", path.c_str(), name, other);
  }
  return json_int(config, has_other ? other : name, path);
}

Activation read_activation(const json& config, const std::string& path) {
  const std::string name = json_string(config, "activation", path, "relu");
  if (name == "relu") return Activation::kRelu;
  if (name == "gelu") return Activation::kGelu;
  fail(Status::kUnsupported, "%s field \"activation\" is \"%s\", not one of: relu, gelu",
       path.c_str(), printable(name).c_str());
}

Positions read_positions(const json& config, const std::string& path) {
  const std::string name = json_string(config, "positions", path, "none");
  if (name == "none") return Positions::kNone;
  if (name == "learned") return Positions::kLearned;
  if (name == "sinusoidal") return Positions::kSinusoidal;
  fail(Status::kUnsupported,
       "%s field \"positions\" is \"%s\", not one of: none, learned, sinusoidal", path.c_str(),
       printable(name).c_str());
}

// A module's config and tensors, as its JSON and the shapes of its tensors say.
class Importer {
 public:
  Importer(const PyTorchFiles& files, const json& config)
      : files_(files), source_(config), tensors_(files.weights) {}

  void run() {
    read_sizes();
    if (tensors_.kind() != ModuleKind::kAttention) read_options();
    read_module();
    tensors_.check_none_left();
    config_.validate(files_.config);
  }

  void write(const std::string& out_path, const ConvertOptions& options) {
    const std::vector<TensorRecipe> recipes = tensors_.take_recipes();
    config_.higher_precision = higher_precision_of(config_, options);
    const StoredTensors stored(tensors_.checkpoint(), recipes, config_,
                               options.precision.value_or(Precision::kF32));
    write_model(out_path, config_, stored, nullptr, {});
  }

 private:
  // Reads what the JSON says alone.
  void read_sizes() {
    const std::string& path = files_.config;
    config_.architecture = "layers";
    config_.inputs = InputKind::kActivations;
    config_.d_model = json_int_of(source_, "d_model", "embed_dim", path);
    config_.kdim = json_int(source_, "kdim", path, config_.d_model);
    config_.vdim = json_int(source_, "vdim", path, config_.d_model);
    const int64_t n_heads = json_int_of(source_, "nhead", "num_heads", path);
    constexpr int64_t kMostColumns = file_limits::kDModel;
    if (config_.d_model < 1 || config_.d_model > kMostColumns) {
      fail(Status::kBadFile, "%s: d_model is %lld, outside [1, %lld]", path.c_str(),
           ll{config_.d_model}, ll{kMostColumns});
    }
    if (n_heads < 1 || config_.d_model % n_heads != 0) {
      fail(Status::kBadFile, "%s: %lld heads do not divide %lld columns", path.c_str(), ll{n_heads},
           ll{config_.d_model});
    }
    stack_.attention.set_heads(n_heads, config_.d_model / n_heads);
    is_causal_ = json_bool(source_, "causal", path, false);
    config_.batch_first = json_bool(source_, "batch_first", path, false);
    stack_.norm_eps = 1e-5f;
    stack_.positions = read_positions(source_, path);
    stack_.max_positions = kMostPositions;
    if (stack_.positions != Positions::kNone) {
      stack_.max_positions = json_int(source_, "max_positions", path);
    }
    stack_.biases = tensors_.has_bias();
  }

  // Reads what the JSON says of layers.
  void read_options() {
    const std::string& path = files_.config;
    stack_.activation = read_activation(source_, path);
    if (json_has(source_, "layer_norm_eps", path)) {
      stack_.norm_eps = static_cast<float>(json_number(source_, "layer_norm_eps", path));
    }
    const bool first = json_bool(source_, "norm_first", path, false);
    stack_.norm = first ? NormPlacement::kPre : NormPlacement::kPost;
  }

  void read_module() {
    switch (tensors_.kind()) {
      case ModuleKind::kAttention:
        stack_.norm = NormPlacement::kNone;
        stack_.residual = false;
        config_.encoder = stack_;
        config_.encoder.n_layers = 1;
        if (is_causal_) config_.encoder.attention.causal = Causal::kUpperLeft;
        add_attention("", "encoder.layers.0.attention.");
        add_positions("positions", "encoder");
        break;
      case ModuleKind::kEncoderLayer:
        add_encoder({""}, true);
        add_positions("positions", "encoder");
        break;
      case ModuleKind::kEncoder:
        add_encoder(layers_of("", "num_layers"), true);
        add_final_norm("encoder", &config_.encoder);
        add_positions("positions", "encoder");
        break;
      case ModuleKind::kDecoderLayer:
        add_decoder({""});
        add_positions("positions", "decoder");
        break;
      case ModuleKind::kDecoder:
        add_decoder(layers_of("", "num_layers"));
        add_final_norm("decoder", &config_.decoder);
        add_positions("positions", "decoder");
        break;
      case ModuleKind::kTransformer:
        add_encoder(layers_of("encoder.", "num_encoder_layers"), false);
        add_decoder(layers_of("decoder.", "num_decoder_layers"));
        add_final_norms();
        add_positions("src_positions", "encoder");
        add_positions("tgt_positions", "decoder");
        break;
    }
  }

  // An argument that the tensors say too.
  void check_count(const char* field, int64_t n, const std::string& what) const {
    if (!json_has(source_, field, files_.config)) return;
    const int64_t said = json_int(source_, field, files_.config);
    if (said == n) return;
    fail(Status::kBadFile, "%s field \"%s\" is %lld, but %s has %lld %s", files_.config.c_str(),
         field, ll{said}, files_.weights.c_str(), ll{n}, what.c_str());
  }

  // Returns what stands before the tensors' names of each layer of a stack.
  std::vector<std::string> layers_of(const std::string& stack, const char* field) const {
    const auto name = [&](size_t i) { return stack + "layers." + std::to_string(i) + "."; };
    std::vector<std::string> layers = {name(0)};
    while (tensors_.has_attention(name(layers.size()) + "self_attn.")) {
      layers.push_back(name(layers.size()));
    }
    check_count(field, static_cast<int64_t>(layers.size()), "layers");
    return layers;
  }

  // `has_x`: the module's first input, whose attention may be causal, is this stack's.
  void add_encoder(const std::vector<std::string>& layers, bool has_x) {
    StackConfig& encoder = config_.encoder;
    encoder = stack_;
    encoder.n_layers = static_cast<int64_t>(layers.size());
    encoder.d_ff = read_d_ff(layers.front());
    if (is_causal_ && has_x) encoder.attention.causal = Causal::kUpperLeft;
    for (size_t i = 0; i < layers.size(); ++i) {
      const std::string name = "encoder.layers." + std::to_string(i) + ".";
      add_attention(layers[i] + "self_attn.", name + "attention.");
      tensors_.add_vectors(layers[i] + "norm1", name + "attention.norm", config_.d_model,
                           tensors_.has_bias());
      add_feed_forward(layers[i], name, "norm2", encoder.d_ff);
    }
  }

  void add_decoder(const std::vector<std::string>& layers) {
    StackConfig& decoder = config_.decoder;
    decoder = stack_;
    decoder.cross = stack_.attention;
    decoder.n_layers = static_cast<int64_t>(layers.size());
    decoder.d_ff = read_d_ff(layers.front());
    if (is_causal_) decoder.attention.causal = Causal::kUpperLeft;
    for (size_t i = 0; i < layers.size(); ++i) {
      const std::string name = "decoder.layers." + std::to_string(i) + ".";
      add_attention(layers[i] + "self_attn.", name + "attention.");
      tensors_.add_vectors(layers[i] + "norm1", name + "attention.norm", config_.d_model,
                           tensors_.has_bias());
      add_attention(layers[i] + "multihead_attn.", name + "cross.");
      tensors_.add_vectors(layers[i] + "norm2", name + "cross.norm", config_.d_model,
                           tensors_.has_bias());
      add_feed_forward(layers[i], name, "norm3", decoder.d_ff);
    }
  }

  // A stack's by itself is given to it, with or without a bias of its own.
  void add_final_norm(const std::string& name, StackConfig* stack) {
    stack->final_norm = tensors_.has("norm.weight");
    if (!stack->final_norm) return;
    const bool has_bias = tensors_.has("norm.bias");
    stack->biases = stack->biases && has_bias;
    tensors_.add_vectors("norm", name + ".norm", config_.d_model, has_bias);
  }

  // nn.Transformer makes both itself.
  void add_final_norms() {
    const bool has = tensors_.has("encoder.norm.weight") || tensors_.has("decoder.norm.weight");
    config_.encoder.final_norm = config_.decoder.final_norm = has;
    if (!has) return;
    for (const char* norm : {"encoder.norm", "decoder.norm"}) {
      tensors_.add_vectors(norm, norm, config_.d_model, tensors_.has_bias());
    }
  }

  void add_positions(const std::string& source, const std::string& name) {
    if (stack_.positions != Positions::kLearned) return;
    tensors_.add(source + ".weight", name + ".positions.weight",
                 {stack_.max_positions, config_.d_model});
  }

  int64_t read_d_ff(const std::string& layer) const {
    const std::string name = layer + "linear1.weight";
    if (!tensors_.has(name)) return 1;  // asking for the tensor will name it
    const std::vector<int64_t>& shape = tensors_.shape_of(name);
    if (shape.size() != 2 || shape[0] < 1) {
      fail(Status::kBadFile,
           "%s: tensor \"%s\" field \"shape\" is %s, not [dim_feedforward, d_model]",
           files_.weights.c_str(), tensors_.name_in_file(name).c_str(), shape_text(shape).c_str());
    }
    check_count("dim_feedforward", shape[0], "rows of \"" + name + "\"");
    return shape[0];
  }

  void add_feed_forward(const std::string& source, const std::string& name, const char* norm,
                        int64_t d_ff) {
    const int64_t d = config_.d_model;
    tensors_.add_linear(source + "linear1", name + "ffn.up", d_ff, d);
    tensors_.add_linear(source + "linear2", name + "ffn.down", d, d_ff);
    tensors_.add_vectors(source + norm, name + "ffn.norm", d, tensors_.has_bias());
  }

  void add_attention(const std::string& source, const std::string& name) {
    const int64_t d = config_.d_model;
    for (const char* tensor : {"bias_k", "bias_v"}) {
      if (!tensors_.has(source + tensor)) continue;
      fail(Status::kUnsupported, "%s: tensor \"%s\": add_bias_kv is not supported",
           files_.weights.c_str(), tensors_.name_in_file(source + tensor).c_str());
    }
    if (tensors_.has(source + "in_proj_weight") || !tensors_.has(source + "q_proj_weight")) {
      if (config_.kdim != d || config_.vdim != d) {
        fail(Status::kBadFile, "%s: tensor \"%s\" is one for all, but kdim is %lld, vdim %lld",
             files_.weights.c_str(), tensors_.name_in_file(source + "in_proj_weight").c_str(),
             ll{config_.kdim}, ll{config_.vdim});
      }
      tensors_.add_parts(source + "in_proj_weight", name, ".weight", {3 * d, d});
    } else {
      tensors_.add(source + "q_proj_weight", name + "q.weight", {d, d});
      tensors_.add(source + "k_proj_weight", name + "k.weight", {d, config_.kdim});
      tensors_.add(source + "v_proj_weight", name + "v.weight", {d, config_.vdim});
    }
    if (tensors_.has_bias()) tensors_.add_parts(source + "in_proj_bias", name, ".bias", {3 * d});
    tensors_.add_linear(source + "out_proj", name + "out", d, d);
    // A key and a value of zeros that all queries see: a score of 0 and nothing to add.
    if (json_bool(source_, "add_zero_attn", files_.config, false)) {
      tensors_.add_zeros(name + "sinks", stack_.attention.n_heads);
    }
  }

  const PyTorchFiles& files_;
  const json& source_;
  ModuleTensors tensors_;
  ModelConfig config_;
  StackConfig stack_;       // what all stacks have
  bool is_causal_ = false;  // attention of the module's first input to itself
};

}  // namespace

void convert_pytorch(const PyTorchFiles& files, const std::string& out_path,
                     const ConvertOptions& options) try {
  const json config = read_json_file(files.config);
  Importer importer(files, config);
  importer.run();
  importer.write(out_path, options);
} catch (const std::bad_alloc&) {
  fail(Status::kOutOfMemory, "%s: no memory to convert it", files.weights.c_str());
}

}  // namespace headlane

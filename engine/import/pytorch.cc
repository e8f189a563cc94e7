#include "engine/import/pytorch.h"

#include <algorithm>
#include <set>

#include "engine/error.h"
#include "engine/import/json_file.h"
#include "engine/import/safetensors.h"
#include "engine/import/stored_tensors.h"
#include "engine/model/config.h"
#include "engine/model/container.h"
#include "engine/model/tensor_shape.h"

namespace headlane {
namespace {

using nlohmann::json;
using ll = long long;

constexpr int64_t kMostPositions = int64_t{1} << 20;  // where no table of positions ends sooner

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

// The longest beginning of all names that ends with a dot, or "".
std::string common_prefix(const std::set<std::string>& names) {
  if (names.empty()) return "";
  const std::string &first = *names.begin(), &last = *names.rbegin();  // the two least alike
  const size_t n = static_cast<size_t>(
      std::mismatch(first.begin(), first.end(), last.begin(), last.end()).first - first.begin());
  return first.substr(0, first.substr(0, n).rfind('.') + 1);  // npos + 1 is 0
}

// Takes a module's tensors one by one, under both their names, and then makes sure that none is
// left.
class Importer {
 public:
  Importer(const PyTorchFiles& files, const json& config)
      : files_(files), source_(config), model_(SafetensorsModel::of_file(files.weights)) {
    for (const std::string& name : model_.names()) left_.insert(name);
  }

  void run() {
    const Kind kind = find_module();
    has_bias_ = has_any_bias();
    read_sizes();
    if (kind == Kind::kAttention) {
      config_.n_layers = 1;
      config_.norm = NormPlacement::kNone;
      config_.residual = false;
      add_attention("", 0);
    } else {
      read_encoder(kind == Kind::kEncoder);
    }
    if (config_.positions == Positions::kLearned) {
      add("positions.weight", "positions.weight", {config_.max_positions, config_.d_model});
    }
    if (!left_.empty()) {
      fail(Status::kUnsupported, "%s: tensor \"%s\" has no place in the module",
           files_.weights.c_str(), printable(*left_.begin()).c_str());
    }
    config_.validate(files_.config);
  }

  void write(const std::string& out_path, const ConvertOptions& options) {
    std::vector<TensorSource> sources;
    for (const Tensor& tensor : tensors_) {
      sources.push_back(
          {tensor.name, DType::kF32, tensor.shape, std::as_bytes(tensor.data.values())});
    }
    config_.higher_precision = higher_precision_of(config_, options);
    const StoredTensors stored(sources, config_, options.precision);
    write_container(out_path, config_.to_json(), nullptr, stored.sources());
  }

 private:
  struct Tensor {
    std::string name;
    std::vector<int64_t> shape;
    F32Data data;
  };

  enum class Kind { kAttention, kLayer, kEncoder };

  bool has(const std::string& name) const { return model_.contains(prefix_ + name); }
  bool has_attention(const std::string& at) const {
    return has(at + "in_proj_weight") || has(at + "q_proj_weight") || has(at + "out_proj.weight");
  }

  // Which module it is, and what stands before its tensors' names where it was part of another.
  Kind find_module() {
    for (prefix_ = common_prefix(left_);;) {
      if (has_attention("")) return Kind::kAttention;
      if (has_attention("self_attn.")) return Kind::kLayer;
      if (has_attention("layers.0.self_attn.")) return Kind::kEncoder;
      if (prefix_.empty()) break;
      prefix_.pop_back();
      prefix_.resize(prefix_.rfind('.') + 1);  // 0 if there is no other
    }
    fail(
        Status::kBadFile,
        "%s: none of the tensors \"in_proj_weight\", \"self_attn.in_proj_weight\" and "
        "\"layers.0.self_attn.in_proj_weight\" is there, with or without a prefix that all tensors "
        "have, so it is no state dict of nn.MultiheadAttention, nn.TransformerEncoderLayer or "
        "nn.TransformerEncoder",
        files_.weights.c_str());
  }

  // The modules have all of these or none, so that one alone that is missing can be told.
  bool has_any_bias() const {
    constexpr const char* kBiases[] = {"in_proj_bias", "out_proj.bias", "linear1.bias",
                                       "linear2.bias", "norm1.bias",    "norm2.bias"};
    return std::any_of(left_.begin(), left_.end(), [&](const std::string& name) {
      return std::any_of(std::begin(kBiases), std::end(kBiases),
                         [&](const char* bias) { return name.ends_with(bias); });
    });
  }

  // What the JSON says alone.
  void read_sizes() {
    const std::string& path = files_.config;
    config_.architecture = Architecture::kLayers;
    config_.d_model = json_int_of(source_, "d_model", "embed_dim", path);
    config_.kdim = json_int(source_, "kdim", path, config_.d_model);
    config_.vdim = json_int(source_, "vdim", path, config_.d_model);
    const int64_t n_heads = json_int_of(source_, "nhead", "num_heads", path);
    constexpr int64_t kMostColumns = 1 << 16;
    if (config_.d_model < 1 || config_.d_model > kMostColumns) {
      fail(Status::kBadFile, "%s: d_model is %lld, outside [1, %lld]", path.c_str(),
           ll{config_.d_model}, ll{kMostColumns});
    }
    if (n_heads < 1 || config_.d_model % n_heads != 0) {
      fail(Status::kBadFile, "%s: %lld heads do not divide %lld columns", path.c_str(), ll{n_heads},
           ll{config_.d_model});
    }
    config_.attention.set_heads(n_heads, config_.d_model / n_heads);
    config_.batch_first = json_bool(source_, "batch_first", path, false);
    config_.norm_eps = 1e-5f;
    config_.positions = read_positions(source_, path);
    config_.max_positions = kMostPositions;
    if (config_.positions != Positions::kNone) {
      config_.max_positions = json_int(source_, "max_positions", path);
    }
  }

  void read_encoder(bool many) {
    const std::string& path = files_.config;
    config_.activation = read_activation(source_, path);
    if (json_has(source_, "layer_norm_eps", path)) {
      config_.norm_eps = static_cast<float>(json_number(source_, "layer_norm_eps", path));
    }
    const bool first = json_bool(source_, "norm_first", path, false);
    config_.norm = first ? NormPlacement::kPre : NormPlacement::kPost;
    config_.residual = true;
    config_.d_ff = read_d_ff(many ? "layers.0.linear1.weight" : "linear1.weight");
    config_.n_layers = 1;
    while (many && has_attention("layers." + std::to_string(config_.n_layers) + ".self_attn.")) {
      ++config_.n_layers;
    }
    for (int64_t i = 0; i < config_.n_layers; ++i) {
      add_layer(many ? "layers." + std::to_string(i) + "." : "", i);
    }
    config_.final_norm = many && has("norm.weight");
    if (config_.final_norm) add_vectors("norm", "norm", config_.d_model, has("norm.bias"));
  }

  int64_t read_d_ff(const std::string& name) const {
    if (!has(name)) return 1;  // asking for the tensor will name it
    const std::vector<int64_t>& shape = model_.shape_of(prefix_ + name);
    if (shape.size() == 2 && shape[0] > 0) return shape[0];
    fail(Status::kBadFile,
         "%s: tensor \"%s%s\" field \"shape\" is %s, not [dim_feedforward, d_model]",
         files_.weights.c_str(), printable(prefix_).c_str(), name.c_str(),
         shape_text(shape).c_str());
  }

  void add_layer(const std::string& source, int64_t i) {
    const std::string name = "layers." + std::to_string(i) + ".";
    const int64_t d = config_.d_model;
    add_attention(source + "self_attn.", i);
    add_vectors(source + "norm1", name + "attention.norm", d, has_bias_);
    add_linear(source + "linear1", name + "ffn.up", config_.d_ff, d);
    add_linear(source + "linear2", name + "ffn.down", d, config_.d_ff);
    add_vectors(source + "norm2", name + "ffn.norm", d, has_bias_);
  }

  void add_attention(const std::string& source, int64_t i) {
    const std::string name = "layers." + std::to_string(i) + ".attention.";
    const int64_t d = config_.d_model;
    for (const char* tensor : {"bias_k", "bias_v"}) {
      if (!has(source + tensor)) continue;
      fail(Status::kUnsupported, "%s: tensor \"%s%s%s\": add_bias_kv is not supported",
           files_.weights.c_str(), printable(prefix_).c_str(), source.c_str(), tensor);
    }
    if (has(source + "in_proj_weight") || !has(source + "q_proj_weight")) {
      if (config_.kdim != d || config_.vdim != d) {
        fail(Status::kBadFile,
             "%s: tensor \"%s%sin_proj_weight\" is one for all, but kdim is %lld, vdim %lld",
             files_.weights.c_str(), printable(prefix_).c_str(), source.c_str(), ll{config_.kdim},
             ll{config_.vdim});
      }
      add_parts(source + "in_proj_weight", name, ".weight", {3 * d, d});
    } else {
      add(source + "q_proj_weight", name + "q.weight", {d, d});
      add(source + "k_proj_weight", name + "k.weight", {d, config_.kdim});
      add(source + "v_proj_weight", name + "v.weight", {d, config_.vdim});
    }
    if (has_bias_) add_parts(source + "in_proj_bias", name, ".bias", {3 * d});
    add_linear(source + "out_proj", name + "out", d, d);
    // A key and a value of zeros that all queries see: a score of 0 and nothing to add.
    if (json_bool(source_, "add_zero_attn", files_.config, false)) {
      const auto n = static_cast<size_t>(config_.attention.n_heads);
      tensors_.push_back(
          {name + "sinks", {config_.attention.n_heads}, F32Data(std::vector<float>(n))});
    }
  }

  // Q's, K's and V's rows of one tensor.
  void add_parts(const std::string& source, const std::string& name, const std::string& suffix,
                 std::vector<int64_t> shape) {
    const F32Data all = take(source, shape);
    const size_t size = all.values().size() / 3;
    shape[0] /= 3;
    for (size_t part = 0; part < 3; ++part) {
      const std::span<const float> rows = all.values().subspan(part * size, size);
      tensors_.push_back({name + "qkv"[part] + suffix, shape,
                          F32Data(std::vector<float>(rows.begin(), rows.end()))});
    }
  }

  F32Data take(const std::string& source, const std::vector<int64_t>& shape) {
    F32Data data = model_.load_f32(prefix_ + source, shape);
    left_.erase(prefix_ + source);
    return data;
  }
  void add(const std::string& source, const std::string& name, std::vector<int64_t> shape) {
    F32Data data = take(source, shape);
    tensors_.push_back({name, std::move(shape), std::move(data)});
  }
  void add_linear(const std::string& source, const std::string& name, int64_t n, int64_t k) {
    add(source + ".weight", name + ".weight", {n, k});
    if (has_bias_) add(source + ".bias", name + ".bias", {n});
  }
  void add_vectors(const std::string& source, const std::string& name, int64_t d, bool has_bias) {
    add(source + ".weight", name + ".weight", {d});
    if (has_bias) add(source + ".bias", name + ".bias", {d});
  }

  const PyTorchFiles& files_;
  const json& source_;
  SafetensorsModel model_;
  ModelConfig config_;
  std::vector<Tensor> tensors_;
  std::set<std::string> left_;
  std::string prefix_;     // of every tensor's name, such as "encoder."
  bool has_bias_ = false;  // modules may be made without; a final norm is for itself
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

#include "engine/import/pytorch/pytorch_module.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"

namespace headlane {
namespace {

// The longest beginning of all names that ends with a dot, or "".
std::string common_prefix(const std::set<std::string>& names) {
  if (names.empty()) return "";
  const std::string &first = *names.begin(), &last = *names.rbegin();  // the two least alike
  const size_t n = static_cast<size_t>(
      std::mismatch(first.begin(), first.end(), last.begin(), last.end()).first - first.begin());
  return first.substr(0, first.substr(0, n).rfind('.') + 1);  // npos + 1 is 0
}

}  // namespace

ModuleTensors::ModuleTensors(const std::string& path)
    : path_(path), model_(SafetensorsModel::of_file(path)), recipes_(model_) {
  for (const std::string& name : model_.names()) left_.insert(name);
  kind_ = find_kind();
  has_bias_ = has_any_bias();
}

bool ModuleTensors::has_attention(const std::string& at) const {
  return has(at + "in_proj_weight") || has(at + "q_proj_weight") || has(at + "out_proj.weight");
}

// Whether a layer that attends to itself has another attention, or the norm behind that.
bool ModuleTensors::is_decoder_layer(const std::string& at) const {
  return has_attention(at + "multihead_attn.") || has(at + "norm3.weight");
}

ModuleKind ModuleTensors::find_kind() {
  for (prefix_ = common_prefix(left_);;) {
    if (has_attention("")) return ModuleKind::kAttention;
    if (has_attention("self_attn.")) {
      return is_decoder_layer("") ? ModuleKind::kDecoderLayer : ModuleKind::kEncoderLayer;
    }
    if (has_attention("layers.0.self_attn.")) {
      return is_decoder_layer("layers.0.") ? ModuleKind::kDecoder : ModuleKind::kEncoder;
    }
    if (has_attention("encoder.layers.0.self_attn.") &&
        has_attention("decoder.layers.0.self_attn.")) {
      return ModuleKind::kTransformer;
    }
    if (prefix_.empty()) break;
    prefix_.pop_back();
    prefix_.resize(prefix_.rfind('.') + 1);  // 0 if there is no other
  }
  fail(Status::kBadFile,
       "%s: none of the tensors \"in_proj_weight\", \"self_attn.in_proj_weight\", "
       "\"layers.0.self_attn.in_proj_weight\" and \"decoder.layers.0.self_attn.in_proj_weight\" "
       "(beside the encoder's) is there, with or without a prefix that all tensors have, so it is "
       "no state dict of nn.MultiheadAttention, nn.TransformerEncoder(Layer), "
       "nn.TransformerDecoder(Layer) or nn.Transformer",
       path_.c_str());
}

// So that one alone that is missing can be told.
bool ModuleTensors::has_any_bias() const {
  constexpr const char* kBiases[] = {"in_proj_bias", "out_proj.bias", "linear1.bias",
                                     "linear2.bias", "norm1.bias",    "norm2.bias",
                                     "norm3.bias"};
  return std::any_of(left_.begin(), left_.end(), [&](const std::string& name) {
    return std::any_of(std::begin(kBiases), std::end(kBiases),
                       [&](const char* bias) { return name.ends_with(bias); });
  });
}

std::string ModuleTensors::name_in_file(const std::string& name) const {
  return printable(prefix_ + name);
}

std::string ModuleTensors::take(const std::string& source) {
  left_.erase(prefix_ + source);
  return prefix_ + source;
}

void ModuleTensors::add(const std::string& source, const std::string& name,
                        std::vector<int64_t> shape) {
  recipes_.add(take(source), name, std::move(shape));
}

void ModuleTensors::add_parts(const std::string& source, const std::string& name,
                              const std::string& suffix, const std::vector<int64_t>& shape) {
  const std::string all = take(source);
  const int64_t rows = shape[0] / 3;
  for (int64_t part = 0; part < 3; ++part) {
    recipes_.add_rows(all, shape, part * rows, rows, name + "qkv"[part] + suffix);
  }
}

void ModuleTensors::add_linear(const std::string& source, const std::string& name, int64_t n,
                               int64_t k) {
  add(source + ".weight", name + ".weight", {n, k});
  if (has_bias_) add(source + ".bias", name + ".bias", {n});
}

void ModuleTensors::add_vectors(const std::string& source, const std::string& name, int64_t d,
                                bool has_bias) {
  add(source + ".weight", name + ".weight", {d});
  if (has_bias) add(source + ".bias", name + ".bias", {d});
}

void ModuleTensors::add_zeros(const std::string& name, int64_t n) {
  recipes_.add_values(name, {n}, std::vector<float>(static_cast<size_t>(n)));
}

void ModuleTensors::check_none_left() const {
  if (left_.empty()) return;
  fail(Status::kUnsupported, "%s: tensor \"%s\" has no place in the module", path_.c_str(),
       printable(*left_.begin()).c_str());
}

}  // namespace headlane

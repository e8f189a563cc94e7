#include "engine/import/families/latents.h"

#include <cmath>
#include <vector>

#include "engine/base/error.h"
#include "engine/import/families/language_model.h"
#include "engine/import/families/rotary.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

using ll = long long;
using RowPart = Recipes::RowPart;

// transformers overwrites one of these fields, and repeats keys by the other.
void refuse_other_heads_of_keys(const Json& config, const std::string& path, int64_t turning,
                                const AttentionSpec& spec) {
  const auto must_be = [&](const char* key, int64_t wanted) {
    if (!json_has(config, key, path) || json_int(config, key, path) == wanted) return;
    fail(Status::kUnsupported, "%s field \"%s\" is %lld; with latents only %lld is supported",
         path.c_str(), key, ll{json_int(config, key, path)}, ll{wanted});
  };
  must_be("head_dim", turning);
  must_be("num_key_value_heads", spec.n_heads);
}

// The rows of a tensor that has the rows of all heads, `size` each: those in front of each head's
// `last` ones come behind them.
std::vector<RowPart> last_rows_first(int64_t n_heads, int64_t size, int64_t last) {
  std::vector<RowPart> parts;
  for (int64_t head = 0; head < n_heads; ++head) {
    parts.push_back({(head + 1) * size - last, last});
    parts.push_back({head * size, size - last});
  }
  return parts;
}

// Of each head's `size` rows, n from `first` on.
std::vector<RowPart> rows_of_heads(int64_t n_heads, int64_t size, int64_t first, int64_t n) {
  std::vector<RowPart> parts;
  for (int64_t head = 0; head < n_heads; ++head) parts.push_back({head * size + first, n});
  return parts;
}

}  // namespace

void read_latents(const Json& config, const std::string& path, bool interleaved,
                  StackConfig* decoder) {
  refuse_partial_rotary(config, path);
  AttentionSpec& spec = decoder->attention;
  const int64_t turning = json_positive(config, "qk_rope_head_dim", path);
  refuse_other_heads_of_keys(config, path, turning, spec);
  spec.n_kv_heads = spec.n_heads;
  spec.head_dim = turning;
  read_rotary(config, path, decoder);
  if (spec.rotary.by_room()) {
    fail(Status::kUnsupported,
         "%s: rotary positions are chosen by the length of a sequence (\"dynamic\" or "
         "\"longrope\"), which is not supported with latents",
         path.c_str());
  }
  spec.rotary.interleaved = interleaved;
  spec.head_dim += json_positive(config, "qk_nope_head_dim", path);
  spec.v_dim = json_positive(config, "v_head_dim", path);
  const double magnitude = read_score_magnitude(config, path);
  spec.scale = static_cast<float>(magnitude * magnitude / std::sqrt(double(spec.head_dim)));
  LatentConfig& latent = decoder->latent;
  latent.width = json_positive(config, "kv_lora_rank", path);
  constexpr const char* kQueries = "q_lora_rank";
  if (json_has(config, kQueries, path)) latent.q_width = json_positive(config, kQueries, path);
  latent.norm_eps = 1e-6f;  // whatever "rms_norm_eps" says
}

void add_latent_tensors(const StackConfig& stack, int64_t d_model, const std::string& layer,
                        const std::string& name, bool biases, Recipes* recipes) {
  const AttentionSpec& spec = stack.attention;
  const LatentConfig& latent = stack.latent;
  const int64_t n = spec.n_heads, turning = spec.rotary.dims, still = spec.head_dim - turning;
  const std::string attention = layer + "self_attn.";
  const bool q_latent = latent.q_width != 0;
  if (q_latent) {
    recipes->add(attention + "q_a_proj.weight", name + ".q_down.weight", {latent.q_width, d_model});
    if (biases) {
      recipes->add(attention + "q_a_proj.bias", name + ".q_down.bias", {latent.q_width});
    }
    recipes->add(attention + "q_a_layernorm.weight", name + ".q_norm.weight", {latent.q_width});
  }
  recipes->add_row_parts(attention + (q_latent ? "q_b_proj.weight" : "q_proj.weight"),
                         {spec.q_width(), q_latent ? latent.q_width : d_model},
                         last_rows_first(n, spec.head_dim, turning), name + ".q.weight");
  const std::string both = attention + "kv_a_proj_with_mqa.";
  const int64_t rows = latent.width + turning;
  recipes->add_rows(both + "weight", {rows, d_model}, 0, latent.width, name + ".latent.weight");
  recipes->add_rows(both + "weight", {rows, d_model}, latent.width, turning,
                    name + ".k_turning.weight");
  if (biases) {
    recipes->add_rows(both + "bias", {rows}, 0, latent.width, name + ".latent.bias");
    recipes->add_rows(both + "bias", {rows}, latent.width, turning, name + ".k_turning.bias");
  }
  recipes->add(attention + "kv_a_layernorm.weight", name + ".latent_norm.weight", {latent.width});
  const int64_t size = still + spec.v_dim;
  const std::string up = attention + "kv_b_proj.weight";
  recipes->add_transposed_parts(up, {n * size, latent.width}, rows_of_heads(n, size, 0, still),
                                name + ".k_transposed.weight");
  recipes->add_row_parts(up, {n * size, latent.width}, rows_of_heads(n, size, still, spec.v_dim),
                         name + ".v.weight");
  recipes->add(attention + "o_proj.weight", name + ".out.weight", {d_model, spec.o_width()});
  if (biases) recipes->add(attention + "o_proj.bias", name + ".out.bias", {d_model});
}

}  // namespace headlane

// The C API's layers: models made from weights at hand, and calls on activations.
#include <algorithm>

#include "engine/api/attention_options.h"
#include "engine/api/c_api.h"
#include "engine/file/limits.h"
#include "engine/model/attention_layer.h"

using headlane::fail;
using headlane::Status;
using namespace headlane::c_api;  // NOLINT(google-build-using-namespace): what this file is of

namespace {

using ll = long long;
using headlane::LinearWeights;
using headlane::NormPlacement;

static_assert(static_cast<int>(NormPlacement::kPost) == HEADLANE_NORM_POST);
static_assert(static_cast<int>(NormPlacement::kPre) == HEADLANE_NORM_PRE);

headlane_attention_options read_attention(const headlane_attention_options* attention) {
  require(attention, "attention");
  const auto read = read_struct(attention, "headlane_attention_options");
  if (read.n_threads != 0 || read.isa || read.memory || read.memory_bytes != 0 || read.pool ||
      read.precision) {
    fail(Status::kInvalidArgument,
         "the attention's n_threads, isa, memory, memory_bytes, pool and precision must be 0; set "
         "those of the model and of the session");
  }
  return read;
}

headlane::ModelConfig config_of(const headlane_layer_options& options,
                                const headlane::AttentionSpec& spec) {
  constexpr int64_t kMostPositions = headlane::file_limits::kPositions;
  headlane::ModelConfig config;
  config.architecture = "layers";
  config.inputs = headlane::InputKind::kActivations;
  config.d_model = options.d_model;
  config.kdim = options.kdim ? options.kdim : options.d_model;
  config.vdim = options.vdim ? options.vdim : options.d_model;
  headlane::StackConfig& layer = config.encoder;
  layer.n_layers = 1;
  layer.attention = spec;
  layer.norm = static_cast<NormPlacement>(read_enum("norm", options.norm, HEADLANE_NORM_PRE));
  layer.residual = options.residual != 0;
  layer.norm_eps = options.norm_eps != 0 ? options.norm_eps : 1e-5f;
  layer.max_positions =
      options.max_len ? options.max_len : std::min(kMostPositions, spec.max_len());
  try {
    config.validate("the layer");
  } catch (const headlane::Error& error) {  // there, it would be a file's fault
    fail(Status::kInvalidArgument, "%s", error.what());
  }
  if ((layer.norm == NormPlacement::kNone) != (options.norm_weight == nullptr)) {
    fail(Status::kInvalidArgument,
         options.norm_weight ? "norm_weight is given, but norm is NONE" : "norm_weight is null");
  }
  if (layer.norm == NormPlacement::kNone && options.norm_bias) {
    fail(Status::kInvalidArgument, "norm_bias is given, but norm is NONE");
  }
  return config;
}

// The projections, from one packed matrix or three.
void read_projections(const headlane_layer_options& options, headlane::AttentionLayerSource* to) {
  const headlane::ModelConfig& config = to->config;
  const headlane::AttentionSpec& spec = config.encoder.attention;
  const auto linear = [](const headlane_linear& l) { return LinearWeights{l.weight, l.bias}; };
  to->out = linear(options.out);
  require(to->out.weight, "out.weight");
  if (options.qkv.weight == nullptr) {
    to->q = linear(options.q);
    to->k = linear(options.k);
    to->v = linear(options.v);
    require(to->q.weight, "q.weight");
    require(to->k.weight, "k.weight");
    require(to->v.weight, "v.weight");
    if (options.qkv.bias) fail(Status::kInvalidArgument, "qkv.bias is given without qkv.weight");
    return;
  }
  if (options.q.weight || options.k.weight || options.v.weight || options.q.bias ||
      options.k.bias || options.v.bias) {
    fail(Status::kInvalidArgument, "qkv is given, so q, k and v must be null");
  }
  if (!config.can_attend_to_itself()) {
    fail(Status::kInvalidArgument,
         "qkv is one matrix, so kdim (%lld) and vdim (%lld) must be d_model (%lld)",
         ll{config.kdim}, ll{config.vdim}, ll{config.d_model});
  }
  int64_t row = 0;
  const auto take = [&](int64_t rows) {
    const LinearWeights part = {options.qkv.weight + row * config.d_model,
                                options.qkv.bias ? options.qkv.bias + row : nullptr};
    row += rows;
    return part;
  };
  to->q = take(spec.q_width());
  to->k = take(spec.k_width());
  to->v = take(spec.v_width());
}

headlane::AttentionLayerSource source_of(const headlane_layer_options& options) {
  const auto attention = read_attention(options.attention);
  const headlane::AttentionSpec spec = read_spec(attention);
  headlane::AttentionLayerSource source;
  source.attention = read_weights(attention, spec);
  source.config = config_of(options, spec);
  read_projections(options, &source);
  source.bilinear = options.bilinear;
  if ((spec.score == headlane::Score::kBilinear) != (options.bilinear != nullptr)) {
    fail(Status::kInvalidArgument, options.bilinear
                                       ? "bilinear is given, but the scores are not bilinear"
                                       : "bilinear is null; bilinear scores need it");
  }
  source.norm_weight = options.norm_weight;
  source.norm_bias = options.norm_bias;
  return source;
}

// Strides of 0 stand for rows one behind the other.
template <typename Rows>
Rows filled_in(Rows rows, int64_t columns, int64_t len) {
  if (rows.token_stride == 0) rows.token_stride = columns;
  if (rows.seq_stride != 0) return rows;
  if (__builtin_mul_overflow(len, rows.token_stride, &rows.seq_stride)) {
    fail(Status::kInvalidArgument,
         "a sequence of %lld rows with a token_stride of %lld is too large for any memory", ll{len},
         ll{rows.token_stride});
  }
  return rows;
}

headlane::RowSource source_of(const headlane_rows& rows, int64_t columns, int64_t len) {
  const headlane_rows filled = filled_in(rows, columns, len);
  return {filled.data, filled.seq_stride, filled.token_stride};
}

// The first field that is set although the call has no keys of its own; null: none is.
const char* key_field_of(const headlane_forward_batch& in) {
  if (in.key.data) return "key";
  if (in.value.data) return "value";
  if (in.kv_offsets) return "kv_offsets";
  if (in.kv_lengths) return "kv_lengths";
  return in.kv_len != 0 ? "kv_len" : nullptr;
}

void check_columns(const char* absent, const char* taken, int64_t columns, int64_t needed) {
  if (columns == needed) return;
  fail(Status::kInvalidArgument,
       "%s.data is null, and %s cannot take its place: it has %lld columns, and %lld are needed",
       absent, taken, ll{columns}, ll{needed});
}

// A decoder's kv: both its keys and its values.
void read_decoder_kv(const headlane_forward_batch& in, const headlane::ModelConfig& config,
                     headlane::ActivationBatch* batch) {
  if (in.key.data == nullptr && key_field_of(in) == nullptr) {
    fail(Status::kInvalidArgument,
         "key.data is null; it is what the decoder's layers attend to beside x");
  }
  batch->kv_rows = read_kv_rows(in);
  batch->key = batch->value = source_of(in.key, config.d_model, in.kv_len);
  if (in.value.data == nullptr) return;
  const headlane::RowSource value = source_of(in.value, config.d_model, in.kv_len);
  if (value.data == batch->key.data && value.token_stride == batch->key.token_stride &&
      (batch->kv_rows.ragged() || value.seq_stride == batch->key.seq_stride)) {
    return;
  }
  fail(Status::kInvalidArgument,
       "value must be null or the same rows as key: a decoder's layers make both from one input");
}

// Keys and values that are not given are x, and the key.
void read_kv(const headlane_forward_batch& in, const headlane::ModelConfig& config,
             headlane::ActivationBatch* batch) {
  batch->kv_rows = batch->q_rows;
  batch->key = batch->value = batch->x;
  if (in.key.data == nullptr && key_field_of(in) == nullptr) {
    check_columns("key", "x", config.d_model, config.kdim);
    check_columns("value", "x", config.d_model, config.vdim);
    return;
  }
  batch->kv_rows = read_kv_rows(in);
  batch->key = source_of(in.key, config.kdim, in.kv_len);
  batch->value = batch->key;
  if (in.value.data) {
    batch->value = source_of(in.value, config.vdim, in.kv_len);
  } else {
    check_columns("value", "key", config.kdim, config.vdim);
  }
}

headlane::ActivationBatch batch_of(const headlane_forward_batch& in,
                                   const headlane::ModelConfig& config, bool has_kv) {
  headlane::ActivationBatch batch;
  batch.n_seqs = in.n_seqs;
  batch.q_rows = batch.kv_rows = read_q_rows(in);
  batch.x = source_of(in.x, config.d_model, in.q_len);
  const headlane_output_rows out = filled_in(in.out, config.d_model, in.q_len);
  batch.out = {out.data, out.seq_stride, out.token_stride};
  if (config.has_decoder()) {
    read_decoder_kv(in, config, &batch);
  } else if (has_kv) {
    read_kv(in, config, &batch);
  } else if (const char* field = key_field_of(in)) {
    fail(Status::kInvalidArgument,
         "%s is given, but the session was created without cross_attention", field);
  }
  const bool of_decoder = config.has_decoder();  // scores are of x and x
  batch.scores = read_scores(in, batch.q_rows, of_decoder ? batch.q_rows : batch.kv_rows);
  return batch;
}

}  // namespace

headlane_status headlane_model_create_layer(const headlane_layer_options* options,
                                            const headlane_model_options* model_options,
                                            headlane_model** out) {
  return guarded([&] {
    require(options, "options");
    require(out, "out");
    const auto read = read_struct(options, "headlane_layer_options");
    const auto model = read_struct(model_options, "headlane_model_options");
    *out = new_model(make_attention_layer(source_of(read), headlane::c_api::model_options(model)));
  });
}

headlane_status headlane_session_forward(headlane_session* session,
                                         const headlane_forward_batch* batch) {
  return guarded([&] {
    require(session, "session");
    require(batch, "batch");
    const auto read = read_struct(batch, "headlane_forward_batch");
    headlane::Session& s = session->session;
    const headlane::ModelConfig& config = s.model().config();
    const headlane::StackConfig& stack = config.has_decoder() ? config.decoder : config.encoder;
    const headlane::LayerMaps maps = read_maps(read.maps, stack.n_layers, stack.attention.n_heads);
    s.forward(batch_of(read, config, s.has_kv()), read.maps ? &maps : nullptr);
  });
}

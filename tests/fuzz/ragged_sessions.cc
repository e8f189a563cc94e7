// headlane_session_encode and headlane_session_forward.
#include "tests/fuzz/ragged_models.h"

namespace headlane::fuzz {
namespace {

struct Maps {
  ScoreTensor<float> scores;
  headlane_attention_maps out = HEADLANE_INIT(headlane_attention_maps);
};

// The maps of some layers and heads, or null.
const headlane_attention_maps* any_maps(Input* input, const Rows& q, const Rows& kv,
                                        int64_t n_layers, int64_t n_heads, Maps* maps) {
  if (!input->one_in(4) || n_layers == 0) return nullptr;
  headlane_attention_maps& out = maps->out;
  out.first_layer = input->between(0, n_layers - 1);
  out.n_layers = input->between(0, n_layers - out.first_layer);
  out.first_head = input->between(0, n_heads - 1);
  out.n_heads = input->between(0, n_heads - out.first_head);
  const int64_t layers = out.n_layers ? out.n_layers : n_layers - out.first_layer;
  const int64_t heads = out.n_heads ? out.n_heads : n_heads - out.first_head;
  maps->scores = any_scores<float>(input, q, kv, heads, true);
  if (maps->scores.data.empty()) return nullptr;
  out.seq_stride = maps->scores.seq_stride;
  out.head_stride = maps->scores.head_stride;
  out.query_stride = maps->scores.query_stride;
  out.layer_stride = q.n_seqs * maps->scores.seq_stride;
  maps->scores.data.resize(maps->scores.data.size() + (layers - 1) * out.layer_stride);
  out.data = maps->scores.data.data();
  if (input->one_in(8)) {  // strides that overlap are refused before anything is written
    out.query_stride = input->one_of<int64_t>({0, -1, INT64_MIN, INT64_MAX});
  }
  return &out;
}

std::vector<float> encode_reference(const OpenSession& session) {
  const int64_t d = session.facts().d_model;
  const int64_t offsets[] = {0, 3, 3, 7};
  const int32_t ids[] = {1, 2, 3, 4, 5, 6, 7};
  std::vector<float> hidden(7 * d);
  headlane_batch batch{.struct_size = sizeof batch, .n_seqs = 3, .offsets = offsets, .ids = ids};
  headlane_outputs outputs{.struct_size = sizeof outputs, .hidden = hidden.data()};
  is_ok(headlane_session_encode(session.get(), &batch, &outputs), {}, "encode the reference");
  return hidden;
}

// One thing that no batch may have.
bool break_ids(Input* input, const headlane_model_facts& facts, Rows* rows,
               std::vector<int32_t>* ids, std::vector<int32_t>* types, headlane_batch* batch) {
  const int32_t wrong = input->one_of({-1, INT32_MIN, INT32_MAX});
  switch (input->between(0, 5)) {
    case 0:
      batch->struct_size = input->one_of<size_t>({0, 7, 4097, SIZE_MAX});
      return true;
    case 1:
      batch->n_seqs = input->flag() ? wrong_count(input) : INT64_MAX;
      return true;
    case 2:
      rows->offsets[0] = input->one_of<int64_t>({1, -1, INT64_MAX, INT64_MIN});
      return true;
    case 3:
      rows->offsets.back() = input->one_of<int64_t>({-1, INT64_MIN, INT64_MAX});
      return true;
    case 4:
      if (ids->empty()) return false;
      ids->at(input->byte() % ids->size()) =
          input->flag() ? wrong : static_cast<int32_t>(facts.vocab_size);
      return true;
    default:
      if (types->empty() || batch->type_ids == nullptr) return false;
      types->at(input->byte() % types->size()) =
          input->flag() ? wrong : static_cast<int32_t>(std::max<int64_t>(facts.n_types, 1));
      return true;
  }
}

}  // namespace

void run_encode(Input* input) {
  static const OpenSession sessions[] = {{"bert/head_dim_3_wide_three_types", "f32", false},
                                         {"bert/head_dim_16_mean_normalize", "bf16", false},
                                         {"bert/head_dim_17_max_normalize", "int8", false},
                                         {"encoder_decoder/t5_v1_1", "f32", false, 2}};
  static Reference references[std::size(sessions)];
  const size_t which = input->byte() % std::size(sessions);
  const OpenSession& session = sessions[which];
  const headlane_model_facts& facts = session.facts();
  const auto reference = [&] { return encode_reference(session); };
  references[which].check(reference, "encode");

  const int64_t n_seqs = input->between(0, kSessionSeqs + 1);
  Rows rows = any_rows(input, n_seqs, true, false, kSessionLen + 1);
  std::vector<int32_t> ids(rows.total()), types(rows.total());
  for (int32_t& id : ids) id = static_cast<int32_t>(input->between(0, facts.vocab_size - 1));
  const int64_t n_types = std::max<int64_t>(facts.n_types, 1);
  for (int32_t& type : types) type = static_cast<int32_t>(input->between(0, n_types - 1));
  std::vector<float> hidden(rows.total() * facts.d_model), pooled(n_seqs * facts.d_model);
  fill_untouched(&hidden);
  fill_untouched(&pooled);
  Maps maps;
  headlane_batch batch{.struct_size = sizeof batch,
                       .n_seqs = n_seqs,
                       .offsets = rows.offsets.data(),
                       .ids = ids.data(),
                       .type_ids = input->flag() ? types.data() : nullptr};
  headlane_outputs outputs{.struct_size = sizeof outputs};
  if (!input->one_in(4)) outputs.hidden = hidden.data();
  if (input->flag()) outputs.pooled = pooled.data();
  outputs.attention = any_maps(input, rows, rows, facts.n_layers, facts.n_heads, &maps);
  const bool broken = input->one_in(4) && break_ids(input, facts, &rows, &ids, &types, &batch);
  const headlane_status status = headlane_session_encode(session.get(), &batch, &outputs);
  expect(status, !broken, "encode");
  const auto untouched = [](float value) { return is_untouched(value); };
  for (const auto* out : {&hidden, &pooled}) {
    if (status != HEADLANE_OK && !std::all_of(out->begin(), out->end(), untouched)) {
      finding("encode", "wrote, then refused");
    }
  }
  if (status == HEADLANE_OK && outputs.hidden &&
      std::any_of(hidden.begin(), hidden.end(), untouched)) {
    finding("encode", "left a hidden state unwritten");
  }
  if (status != HEADLANE_OK) references[which].check(reference, "encode after an error");
}

namespace {

// Rows [seqs, tokens, columns], or what strides make of them.
template <typename OutRows>
Tensor<float> any_row_tensor(Input* input, const Rows& rows, int64_t columns, bool output,
                             OutRows* out) {
  Tensor<float> tensor = any_tensor<float>(input, rows, 1, columns, output);
  out->seq_stride = tensor.seq_stride;
  out->token_stride = tensor.token_stride;
  // 0 stands for tight rows, so it cannot repeat one.
  if (out->token_stride == 0 || out->seq_stride == 0 || input->one_in(4)) {
    tensor.token_stride = columns;
    tensor.seq_stride = rows.tensor_rows() * columns;
    const int64_t seqs = rows.ragged ? 1 : rows.n_seqs;
    tensor.data.assign(rows.n_seqs > 0 ? seqs * rows.tensor_rows() * columns : 0, 0.0f);
    out->seq_stride = out->token_stride = 0;
  }
  return tensor;
}

struct ForwardCall {
  Rows q_rows, kv_rows;
  Tensor<float> x, key, value, out;
  ScoreTensor<float> bias;
  ScoreTensor<uint8_t> mask;
  std::vector<int64_t> prefixes;
  Maps maps;
  headlane_forward_batch batch = HEADLANE_INIT(headlane_forward_batch);
};

std::vector<float> forward_reference(const OpenSession& session) {
  const headlane_model_facts& facts = session.facts();
  std::vector<float> x(10 * facts.d_model, 0.5f), key(10 * facts.kdim), value(10 * facts.vdim);
  for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<float>(i % 7) - 3;
  for (size_t i = 0; i < value.size(); ++i) value[i] = static_cast<float>(i % 5) - 2;
  std::vector<float> out(10 * facts.d_model);
  headlane_forward_batch batch = HEADLANE_INIT(headlane_forward_batch);
  batch.n_seqs = 2;
  batch.q_len = 5;
  batch.x.data = x.data();
  batch.out.data = out.data();
  if (session.cross()) {
    batch.kv_len = 5;
    batch.key.data = key.data();
    if (facts.n_decoder_layers == 0) batch.value.data = value.data();
  }
  is_ok(headlane_session_forward(session.get(), &batch), {}, "forward the reference");
  return out;
}

void set_rows(Input* input, const OpenSession& session, ForwardCall* call) {
  const int64_t n_seqs = input->between(0, kSessionSeqs + 1);
  const bool ragged = input->flag(), left = input->flag();
  call->q_rows = any_rows(input, n_seqs, ragged, left, kSessionLen + 1);
  call->kv_rows =
      session.cross() ? any_rows(input, n_seqs, ragged, left, kSessionLen + 1) : call->q_rows;
  headlane_forward_batch& batch = call->batch;
  batch.n_seqs = n_seqs;
  batch.q_offsets = call->q_rows.offsets_or_null();
  batch.q_len = call->q_rows.len;
  batch.q_lengths = call->q_rows.lengths_or_null();
  batch.left_padded = left;
  if (!session.cross()) return;
  batch.kv_offsets = call->kv_rows.offsets_or_null();
  batch.kv_len = call->kv_rows.len;
  batch.kv_lengths = call->kv_rows.lengths_or_null();
}

void set_tensors(Input* input, const OpenSession& session, Numbers* numbers, ForwardCall* call) {
  const headlane_model_facts& facts = session.facts();
  headlane_forward_batch& batch = call->batch;
  call->x = any_row_tensor(input, call->q_rows, facts.d_model, false, &batch.x);
  call->out = any_row_tensor(input, call->q_rows, facts.d_model, true, &batch.out);
  fill(&call->x.data, numbers);
  fill_untouched(&call->out.data);
  batch.x.data = call->x.data.data();
  batch.out.data = call->out.data.data();
  if (!session.cross()) return;
  call->key = any_row_tensor(input, call->kv_rows, facts.kdim, false, &batch.key);
  fill(&call->key.data, numbers);
  batch.key.data = call->key.data.data();
  if (facts.n_decoder_layers > 0 || (facts.kdim == facts.vdim && input->flag())) return;
  call->value = any_row_tensor(input, call->kv_rows, facts.vdim, false, &batch.value);
  fill(&call->value.data, numbers);
  batch.value.data = call->value.data.data();
}

void set_scores(Input* input, const OpenSession& session, Numbers* numbers, ForwardCall* call) {
  const headlane_model_facts& facts = session.facts();
  const bool of_decoder = facts.n_decoder_layers > 0;
  const int64_t n_layers = of_decoder ? facts.n_decoder_layers : facts.n_layers;
  const int64_t n_heads = of_decoder ? facts.n_decoder_heads : facts.n_heads;
  const Rows& keys = of_decoder ? call->q_rows : call->kv_rows;
  headlane_forward_batch& batch = call->batch;
  if (input->one_in(3)) {
    call->bias = any_scores<float>(input, call->q_rows, keys, n_heads, false);
    fill(&call->bias.data, numbers);
    batch.bias = call->bias.data.data();
    batch.bias_seq_stride = call->bias.seq_stride;
    batch.bias_head_stride = call->bias.head_stride;
    batch.bias_query_stride = call->bias.query_stride;
  }
  if (input->one_in(3)) {
    call->mask = any_scores<uint8_t>(input, call->q_rows, keys, n_heads, false);
    fill(&call->mask.data, numbers);
    batch.mask = call->mask.data.data();
    batch.mask_seq_stride = call->mask.seq_stride;
    batch.mask_head_stride = call->mask.head_stride;
    batch.mask_query_stride = call->mask.query_stride;
  }
  if (input->one_in(4)) {
    for (int64_t i = 0; i < batch.n_seqs; ++i) call->prefixes.push_back(any_length(input, 30));
    batch.prefix_lengths = call->prefixes.data();
  }
  batch.maps = any_maps(input, call->q_rows, keys, n_layers, n_heads, &call->maps);
}

bool break_forward(Input* input, const OpenSession& session, ForwardCall* call) {
  headlane_forward_batch& batch = call->batch;
  const bool has_rows = batch.n_seqs > 0 && call->q_rows.tensor_rows() > 0;
  switch (input->between(0, 7)) {
    case 0:
      batch.struct_size = input->one_of<size_t>({0, 7, 4097, SIZE_MAX});
      return true;
    case 1:
      batch.n_seqs = input->flag() ? wrong_count(input) : INT64_MAX;
      return true;
    case 2:
      call->q_rows.offsets[0] = input->one_of<int64_t>({1, -1, INT64_MAX, INT64_MIN});
      return call->q_rows.ragged;
    case 3:
      call->q_rows.offsets.back() = input->one_of<int64_t>({-1, INT64_MIN, INT64_MAX});
      return call->q_rows.ragged && batch.n_seqs > 0;
    case 4:
      batch.q_len = input->one_of<int64_t>({-1, INT64_MIN, INT64_MAX});
      return !call->q_rows.ragged;
    case 5:
      if (call->q_rows.lengths.empty() || batch.q_lengths == nullptr) return false;
      call->q_rows.lengths[0] = input->one_of<int64_t>({-1, INT64_MIN, INT64_MAX});
      return true;
    case 6:
      if (input->flag()) {
        batch.x.data = nullptr;
      } else {
        batch.out.data = nullptr;
      }
      return has_rows;
    default:
      if (session.cross()) return false;
      batch.kv_len = 3;
      return true;
  }
}

}  // namespace

void run_forward(Input* input) {
  static const OpenSession sessions[] = {{"layers/attention", "f32", false},
                                         {"layers/attention_cross_kdim_vdim", "bf16", true},
                                         {"layers/layer_post_norm_relu", "int8", false},
                                         {"layers/encoder_post_norm", "bf16", false, 2},
                                         {"layers/layer_pre_norm_gelu", "f32", true},
                                         {"layers/decoder_post_norm", "int8", true},
                                         {"layers/transformer_post_norm", "f32", true}};
  static Reference references[std::size(sessions)];
  const size_t which = input->byte() % std::size(sessions);
  const OpenSession& session = sessions[which];
  const auto reference = [&] { return forward_reference(session); };
  references[which].check(reference, "forward");

  Numbers numbers(input);
  ForwardCall call;
  set_rows(input, session, &call);
  set_tensors(input, session, &numbers, &call);
  set_scores(input, session, &numbers, &call);
  const bool broken = input->one_in(4) && break_forward(input, session, &call);
  const headlane_status status = headlane_session_forward(session.get(), &call.batch);
  expect(status, !broken, "forward");
  const auto untouched = [](float value) { return is_untouched(value); };
  if (status != HEADLANE_OK &&
      !std::all_of(call.out.data.begin(), call.out.data.end(), untouched)) {
    finding("forward", "wrote, then refused");
  }
  if (status != HEADLANE_OK || numbers.odd()) {
    references[which].check(reference, "forward after an error, or numbers that are none");
  }
}

}  // namespace headlane::fuzz

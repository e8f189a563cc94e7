// headlane_attention: options and batches of every kind, f32 and bf16.
#include "tests/fuzz/ragged.h"

namespace headlane::fuzz {
namespace {

struct Problem {
  headlane_attention_options options = HEADLANE_INIT(headlane_attention_options);
  headlane_rotary rotary = HEADLANE_INIT(headlane_rotary);
  headlane_relative_bias relative = HEADLANE_INIT(headlane_relative_bias);
  std::vector<float> table, slopes, sinks, additive;
  int64_t n_heads = 0, n_kv_heads = 0, head_dim = 0, v_dim = 0;
};

void set_positions(Input* input, Numbers* numbers, Problem* p) {
  if (input->one_in(4)) {
    p->rotary.dims = input->between(0, p->head_dim);
    p->rotary.interleaved = input->flag();
    p->rotary.max_positions = input->between(0, 600);
    p->rotary.scaling = static_cast<headlane_rotary_scaling>(input->between(0, 4));
    p->rotary.factor = input->one_of({0.0, 1.0, 4.0, 0.5, -1.0, 1e300});
    p->rotary.original_max_positions = input->between(0, 64);
    p->options.rotary = &p->rotary;
  }
  if (input->one_in(4)) {
    p->relative.n_buckets = input->between(0, 40);
    p->relative.max_distance = input->between(0, 300);
    p->relative.bidirectional = input->flag();
    p->relative.max_len = input->between(0, 600);
    p->table.resize(p->relative.n_buckets * p->n_heads);
    fill(&p->table, numbers);
    p->relative.table = p->table.data();
    p->options.relative_bias = &p->relative;
  }
  if (input->one_in(4)) {
    p->slopes.resize(p->n_heads);
    fill(&p->slopes, numbers);
    p->options.alibi_slopes = p->slopes.data();
  }
  if (input->one_in(4)) {
    p->sinks.resize(p->n_heads);
    fill(&p->sinks, numbers);
    p->options.sinks = p->sinks.data();
  }
}

void set_options(Input* input, Numbers* numbers, Problem* p) {
  headlane_attention_options& options = p->options;
  p->n_kv_heads = input->between(1, 3);
  p->n_heads = p->n_kv_heads * input->between(1, 3);
  p->head_dim = input->one_in(6) ? input->between(1, 256) : input->between(1, 34);
  p->v_dim = input->one_in(3) ? input->between(1, 70) : p->head_dim;
  options.n_heads = p->n_heads;
  options.n_kv_heads = p->n_kv_heads;
  options.head_dim = p->head_dim;
  options.v_dim = p->v_dim;
  options.score = input->one_of({HEADLANE_SCORE_SCALED_DOT, HEADLANE_SCORE_SCALED_DOT,
                                 HEADLANE_SCORE_DOT, HEADLANE_SCORE_ADDITIVE});
  options.scale = input->one_of({0.0f, 0.3f, 1.0f});
  options.softcap = input->one_of({0.0f, 0.0f, 5.0f});
  options.causal = static_cast<headlane_causal>(input->between(0, 2));
  options.window_left = input->one_in(3) ? input->between(0, 12) - 1 : 0;
  options.window_right = input->one_in(3) ? input->between(0, 12) - 1 : 0;
  options.n_threads = input->one_in(16) ? 2 : 1;
  options.isa = input->one_of<const char*>({nullptr, nullptr, nullptr, "ref", "avx2", "avx512"});
  options.precision = input->one_in(3) ? "bf16" : "f32";
  if (options.score == HEADLANE_SCORE_ADDITIVE) {
    p->additive.resize(p->n_heads * p->head_dim);
    fill(&p->additive, numbers);
    options.additive = p->additive.data();
  }
  set_positions(input, numbers, p);
}

// One option that is out of range; what remains of memory is as before, since create must refuse.
void break_options(Input* input, Problem* p) {
  headlane_attention_options& options = p->options;
  switch (input->between(0, 7)) {
    case 0:
      options.struct_size = input->one_of<size_t>({0, 7, 4097, SIZE_MAX});
      return;
    case 1:
      input->one_of({&options.n_heads, &options.n_kv_heads, &options.head_dim, &options.v_dim})[0] =
          wrong_count(input);
      return;
    case 2:
      options.head_dim = input->one_of<int64_t>({0, 257, INT64_MAX});
      return;
    case 3:
      options.window_left = input->one_of<int64_t>({-2, INT64_MIN});
      return;
    case 4: {
      const int score = input->one_of({4, -1, INT32_MAX});
      std::memcpy(&options.score, &score, sizeof score);
      return;
    }
    case 5:
      options.n_threads = input->one_of({-1, INT32_MIN, INT32_MAX});
      return;
    case 6:
      options.isa = "no such";
      return;
    default:
      options.scale = input->one_of({-1.0f, INFINITY, std::nanf("")});
  }
}

// The tensors of a batch of one element, and the call.
template <typename T>
struct Call {
  Rows q_rows, kv_rows;
  Tensor<T> q, k, v, o;
  ScoreTensor<float> bias, maps;
  ScoreTensor<uint8_t> mask;
  std::vector<int64_t> prefixes;
  headlane_attention_maps maps_out = HEADLANE_INIT(headlane_attention_maps);
  headlane_attention_batch batch = HEADLANE_INIT(headlane_attention_batch);
};

template <typename Heads = headlane_heads, typename T>
Heads heads_of(const Tensor<T>& tensor) {
  return {nullptr, tensor.seq_stride, tensor.token_stride, tensor.head_stride};
}

void set_data(Call<float>* call) {
  headlane_attention_batch& batch = call->batch;
  batch.q.data = call->q.data.data();
  batch.k.data = call->k.data.data();
  batch.v.data = call->v.data.data();
  batch.o.data = call->o.data.data();
}
void set_data(Call<uint16_t>* call) {
  headlane_attention_batch& batch = call->batch;
  batch.q_bf16 = call->q.data.data();
  batch.k_bf16 = call->k.data.data();
  batch.v_bf16 = call->v.data.data();
  batch.o_bf16 = call->o.data.data();
}

template <typename T>
void set_rows(Input* input, Call<T>* call) {
  constexpr int64_t kMost = 520;  // over two blocks of 240 keys, and two groups of queries
  const int64_t n_seqs = input->between(0, 4);
  const bool ragged = input->flag(), left = input->flag();
  call->q_rows = any_rows(input, n_seqs, ragged, left, kMost);
  call->kv_rows = input->flag() ? call->q_rows : any_rows(input, n_seqs, ragged, left, kMost);
  headlane_attention_batch& batch = call->batch;
  batch.n_seqs = n_seqs;
  batch.q_offsets = call->q_rows.offsets_or_null();
  batch.kv_offsets = call->kv_rows.offsets_or_null();
  batch.q_len = call->q_rows.len;
  batch.kv_len = call->kv_rows.len;
  batch.q_lengths = call->q_rows.lengths_or_null();
  batch.kv_lengths = call->kv_rows.lengths_or_null();
  batch.left_padded = left;
}

template <typename T>
void set_tensors(Input* input, const Problem& p, Numbers* numbers, Call<T>* call) {
  call->q = any_tensor<T>(input, call->q_rows, p.n_heads, p.head_dim, false);
  call->k = any_tensor<T>(input, call->kv_rows, p.n_kv_heads, p.head_dim, false);
  call->v = any_tensor<T>(input, call->kv_rows, p.n_kv_heads, p.v_dim, false);
  call->o = any_tensor<T>(input, call->q_rows, p.n_heads, p.v_dim, true);
  for (auto* tensor : {&call->q, &call->k, &call->v}) fill(&tensor->data, numbers);
  fill_untouched(&call->o.data);
  headlane_attention_batch& batch = call->batch;
  batch.q = heads_of(call->q);
  batch.k = heads_of(call->k);
  batch.v = heads_of(call->v);
  batch.o = heads_of<headlane_output_heads>(call->o);
  set_data(call);
}

template <typename T>
void set_scores(Input* input, const Problem& p, Numbers* numbers, Call<T>* call) {
  headlane_attention_batch& batch = call->batch;
  if (input->one_in(3)) {
    call->bias = any_scores<float>(input, call->q_rows, call->kv_rows, p.n_heads, false);
    fill(&call->bias.data, numbers);
    batch.bias = call->bias.data.data();
    batch.bias_seq_stride = call->bias.seq_stride;
    batch.bias_head_stride = call->bias.head_stride;
    batch.bias_query_stride = call->bias.query_stride;
  }
  if (input->one_in(3)) {
    call->mask = any_scores<uint8_t>(input, call->q_rows, call->kv_rows, p.n_heads, false);
    fill(&call->mask.data, numbers);
    batch.mask = call->mask.data.data();
    batch.mask_seq_stride = call->mask.seq_stride;
    batch.mask_head_stride = call->mask.head_stride;
    batch.mask_query_stride = call->mask.query_stride;
  }
  if (input->one_in(4)) {
    for (int64_t i = 0; i < batch.n_seqs; ++i) call->prefixes.push_back(any_length(input, 600));
    batch.prefix_lengths = call->prefixes.data();
  }
  if (input->one_in(4)) {
    call->maps = any_scores<float>(input, call->q_rows, call->kv_rows, p.n_heads, true);
    fill_untouched(&call->maps.data);
    // A pointer is needed, also to no element.
    if (call->maps.data.empty()) return;
    call->maps_out.data = call->maps.data.data();
    call->maps_out.seq_stride = call->maps.seq_stride;
    call->maps_out.head_stride = call->maps.head_stride;
    call->maps_out.query_stride = call->maps.query_stride;
    batch.maps = &call->maps_out;
  }
}

// One thing that no batch may have. False: this batch cannot be broken so.
template <typename T>
bool break_batch(Input* input, Call<T>* call) {
  headlane_attention_batch& batch = call->batch;
  std::vector<int64_t>& offsets = call->q_rows.offsets;
  switch (input->between(0, 8)) {
    case 0:
      batch.struct_size = input->one_of<size_t>({0, 7, 4097, SIZE_MAX});
      return true;
    case 1:
      batch.n_seqs = wrong_count(input);
      return true;
    case 2:
      offsets[0] = input->one_of<int64_t>({1, -1, INT64_MAX, INT64_MIN});
      return call->q_rows.ragged;
    case 3:
      offsets.back() = input->one_of<int64_t>({-1, INT64_MIN, INT64_MAX, (int64_t{1} << 31) + 1});
      return call->q_rows.ragged && batch.n_seqs > 0;
    case 4:
      (input->flag() ? batch.q_len : batch.kv_len) =
          input->one_of<int64_t>({-1, INT64_MIN, INT64_MAX, (int64_t{1} << 31) + 1});
      return !call->q_rows.ragged;
    case 5: {
      auto& lengths = input->flag() ? call->q_rows.lengths : call->kv_rows.lengths;
      if (lengths.empty() || !call->q_rows.says_lengths || !call->kv_rows.says_lengths)
        return false;
      lengths[input->byte() % lengths.size()] =
          input->one_of<int64_t>({-1, INT64_MIN, INT64_MAX, 521});
      return true;
    }
    case 6:
      batch.o.token_stride = input->one_of<int64_t>({0, -1, INT64_MIN, INT64_MAX});
      return batch.n_seqs > 0 && call->q_rows.tensor_rows() > 1;
    case 7:
      batch.q_offsets = nullptr;
      return call->q_rows.ragged;
    default:
      if (batch.maps == nullptr) return false;
      call->maps_out.first_head = input->one_of<int64_t>({-1, INT64_MAX, INT64_MIN, 10});
      return true;
  }
}

// Rows of no real query are as they were, or 0 where lengths are said.
template <typename T>
void check_output(const Problem& p, const Call<T>& call) {
  std::vector<bool> written(call.o.data.size());
  const Rows& rows = call.q_rows;
  for (int64_t seq = 0; seq < rows.n_seqs; ++seq) {
    const int64_t first = rows.ragged || !rows.says_lengths ? 0 : -rows.begin(seq);
    const int64_t last = rows.ragged || !rows.says_lengths ? rows.lengths[seq] : first + rows.len;
    for (int64_t t = first; t < last; ++t) {
      for (int64_t head = 0; head < p.n_heads; ++head) {
        const int64_t at = call.o.at(rows, seq, t, head);
        for (int64_t c = 0; c < p.v_dim; ++c) {
          const T& value = call.o.data[at + c];
          written[at + c] = true;
          const bool padding = t < 0 || t >= rows.lengths[seq];
          if (padding && value != 0) finding("attention", "padding of O is not 0");
          if (sizeof value == 4 && is_untouched(value))
            finding("attention", "an element of O was not written");
        }
      }
    }
  }
  for (size_t i = 0; i < written.size(); ++i) {
    if (!written[i] && !is_untouched(call.o.data[i]))
      finding("attention", "wrote between rows of O");
  }
}

template <typename T>
void run(Input* input, headlane_attention* attention, const Problem& p, Numbers* numbers) {
  Call<T> call;
  set_rows(input, &call);
  set_tensors(input, p, numbers, &call);
  set_scores(input, p, numbers, &call);
  const bool broken = input->one_in(4) && break_batch(input, &call);
  headlane_status status;
  if (broken) {
    status = headlane_attention_run(attention, &call.batch);
  } else {
    const PoisonedPadding<T> k(call.kv_rows, p.n_kv_heads, p.head_dim, &call.k);
    const PoisonedPadding<T> v(call.kv_rows, p.n_kv_heads, p.v_dim, &call.v);
    status = headlane_attention_run(attention, &call.batch);
  }
  expect(status, !broken, "attention_run");
  if (status == HEADLANE_OK) return check_output(p, call);
  const auto untouched = [](const T& value) { return is_untouched(value); };
  if (!std::all_of(call.o.data.begin(), call.o.data.end(), untouched)) {
    finding("attention", "wrote O, then refused");
  }
}

}  // namespace

void run_attention(Input* input) {
  Numbers numbers(input);
  Problem p;
  set_options(input, &numbers, &p);
  const bool broken = input->one_in(8);
  if (broken) break_options(input, &p);
  size_t bytes = 0;
  headlane_status status = headlane_attention_bytes(&p.options, &bytes);
  expect(status, !broken, "attention_bytes");
  if (status != HEADLANE_OK) return;
  const bool own = input->one_in(4);
  const Block block(own ? bytes : 0);
  if (own) {
    p.options.memory = block.data();
    p.options.memory_bytes = bytes;
  }
  headlane_attention* attention = nullptr;
  status = headlane_attention_create(&p.options, &attention);
  expect(status, true, "attention_create");
  if (status != HEADLANE_OK) return;
  for (int64_t n = input->between(1, 3); n > 0; --n) {
    if (std::string_view(p.options.precision) == "bf16") {
      run<uint16_t>(input, attention, p, &numbers);
    } else {
      run<float>(input, attention, p, &numbers);
    }
  }
  headlane_attention_destroy(attention);
}

}  // namespace headlane::fuzz

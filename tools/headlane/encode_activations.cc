// headlane encode --x: a model of layers on arrays of activations, with masks as PyTorch's modules
// take them.
#include <algorithm>
#include <cmath>

#include "tools/headlane/commands.h"
#include "tools/headlane/npy.h"

namespace tool {
namespace {

std::string text_of(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const int64_t size : shape) text += std::to_string(size) + ", ";
  if (!shape.empty()) text.resize(text.size() - 2);
  return text + "]";
}

// Rows of d columns: [n, d], or of a batch [batch, n, d] or, for models without batch_first, [n,
// batch, d].
struct Activations {
  Activations(const std::string& path, int64_t columns, bool batch_first) : array(read_npy(path)) {
    const auto& shape = array.shape;
    if (array.is_bool || shape.size() < 2 || shape.size() > 3 || shape.back() != columns) {
      throw std::runtime_error(path + ": is " + text_of(shape) + "; it must be float32, " +
                               (batch_first ? "[n, " : "[n, ") + std::to_string(columns) + "] or " +
                               (batch_first ? "[batch, n, " : "[n, batch, ") +
                               std::to_string(columns) + "]");
    }
    const bool is_batch = shape.size() == 3;
    batch = is_batch ? shape[batch_first ? 0 : 1] : 1;
    len = is_batch ? shape[batch_first ? 1 : 0] : shape[0];
    rows.data = array.values.data();
    rows.seq_stride = (batch_first ? len : 1) * columns;
    rows.token_stride = (batch_first || !is_batch ? 1 : batch) * columns;
  }
  NpyArray array;
  int64_t batch = 0, len = 0;
  headlane_rows rows{};
};

// attn_mask, key_padding_mask and causal become what the C API takes: 1 for keys that may be seen,
// and a bias.
class Masks {
 public:
  Masks(const EncodeOptions& options, int64_t batch, int64_t n_heads, int64_t q_len, int64_t kv_len)
      : batch_(batch), n_heads_(n_heads), q_len_(q_len), kv_len_(kv_len) {
    if (!options.attn_mask.empty()) add_attn_mask(options.attn_mask);
    if (!options.key_padding_mask.empty()) add_key_padding(options.key_padding_mask);
    if (options.causal) hide([](int64_t, int64_t, int64_t i, int64_t j) { return j > i; });
  }

  void describe(headlane_forward_batch* to) const {
    if (!seen_.empty()) {
      to->mask = seen_.data();
      to->mask_seq_stride = n_heads_ * q_len_ * kv_len_;
      to->mask_head_stride = q_len_ * kv_len_;
      to->mask_query_stride = kv_len_;
    }
    if (!bias_.values.empty()) {
      const bool each = bias_.shape.size() == 3;  // each head of each sequence has its own
      to->bias = bias_.values.data();
      to->bias_seq_stride = each ? n_heads_ * q_len_ * kv_len_ : 0;
      to->bias_head_stride = each ? q_len_ * kv_len_ : 0;
      to->bias_query_stride = kv_len_;
    }
  }

 private:
  template <typename Hidden>
  void hide(Hidden hidden) {
    seen_.resize(static_cast<size_t>(batch_ * n_heads_ * q_len_ * kv_len_), 1);
    for (size_t e = 0; e < seen_.size(); ++e) {
      const auto at = static_cast<int64_t>(e);
      const int64_t map = at / (q_len_ * kv_len_);
      if (hidden(map / n_heads_, map % n_heads_, at / kv_len_ % q_len_, at % kv_len_)) seen_[e] = 0;
    }
  }

  void add_attn_mask(const std::string& path) {
    NpyArray mask = read_npy(path);
    const std::vector<int64_t> one = {q_len_, kv_len_}, each = {batch_ * n_heads_, q_len_, kv_len_};
    if (mask.shape != one && mask.shape != each) {
      throw std::runtime_error(path + ": is " + text_of(mask.shape) + "; it must be " +
                               text_of(one) + " or " + text_of(each));
    }
    if (!mask.is_bool) {
      bias_ = std::move(mask);
      return;
    }
    const bool shared = mask.shape.size() == 2;
    hide([&](int64_t seq, int64_t head, int64_t i, int64_t j) {
      const int64_t map = shared ? 0 : seq * n_heads_ + head;
      return mask.truth[static_cast<size_t>((map * q_len_ + i) * kv_len_ + j)] != 0;
    });
  }

  void add_key_padding(const std::string& path) {
    const NpyArray padding = read_npy(path);
    const std::vector<int64_t> expected = {batch_, kv_len_};
    const bool one = batch_ == 1 && padding.shape == std::vector<int64_t>{kv_len_};
    if (!padding.is_bool || (padding.shape != expected && !one)) {
      throw std::runtime_error(path + ": is " + text_of(padding.shape) + "; it must be boolean, " +
                               text_of(expected));
    }
    hide([&](int64_t seq, int64_t, int64_t, int64_t j) {
      return padding.truth[static_cast<size_t>(seq * kv_len_ + j)] != 0;
    });
  }

  int64_t batch_, n_heads_, q_len_, kv_len_;
  std::vector<uint8_t> seen_;  // [batch, n_heads, q_len, kv_len], or empty: all
  NpyArray bias_;
};

Session make_session(headlane_model* model, const RunOptions& run, const Activations& x,
                     const Activations* key) {
  headlane_session_options options = HEADLANE_SESSION_OPTIONS_INIT;
  options.max_tokens = std::max<int64_t>(x.batch * x.len, 1);
  options.max_seqs = std::max<int64_t>(x.batch, 1);
  options.n_threads = run.n_threads;
  if (key) {
    options.cross_attention = 1;
    options.max_kv_tokens = std::max<int64_t>(key->batch * key->len, 1);
  }
  headlane_session* session = nullptr;
  check(headlane_session_create(model, &options, &session));
  return Session(session);
}

}  // namespace

void encode_activations(const EncodeOptions& options) {
  const Model model = open_model(options.run.model_path, options.run.isa, options.run.gemm);
  const headlane_model_facts facts = facts_of(model.get());
  if (facts.vocab_size > 0) {
    throw std::runtime_error(options.run.model_path + ": takes token ids (--ids), not activations");
  }
  const bool batch_first = facts.batch_first != 0;
  const Activations x(options.x, facts.d_model, batch_first);
  std::unique_ptr<Activations> key, value;
  if (!options.key.empty())
    key = std::make_unique<Activations>(options.key, facts.kdim, batch_first);
  if (!options.value.empty()) {
    value = std::make_unique<Activations>(options.value, facts.vdim, batch_first);
  }
  for (const Activations* other : {key.get(), value.get()}) {
    if (other == nullptr || (other->batch == x.batch && other->len == key->len)) continue;
    throw std::runtime_error((other == key.get() ? options.key : options.value) +
                             ": its batch or length does not go with the others'");
  }
  const int64_t kv_len = key ? key->len : x.len;
  const Masks masks(options, x.batch, facts.n_heads, x.len, kv_len);
  std::vector<float> out(x.array.values.size());
  headlane_forward_batch batch = HEADLANE_FORWARD_BATCH_INIT;
  batch.n_seqs = x.batch;
  batch.q_len = x.len;
  batch.x = x.rows;
  batch.out = x.rows;
  batch.out.data = out.data();
  if (key) {
    batch.kv_len = kv_len;
    batch.key = key->rows;
    batch.value = value ? value->rows : headlane_rows{};
  }
  masks.describe(&batch);
  const Session session = make_session(model.get(), options.run, x, key.get());
  check(headlane_forward(session.get(), &batch));
  write_npy(options.output, x.array.shape, out.data());
}

}  // namespace tool

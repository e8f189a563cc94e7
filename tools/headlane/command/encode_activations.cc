// headlane encode --x: a model of layers on arrays of activations, with masks as PyTorch's modules
// take them.
#include <algorithm>
#include <cmath>

#include "tools/headlane/command/encode.h"
#include "tools/headlane/output/npy.h"

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
      throw std::runtime_error(path + ": is " + text_of(shape) + "; it must be float32, " + "[n, " +
                               std::to_string(columns) + "] or " +
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

NpyArray read_key_padding(const std::string& path, int64_t batch, int64_t kv_len) {
  NpyArray padding = read_npy(path);
  const std::vector<int64_t> expected = {batch, kv_len};
  const bool one = batch == 1 && padding.shape == std::vector<int64_t>{kv_len};
  if (padding.is_bool && (padding.shape == expected || one)) return padding;
  throw std::runtime_error(path + ": is " + text_of(padding.shape) + "; it must be boolean, " +
                           text_of(expected));
}

// How many rows of each sequence of a decoder's keys are no padding, which must be at their ends.
std::vector<int64_t> key_lengths(const std::string& path, int64_t batch, int64_t kv_len) {
  const NpyArray padding = read_key_padding(path, batch, kv_len);
  std::vector<int64_t> lengths;
  for (int64_t seq = 0; seq < batch; ++seq) {
    const auto* hidden = padding.truth.data() + seq * kv_len;
    const auto* end = std::find_if(hidden, hidden + kv_len, [](auto h) { return h != 0; });
    lengths.push_back(end - hidden);
    if (std::all_of(end, hidden + kv_len, [](auto h) { return h != 0; })) continue;
    throw std::runtime_error(path + ": sequence " + std::to_string(seq) +
                             " has a key behind one that is padding; a decoder's keys are padded "
                             "at their ends");
  }
  return lengths;
}

// attn_mask, key_padding_mask and causal become what the C API takes: 1 for keys that may be seen,
// and a bias. Memory is taken for the sequences, heads and queries that differ, not for all. Of a
// decoder, all are of x's attention to itself.
class Masks {
 public:
  Masks(const EncodeOptions& options, bool of_decoder, int64_t batch, int64_t n_heads,
        int64_t q_len, int64_t kv_len)
      : batch_(batch), n_heads_(n_heads), q_len_(q_len), kv_len_(kv_len) {
    NpyArray attn, padding;
    if (!options.attn_mask.empty()) attn = read_attn_mask(options.attn_mask);
    const std::string& padding_path =
        of_decoder ? options.tgt_key_padding_mask : options.key_padding_mask;
    if (!padding_path.empty()) padding = read_key_padding(padding_path, batch, kv_len);
    const bool each = attn.shape.size() == 3;
    const bool hides = !attn.truth.empty();
    if (!hides && padding.truth.empty() && !options.causal) {
      bias_ = std::move(attn);
      return;
    }
    n_seqs_ = each || !padding.truth.empty() ? batch : 1;
    n_maps_ = hides && each ? n_heads : 1;
    n_queries_ = hides || options.causal ? q_len : 1;
    seen_.resize(static_cast<size_t>(n_seqs_ * n_maps_ * n_queries_ * kv_len));
    for (size_t e = 0; e < seen_.size(); ++e) {
      const auto at = static_cast<int64_t>(e);
      const int64_t j = at % kv_len, i = at / kv_len % n_queries_;
      const int64_t map = at / (kv_len * n_queries_), seq = map / n_maps_;
      const int64_t of_attn = (each ? map * q_len + i : i) * kv_len + j;
      const bool hidden =
          (hides && attn.truth[static_cast<size_t>(of_attn)]) ||
          (!padding.truth.empty() && padding.truth[static_cast<size_t>(seq * kv_len + j)]) ||
          (options.causal && j > i);
      seen_[e] = !hidden;
    }
    if (!hides) bias_ = std::move(attn);
  }

  void describe(headlane_forward_batch* to) const {
    if (!seen_.empty()) {
      const int64_t map = n_queries_ * kv_len_;
      to->mask = seen_.data();
      to->mask_seq_stride = n_seqs_ > 1 ? n_maps_ * map : 0;
      to->mask_head_stride = n_maps_ > 1 ? map : 0;
      to->mask_query_stride = n_queries_ > 1 ? kv_len_ : 0;
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
  NpyArray read_attn_mask(const std::string& path) const {
    NpyArray mask = read_npy(path);
    const std::vector<int64_t> one = {q_len_, kv_len_}, each = {batch_ * n_heads_, q_len_, kv_len_};
    if (mask.shape == one || mask.shape == each) return mask;
    throw std::runtime_error(path + ": is " + text_of(mask.shape) + "; it must be " + text_of(one) +
                             " or " + text_of(each));
  }

  int64_t batch_, n_heads_, q_len_, kv_len_;
  int64_t n_seqs_ = 1, n_maps_ = 1, n_queries_ = 1;  // that have masks of their own
  std::vector<uint8_t> seen_;  // [n_seqs_, n_maps_, n_queries_, kv_len], or empty: all
  NpyArray bias_;
};

Session make_session(const Model& model, const RunOptions& run, const Activations& x,
                     const Activations* key) {
  headlane::SessionOptions options;
  options.max_tokens = std::max<int64_t>(x.batch * x.len, 1);
  options.max_seqs = std::max<int64_t>(x.batch, 1);
  options.n_threads = run.n_threads;
  if (key) {
    options.cross_attention = 1;
    options.max_kv_tokens = std::max<int64_t>(key->batch * key->len, 1);
  }
  return Session(model, options);
}

void check_decoder_options(const EncodeOptions& options, bool of_decoder) {
  const std::string& path = options.run.model_path;
  if (!of_decoder) {
    if (options.tgt_key_padding_mask.empty()) return;
    throw std::runtime_error(
        path + ": the model has no decoder, so --tgt-key-padding-mask does not apply");
  }
  if (options.key.empty())
    throw std::runtime_error(path + ": the model is a decoder, so --key is needed");
  if (options.value.empty()) return;
  throw std::runtime_error(path +
                           ": the model is a decoder, which makes keys and values from --key; "
                           "leave out --value");
}

}  // namespace

void encode_activations(const EncodeOptions& options) {
  const Model model = open_model(options.run);
  const headlane::ModelFacts facts = model.facts();
  if (facts.vocab_size > 0) {
    throw std::runtime_error(options.run.model_path +
                             ": the model takes token ids; use --ids instead of --x");
  }
  const bool batch_first = facts.batch_first != 0, of_decoder = facts.n_decoder_layers > 0;
  check_decoder_options(options, of_decoder);
  if (options.key.empty() && (facts.kdim != facts.d_model || facts.vdim != facts.d_model)) {
    throw std::runtime_error(options.run.model_path +
                             ": the model's keys and values have other columns than x; give --key" +
                             (facts.vdim != facts.kdim ? " and --value" : ""));
  }
  const Activations x(options.x, facts.d_model, batch_first);
  if (x.array.values.empty()) return write_npy(options.output, x.array.shape, nullptr);
  std::unique_ptr<Activations> key, value;
  if (!options.key.empty())
    key = std::make_unique<Activations>(options.key, facts.kdim, batch_first);
  if (!options.value.empty()) {
    value = std::make_unique<Activations>(options.value, facts.vdim, batch_first);
  }
  for (const Activations* other : {key.get(), value.get()}) {
    if (other == nullptr || (other->batch == x.batch && other->len == key->len)) continue;
    throw std::runtime_error(
        (other == key.get() ? options.key : options.value) +
        ": its batch size or its length differs from that of the other inputs");
  }
  const int64_t kv_len = key ? key->len : x.len;
  const Masks masks(options, of_decoder, x.batch,
                    of_decoder ? facts.n_decoder_heads : facts.n_heads, x.len,
                    of_decoder ? x.len : kv_len);
  std::vector<int64_t> lengths;
  if (of_decoder && !options.key_padding_mask.empty()) {
    lengths = key_lengths(options.key_padding_mask, key->batch, key->len);
  }
  std::vector<float> out(x.array.values.size());
  headlane::ForwardBatch batch;
  batch.n_seqs = x.batch;
  batch.q_len = x.len;
  batch.x = x.rows;
  batch.out = {out.data(), x.rows.seq_stride, x.rows.token_stride};
  if (key) {
    batch.kv_len = kv_len;
    batch.key = key->rows;
    batch.value = value ? value->rows : headlane_rows{};
    if (!lengths.empty()) batch.kv_lengths = lengths.data();
  }
  masks.describe(&batch);
  make_session(model, options.run, x, key.get()).forward(batch);
  write_npy(options.output, x.array.shape, out.data());
}

}  // namespace tool

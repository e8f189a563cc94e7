// Batches for the C API's calls, made from an input's bytes: sequences in rows, padded or ragged,
// and tensors, biases and masks over them with strides of every kind. All of it is allocated to the
// last element that the contract lets a call touch, so that AddressSanitizer sees one more.
#pragma once

#include <sanitizer/asan_interface.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <vector>

#include "tests/fuzz/fuzz.h"

namespace headlane::fuzz {

// The rows of one side of a batch.
struct Rows {
  int64_t n_seqs = 0;
  bool ragged = false, left = false;
  int64_t len = 0;               // padded
  std::vector<int64_t> lengths;  // real rows of each sequence
  std::vector<int64_t> offsets;  // ragged
  bool says_lengths = false;     // padded

  int64_t begin(int64_t seq) const {  // in the sequence's tensor rows
    if (ragged) return offsets[seq];
    return left ? len - lengths[seq] : 0;
  }
  int64_t score_begin(int64_t seq) const { return ragged ? 0 : begin(seq); }
  int64_t tensor_seq(int64_t seq) const { return ragged ? 0 : seq; }
  int64_t tensor_rows() const { return ragged ? offsets[n_seqs] : len; }
  int64_t longest() const {
    return lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
  }
  int64_t total() const {
    int64_t sum = 0;
    for (const int64_t length : lengths) sum += length;
    return sum;
  }
  const int64_t* offsets_or_null() const { return ragged ? offsets.data() : nullptr; }
  const int64_t* lengths_or_null() const { return says_lengths ? lengths.data() : nullptr; }
};

inline int64_t any_length(Input* input, int64_t most) {
  return std::min(most, input->one_in(8) ? input->between(0, most) : input->between(0, 9));
}

inline Rows any_rows(Input* input, int64_t n_seqs, bool ragged, bool left, int64_t most) {
  Rows rows;
  rows.n_seqs = n_seqs;
  rows.ragged = ragged;
  rows.left = left;
  rows.len = ragged ? 0 : any_length(input, most);
  rows.says_lengths = !ragged && input->flag();
  rows.offsets.push_back(0);
  for (int64_t seq = 0; seq < n_seqs; ++seq) {
    int64_t length = rows.len;
    if (ragged) length = any_length(input, most);
    if (rows.says_lengths) length = input->between(0, rows.len);
    rows.lengths.push_back(length);
    rows.offsets.push_back(rows.offsets.back() + length);
  }
  return rows;
}

// Numbers to fill with: mostly small, sometimes some that are none, or huge.
class Numbers {
 public:
  explicit Numbers(Input* input) : random_(input->number<uint32_t>()), odd_(input->one_in(4)) {}
  float next() {
    if (odd_ && random_.one_in(16)) {
      constexpr float kMost = std::numeric_limits<float>::max();
      const float odd[] = {std::nanf(""), INFINITY, -INFINITY, kMost, -kMost, 1e-42f, 0};
      return odd[random_.below(std::size(odd))];
    }
    return static_cast<float>(random_.below(4001)) / 1000 - 2;
  }
  bool odd() const { return odd_; }
  Random& random() { return random_; }

 private:
  Random random_;
  bool odd_;
};

inline void set_number(float value, float* to) { *to = value; }
inline void set_number(float value, uint16_t* to) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  *to = static_cast<uint16_t>(bits >> 16);
}
inline void set_number(float value, uint8_t* to) { *to = static_cast<uint8_t>(value > -1); }

// Strides that a call does not look at: no value may matter.
inline int64_t unused_stride(Input* input) {
  return input->one_of<int64_t>({0, -1, 7, INT64_MAX, INT64_MIN});
}

// Element [seq, token, head, c] of `dim` columns.
template <typename T>
struct Tensor {
  int64_t seq_stride = 0, token_stride = 0, head_stride = 0;
  std::vector<T> data;

  int64_t at(const Rows& rows, int64_t seq, int64_t token, int64_t head) const {
    const int64_t of_seq = rows.ragged ? 0 : seq * seq_stride;
    return of_seq + (rows.begin(seq) + token) * token_stride + head * head_stride;
  }
};

// An input's strides may repeat what they like, an output's not. `dim` columns of `heads`.
template <typename T>
Tensor<T> any_tensor(Input* input, const Rows& rows, int64_t heads, int64_t dim, bool output) {
  Tensor<T> tensor;
  const int64_t tokens = rows.tensor_rows();
  const bool gaps = input->one_in(3);
  const int64_t gap[] = {gaps ? input->between(0, 5) : 0, gaps ? input->between(0, 40) : 0};
  if (input->flag()) {  // [seqs, tokens, heads, dim]
    tensor.head_stride = dim + gap[0];
    tensor.token_stride = heads * tensor.head_stride + gap[1];
    tensor.seq_stride = tokens * tensor.token_stride;
  } else {  // [seqs, heads, tokens, dim]
    tensor.token_stride = dim + gap[0];
    tensor.head_stride = tokens * tensor.token_stride + gap[1];
    tensor.seq_stride = heads * tensor.head_stride;
  }
  if (!output && input->one_in(6)) {
    input->one_of({&tensor.seq_stride, &tensor.token_stride, &tensor.head_stride})[0] =
        input->between(0, 3);
  }
  int64_t size = 0;
  const int64_t seqs = rows.ragged ? std::min<int64_t>(rows.n_seqs, 1) : rows.n_seqs;
  if (seqs > 0 && tokens > 0) {
    size = (seqs - 1) * tensor.seq_stride + (tokens - 1) * tensor.token_stride +
           (heads - 1) * tensor.head_stride + dim;
  }
  tensor.data.resize(size);
  if (rows.ragged) tensor.seq_stride = unused_stride(input);
  return tensor;
}

// Element [seq, head, i, j] of a bias, mask or map.
template <typename T>
struct ScoreTensor {
  int64_t seq_stride = 0, head_stride = 0, query_stride = 0;
  std::vector<T> data;
};

// To the last element that a real query and key have. i and j are added to what begin says.
template <typename T>
ScoreTensor<T> any_scores(Input* input, const Rows& q, const Rows& kv, int64_t heads, bool output) {
  ScoreTensor<T> scores;
  const int64_t rows = std::max(q.len, q.longest()), cols = std::max(kv.len, kv.longest());
  scores.query_stride = cols + (input->one_in(3) ? input->between(0, 9) : 0);
  scores.head_stride = rows * scores.query_stride;
  scores.seq_stride = heads * scores.head_stride;
  if (!output) {
    if (input->one_in(3)) scores.query_stride = 0;
    if (input->one_in(2)) scores.head_stride = 0;
    if (input->one_in(2)) scores.seq_stride = 0;
  }
  int64_t size = 0;
  for (int64_t seq = 0; seq < q.n_seqs; ++seq) {
    if (q.lengths[seq] == 0 || kv.lengths[seq] == 0) continue;
    const int64_t i = q.score_begin(seq) + q.lengths[seq] - 1;
    const int64_t j = kv.score_begin(seq) + kv.lengths[seq];
    size = std::max(size, seq * scores.seq_stride + (heads - 1) * scores.head_stride +
                              i * scores.query_stride + j);
  }
  scores.data.resize(size);
  return scores;
}

template <typename T>
void fill(std::vector<T>* data, Numbers* numbers) {
  for (T& value : *data) set_number(numbers->next(), &value);
}

// The bytes that outputs have before a call, told from any number that it writes by who looks.
template <typename T>
void fill_untouched(std::vector<T>* data) {
  if (!data->empty()) std::memset(data->data(), 0xA5, data->size() * sizeof(T));
}
template <typename T>
bool is_untouched(const T& value) {
  const unsigned char* bytes = reinterpret_cast<const unsigned char*>(&value);
  return std::all_of(bytes, bytes + sizeof value, [](unsigned char b) { return b == 0xA5; });
}

// Rows of padding that a call promises not to read are poison while this lives.
template <typename T>
class PoisonedPadding {
 public:
  PoisonedPadding(const Rows& rows, int64_t heads, int64_t dim, Tensor<T>* tensor)
      : data_(tensor->data) {
    const bool repeats = tensor->token_stride < dim || tensor->head_stride < dim ||
                         (rows.n_seqs > 1 && tensor->seq_stride < dim);
    if (rows.ragged || !rows.says_lengths || repeats) return;
    for (int64_t seq = 0; seq < rows.n_seqs; ++seq) {
      for (int64_t token = 0; token < rows.len; ++token) {
        const int64_t real = token - rows.begin(seq);
        if (real >= 0 && real < rows.lengths[seq]) continue;
        for (int64_t head = 0; head < heads; ++head) {
          ASAN_POISON_MEMORY_REGION(data_.data() + tensor->at(rows, seq, real, head),
                                    static_cast<size_t>(dim) * sizeof(T));
        }
      }
    }
  }
  PoisonedPadding(const PoisonedPadding&) = delete;
  PoisonedPadding& operator=(const PoisonedPadding&) = delete;
  ~PoisonedPadding() { ASAN_UNPOISON_MEMORY_REGION(data_.data(), data_.size() * sizeof(T)); }

 private:
  std::vector<T>& data_;
};

// A caller's own block for a session, to the byte.
class Block {
 public:
  explicit Block(size_t bytes) : data_(::operator new (bytes, std::align_val_t{64})) {}
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() { ::operator delete (data_, std::align_val_t{64}); }
  void* data() const { return data_; }

 private:
  void* data_;
};

// Checks a call's status: an input that breaks the contract on purpose is refused.
inline void expect(headlane_status status, bool may_succeed, const char* call) {
  const bool ok =
      is_ok(status, {HEADLANE_INVALID_ARGUMENT, HEADLANE_UNSUPPORTED, HEADLANE_TOO_LARGE}, call);
  if (ok && !may_succeed) finding(call, "accepted what breaks its contract");
}

// A number that is wrong wherever lengths and counts are meant.
inline int64_t wrong_count(Input* input) {
  return input->one_of<int64_t>({-1, INT64_MIN, INT64_MIN + 1, int64_t{-1} << 31});
}

// One call or a few, of each kind.
void run_attention(Input* input);
void run_encode(Input* input);
void run_forward(Input* input);
void run_generate(Input* input);
void run_step(Input* input);

}  // namespace headlane::fuzz

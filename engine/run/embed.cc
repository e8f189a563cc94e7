#include "engine/run/embed.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <vector>

#include "engine/base/error.h"

namespace headlane {
namespace {

using ll = long long;

// The ids of all texts. Each thread has a list of its own, and takes some texts at a time, so that
// neither a long text nor a slow thread keeps the others waiting.
class TokenizedTexts {
 public:
  TokenizedTexts(Session* session, const TextArray& texts, const TextArray* second,
                 const TextTokens& tokens)
      : texts_(texts), second_(second), tokens_(tokens), team_(session->team()) {
    places_.resize(static_cast<size_t>(texts.n_texts));
    const int64_t n_bytes = texts.n_used_bytes() + (second ? second->n_used_bytes() : 0);
    // all-MiniLM-L6-v2's WordPiece takes 32 ns for each byte of English and 260 ns for an empty
    // text (measured on an AMD EPYC).
    constexpr double kSecondsPerByte = 32e-9, kSecondsPerText = 260e-9;
    const int n_threads = team_.width(static_cast<double>(n_bytes) * kSecondsPerByte +
                                      static_cast<double>(texts.n_texts) * kSecondsPerText);
    workers_.resize(static_cast<size_t>(n_threads));
    team_.run(1, n_threads, [this](int, int thread, int) { work(thread); });
    for (const Worker& worker : workers_) {
      if (worker.error) std::rethrow_exception(worker.error);
    }
  }

  int64_t length(int64_t text) const { return places_[static_cast<size_t>(text)].length; }
  const int32_t* ids(int64_t text) const {
    const Place& place = places_[static_cast<size_t>(text)];
    return workers_[place.worker].ids.data() + place.begin;
  }
  bool is_of_pairs() const { return second_ != nullptr; }
  // These belong to a pair's ids.
  const int32_t* types(int64_t text) const {
    const Place& place = places_[static_cast<size_t>(text)];
    return workers_[place.worker].types.data() + place.begin;
  }

 private:
  // Each has a cache line of its own, since its list grows all the time.
  struct alignas(64) Worker {
    std::vector<int32_t> ids;
    std::vector<int32_t> types;  // of pairs, as many
    std::exception_ptr error;
  };
  struct Place {
    uint32_t worker = 0;
    int32_t length = 0;
    int64_t begin = 0;  // in the worker's ids
  };

  // A phase of the team, which must not throw.
  void work(int thread) noexcept {
    Worker& worker = workers_[static_cast<size_t>(thread)];
    try {
      constexpr int64_t kTextsAtOnce = 16;
      while (!failed_.load(std::memory_order_relaxed)) {
        const int64_t begin = next_.fetch_add(kTextsAtOnce, std::memory_order_relaxed);
        const int64_t end = std::min(begin + kTextsAtOnce, texts_.n_texts);
        if (begin >= end) return;
        for (int64_t text = begin; text < end; ++text) {
          if (team_.may_stop()) return;
          add(static_cast<uint32_t>(thread), text, &worker);
        }
      }
    } catch (...) {
      worker.error = std::current_exception();
      failed_.store(true, std::memory_order_relaxed);
    }
  }

  void add(uint32_t thread, int64_t text, Worker* worker) {
    const auto begin = static_cast<int64_t>(worker->ids.size());
    if (second_) {
      tokens_.append_pair(texts_.text(text), second_->text(text), &worker->ids, &worker->types);
    } else {
      tokens_.append(texts_.text(text), &worker->ids);
    }
    const auto length = static_cast<int32_t>(static_cast<int64_t>(worker->ids.size()) - begin);
    places_[static_cast<size_t>(text)] = {thread, length, begin};
  }

  const TextArray& texts_;
  const TextArray* second_;
  const TextTokens& tokens_;
  Team& team_;
  std::vector<Place> places_;  // [n_texts]
  std::vector<Worker> workers_;
  std::atomic<int64_t> next_{0};
  std::atomic<bool> failed_{false};
};

// The texts by length, the longest first, so that the batches are full and the largest one is the
// first.
std::vector<int64_t> order_of(const TokenizedTexts& tokenized, int64_t n_texts) {
  std::vector<int64_t> order(static_cast<size_t>(n_texts));
  for (int64_t i = 0; i < n_texts; ++i) order[static_cast<size_t>(i)] = i;
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    const int64_t length_a = tokenized.length(a), length_b = tokenized.length(b);
    return length_a != length_b ? length_a > length_b : a < b;
  });
  return order;
}

void check_lengths(const TokenizedTexts& tokenized, int64_t n_texts, const Limits& limits) {
  const int64_t most = std::min(limits.max_len, limits.max_tokens);
  for (int64_t i = 0; i < n_texts; ++i) {
    if (tokenized.length(i) <= most) continue;
    fail(Status::kTooLarge,
         "text %lld has %lld tokens, a sequence of the session at most %lld; create the session "
         "with a larger max_len and max_tokens, or cut texts by max_len of the tokenize options",
         ll{i}, ll{tokenized.length(i)}, ll{most});
  }
}

// Runs of texts of an order that fit into a batch, one after the other.
class Batches {
 public:
  Batches(Session* session, const TokenizedTexts& tokenized, const std::vector<int64_t>& order)
      : session_(session),
        tokenized_(tokenized),
        order_(order),
        d_(session->model().config().vector_columns()) {
    // As much as the largest batch needs, before anything is written.
    int64_t most_tokens = 0, most_texts = 0;
    for (size_t first = 0, last = 0; first < order_.size(); first = last) {
      int64_t n_tokens = 0;
      last = end_of(first, &n_tokens);
      most_tokens = std::max(most_tokens, n_tokens);
      most_texts = std::max(most_texts, static_cast<int64_t>(last - first));
    }
    ids_.reserve(static_cast<size_t>(most_tokens));
    if (tokenized.is_of_pairs()) types_.reserve(ids_.capacity());
    offsets_.reserve(static_cast<size_t>(most_texts) + 1);
    pooled_.resize(static_cast<size_t>(most_texts * d_));
  }

  void run(const EmbedTarget& vectors, const EmbedListener& listener) {
    EmbedProgress progress;
    for (size_t first = 0, last = 0; first < order_.size(); first = last) {
      int64_t n_tokens = 0;
      last = end_of(first, &n_tokens);
      run_batch(first, last, vectors);
      progress.n_texts += static_cast<int64_t>(last - first);
      progress.n_tokens += n_tokens;
      if (listener.go_on && !listener.go_on(listener.user, progress) && last < order_.size()) {
        fail(Status::kCancelled, "the call was ended by on_progress after %lld of %zu texts",
             ll{progress.n_texts}, order_.size());
      }
    }
  }

 private:
  // Behind the last text of the batch that begins with `first`.
  size_t end_of(size_t first, int64_t* n_tokens) const {
    const Limits& limits = session_->limits();
    const size_t end = std::min(order_.size(), first + static_cast<size_t>(limits.max_seqs));
    size_t last = first;
    for (; last < end; ++last) {
      const int64_t length = tokenized_.length(order_[last]);
      if (*n_tokens + length > limits.max_tokens) break;
      *n_tokens += length;
    }
    return last;
  }

  void run_batch(size_t first, size_t last, const EmbedTarget& vectors) {
    ids_.clear();
    types_.clear();
    offsets_.assign(1, 0);
    for (size_t i = first; i < last; ++i) {
      const int32_t* ids = tokenized_.ids(order_[i]);
      ids_.insert(ids_.end(), ids, ids + tokenized_.length(order_[i]));
      if (tokenized_.is_of_pairs()) {
        const int32_t* types = tokenized_.types(order_[i]);
        types_.insert(types_.end(), types, types + tokenized_.length(order_[i]));
      }
      offsets_.push_back(static_cast<int64_t>(ids_.size()));
    }
    session_->encode({static_cast<int64_t>(last - first), offsets_.data(), ids_.data(),
                      tokenized_.is_of_pairs() ? types_.data() : nullptr},
                     nullptr, pooled_.data(), nullptr);
    const float* row = pooled_.data();
    for (size_t i = first; i < last; ++i, row += d_) {
      std::copy_n(row, d_, vectors.data + order_[i] * vectors.stride);
    }
  }

  Session* session_;
  const TokenizedTexts& tokenized_;
  const std::vector<int64_t>& order_;
  int64_t d_;                     // columns of a vector
  std::vector<int32_t> ids_;      // of a batch
  std::vector<int32_t> types_;    // likewise, of pairs
  std::vector<int64_t> offsets_;  // likewise
  std::vector<float> pooled_;     // likewise
};

}  // namespace

void check_texts(const TextArray& texts, const char* name) {
  if (texts.n_texts < 0) {
    fail(Status::kInvalidArgument, "%s.n_texts is %lld; it must be 0 or more", name,
         ll{texts.n_texts});
  }
  if (texts.n_bytes < 0) {
    fail(Status::kInvalidArgument, "%s.data_bytes is %lld; it must be 0 or more", name,
         ll{texts.n_bytes});
  }
  if (texts.n_texts == 0) return;
  if ((texts.offsets_32 == nullptr) == (texts.offsets_64 == nullptr)) {
    fail(
        Status::kInvalidArgument,
        "%s.offsets_32 and %s.offsets_64 are both %s; set one of the two, and leave the other null",
        name, name, texts.offsets_32 ? "set" : "null");
  }
  const char* offsets = texts.offsets_32 ? "offsets_32" : "offsets_64";
  if (texts.offset(0) < 0) {
    fail(Status::kInvalidArgument, "%s.%s[0] is %lld; it must be 0 or more", name, offsets,
         ll{texts.offset(0)});
  }
  for (int64_t i = 0; i < texts.n_texts; ++i) {
    if (texts.offset(i + 1) >= texts.offset(i)) continue;
    fail(Status::kInvalidArgument, "%s.%s[%lld] is %lld, less than the one before it, %lld", name,
         offsets, ll{i + 1}, ll{texts.offset(i + 1)}, ll{texts.offset(i)});
  }
  const int64_t end = texts.offset(texts.n_texts);
  if (end > texts.n_bytes) {
    fail(Status::kInvalidArgument, "%s.%s[%lld] is %lld, but %s.data_bytes is only %lld", name,
         offsets, ll{texts.n_texts}, ll{end}, name, ll{texts.n_bytes});
  }
  if (end > texts.offset(0) && texts.data == nullptr) {
    fail(Status::kInvalidArgument, "%s.data is null, but the texts have %lld bytes", name,
         ll{end - texts.offset(0)});
  }
}

void embed(Session* session, const TextArray& texts, const TextArray* second,
           const TextOptions& options, const EmbedTarget& vectors, const EmbedListener& listener) {
  session->check_takes_ids(true);
  const TextTokens tokens(session->model(), options, second != nullptr);
  if (texts.n_texts == 0) return;
  const TokenizedTexts tokenized(session, texts, second, tokens);
  check_lengths(tokenized, texts.n_texts, session->limits());
  const std::vector<int64_t> order = order_of(tokenized, texts.n_texts);
  Batches(session, tokenized, order).run(vectors, listener);
}

}  // namespace headlane

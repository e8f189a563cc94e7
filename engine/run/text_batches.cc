#include "engine/run/text_batches.h"

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
  TokenizedTexts(Session* session, const TextSeqs& texts, const TextTokens& tokens)
      : texts_(texts), n_seqs_(texts.size()), tokens_(tokens), team_(session->team()) {
    places_.resize(static_cast<size_t>(n_seqs_));
    // all-MiniLM-L6-v2's WordPiece takes 32 ns for each byte of English and 260 ns for an empty
    // text (measured on an AMD EPYC).
    constexpr double kSecondsPerByte = 32e-9, kSecondsPerText = 260e-9;
    const int n_threads = team_.width(texts.n_bytes() * kSecondsPerByte +
                                      static_cast<double>(n_seqs_) * kSecondsPerText);
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
  int64_t size() const { return n_seqs_; }
  bool is_of_pairs() const { return texts_.second != nullptr; }
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
        const int64_t end = std::min(begin + kTextsAtOnce, n_seqs_);
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
    if (is_of_pairs()) {
      tokens_.append_pair(texts_.first_of(text), texts_.second_of(text), &worker->ids,
                          &worker->types);
    } else {
      tokens_.append(texts_.first_of(text), &worker->ids);
    }
    const auto length = static_cast<int32_t>(static_cast<int64_t>(worker->ids.size()) - begin);
    places_[static_cast<size_t>(text)] = {thread, length, begin};
  }

  const TextSeqs& texts_;
  int64_t n_seqs_;
  const TextTokens& tokens_;
  Team& team_;
  std::vector<Place> places_;  // [n_texts]
  std::vector<Worker> workers_;
  std::atomic<int64_t> next_{0};
  std::atomic<bool> failed_{false};
};

// The texts by length, the longest first, so that the batches are full and the largest one is the
// first.
std::vector<int64_t> order_of(const TokenizedTexts& tokenized) {
  std::vector<int64_t> order(static_cast<size_t>(tokenized.size()));
  for (int64_t i = 0; i < tokenized.size(); ++i) order[static_cast<size_t>(i)] = i;
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    const int64_t length_a = tokenized.length(a), length_b = tokenized.length(b);
    return length_a != length_b ? length_a > length_b : a < b;
  });
  return order;
}

void check_lengths(const TokenizedTexts& tokenized, const Limits& limits) {
  const int64_t most = std::min(limits.max_len, limits.max_tokens);
  for (int64_t i = 0; i < tokenized.size(); ++i) {
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
  Batches(Session* session, const TokenizedTexts& tokenized, const std::vector<int64_t>& order,
          Pooling pooling, int64_t n_left_out)
      : session_(session),
        tokenized_(tokenized),
        order_(order),
        pooling_(pooling),
        n_left_out_(n_left_out),
        n_columns_(session->n_pooled_columns()) {
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
    pooled_.resize(static_cast<size_t>(most_texts * n_columns_));
  }

  void run(const SeqSink& sink, const TextListener& listener) {
    TextProgress progress;
    for (size_t first = 0, last = 0; first < order_.size(); first = last) {
      int64_t n_tokens = 0;
      last = end_of(first, &n_tokens);
      run_batch(first, last, sink);
      progress.n_seqs += static_cast<int64_t>(last - first);
      progress.n_tokens += n_tokens;
      if (listener.go_on && !listener.go_on(listener.user, progress) && last < order_.size()) {
        fail(Status::kCancelled, "the call was ended by on_progress after %lld of %zu texts",
             ll{progress.n_seqs}, order_.size());
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

  void run_batch(size_t first, size_t last, const SeqSink& sink) {
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
                      tokenized_.is_of_pairs() ? types_.data() : nullptr, n_left_out_},
                     nullptr, pooled_.data(), nullptr, pooling_);
    const float* row = pooled_.data();
    for (size_t i = first; i < last; ++i, row += n_columns_) sink(order_[i], row);
  }

  Session* session_;
  const TokenizedTexts& tokenized_;
  const std::vector<int64_t>& order_;
  Pooling pooling_;
  int64_t n_left_out_, n_columns_;
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

double TextSeqs::n_bytes() const {
  const auto bytes_of = [](const TextArray& array) {
    return static_cast<double>(array.n_used_bytes());
  };
  if (second == nullptr) return bytes_of(*texts);
  if (!crossed) return bytes_of(*texts) + bytes_of(*second);
  return bytes_of(*texts) * static_cast<double>(second->n_texts) +
         bytes_of(*second) * static_cast<double>(texts->n_texts);
}

void run_texts(Session* session, const TextSeqs& texts, const TextOptions& options,
               const SeqSink& sink, const TextListener& listener, const SeqPooling& pooling) {
  const TextTokens tokens(session->model(), options, texts.second != nullptr);
  if (texts.size() == 0) return;
  const TokenizedTexts tokenized(session, texts, tokens);
  check_lengths(tokenized, session->limits());
  const std::vector<int64_t> order = order_of(tokenized);
  const int64_t n_left_out = pooling.leaves_out_prompt ? tokens.n_of_prompt() : 0;
  Batches(session, tokenized, order, pooling.pooling, n_left_out).run(sink, listener);
}

}  // namespace headlane

#include "engine/run/classify.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "engine/base/error.h"

namespace headlane {
namespace {

using ll = long long;

const ClassifierConfig& classifier_of(const Session& session) {
  session.check_takes_ids(Wanted::kScores);
  return session.model().config().head.classifier;
}

// e^(x - the largest) / their sum, in float64: rounded once, so that it does not depend on how a
// machine adds.
void softmax(std::span<float> scores) {
  // A NaN that is not the largest must show as well: its own exponential does.
  const double largest = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (const float score : scores) sum += std::exp(double{score} - largest);
  for (float& score : scores) {
    score = static_cast<float>(std::exp(double{score} - largest) / sum);
  }
}

// A text array that stands for one text.
struct OneText {
  explicit OneText(std::string_view text) : offsets{0, std::ssize(text)} {
    array.n_texts = 1;
    array.data = text.data();
    array.n_bytes = offsets[1];
    array.offsets_64 = offsets;
  }
  OneText(const OneText&) = delete;
  OneText& operator=(const OneText&) = delete;

  int64_t offsets[2];
  TextArray array;
};

// The hypotheses of all labels, end to end.
struct Hypotheses {
  Hypotheses(const TextArray& labels, const ZeroShotOptions& options) : offsets(1, 0) {
    offsets.reserve(static_cast<size_t>(labels.n_texts) + 1);
    for (int64_t i = 0; i < labels.n_texts; ++i) {
      data.append(options.before).append(labels.text(i)).append(options.after);
      offsets.push_back(std::ssize(data));
    }
    array.n_texts = labels.n_texts;
    array.data = data.data();
    array.n_bytes = std::ssize(data);
    array.offsets_64 = offsets.data();
  }
  Hypotheses(const Hypotheses&) = delete;
  Hypotheses& operator=(const Hypotheses&) = delete;

  std::string data;
  std::vector<int64_t> offsets;
  TextArray array;
};

void check_n_pairs(const TextArray& texts, const TextArray& second) {
  constexpr int64_t kMost = int64_t{1} << 40;
  if (second.n_texts == 0 || texts.n_texts <= kMost / second.n_texts) return;
  fail(Status::kTooLarge, "%lld texts with %lld labels are more than %lld pairs", ll{texts.n_texts},
       ll{second.n_texts}, ll{kMost});
}

}  // namespace

void apply_outcome(Outcome outcome, std::span<float> scores) {
  switch (outcome) {
    case Outcome::kRaw:
      return;
    case Outcome::kSigmoid:
      for (float& score : scores) {
        score = static_cast<float>(1 / (1 + std::exp(-double{score})));
      }
      return;
    case Outcome::kSoftmax:
      return softmax(scores);
  }
}

void classify(Session* session, const TextArray& texts, const TextArray* second,
              const ClassifyOptions& options, const ScoreTarget& scores,
              const TextListener& listener) {
  const ClassifierConfig& classifier = classifier_of(*session);
  const Outcome outcome = options.outcome.value_or(classifier.outcome);
  const auto n_labels = static_cast<size_t>(classifier.n_labels());
  const auto write = [&](int64_t seq, const float* row) {
    const std::span<float> to(scores.data + seq * scores.stride, n_labels);
    std::copy_n(row, n_labels, to.begin());
    apply_outcome(outcome, to);
  };
  run_texts(session, {&texts, second}, options.text, write, listener);
}

void rank(Session* session, std::string_view query, const TextArray& documents,
          const ClassifyOptions& options, std::span<float> scores, std::span<int64_t> order,
          const TextListener& listener) {
  const ClassifierConfig& classifier = classifier_of(*session);
  if (classifier.n_labels() != 1) {
    fail(Status::kUnsupported,
         "texts are ranked by models of one label, but this one has %lld; its scores of pairs are "
         "those of headlane_session_classify",
         ll{classifier.n_labels()});
  }
  const Outcome outcome = options.outcome.value_or(classifier.outcome);
  const OneText first(query);
  std::vector<float> own(static_cast<size_t>(documents.n_texts));
  const auto write = [&](int64_t seq, const float* row) {
    own[static_cast<size_t>(seq)] = *row;
    apply_outcome(outcome, {&own[static_cast<size_t>(seq)], 1});
  };
  run_texts(session, {&first.array, &documents, true}, options.text, write, listener);

  std::vector<int64_t> all(order.empty() ? 0 : own.size());
  std::iota(all.begin(), all.end(), 0);
  const auto before = [&](int64_t a, int64_t b) {
    const float x = own[static_cast<size_t>(a)], y = own[static_cast<size_t>(b)];
    if (std::isnan(x) || std::isnan(y))
      return std::isnan(x) == std::isnan(y) ? a < b : std::isnan(y);
    return x != y ? x > y : a < b;
  };
  const auto end = all.begin() + std::ssize(order);
  std::partial_sort(all.begin(), end, all.end(), before);
  std::copy(all.begin(), end, order.begin());
  if (!scores.empty()) std::copy(own.begin(), own.end(), scores.begin());
}

void classify_zero_shot(Session* session, const TextArray& texts, const TextArray& labels,
                        const ZeroShotOptions& options, const ScoreTarget& scores,
                        const TextListener& listener) {
  const ClassifierConfig& classifier = classifier_of(*session);
  if (classifier.entailment < 0 || classifier.n_labels() < 2) {
    fail(Status::kUnsupported,
         "labels of the caller's need a model that says whether a text follows from another, and "
         "none of this model's labels begins with \"entail\"");
  }
  check_n_pairs(texts, labels);
  const Hypotheses hypotheses(labels, options);
  const auto n = static_cast<size_t>(labels.n_texts);
  const bool alone = options.multi_label || n == 1;
  const size_t yes = static_cast<size_t>(classifier.entailment),
               no = static_cast<size_t>(classifier.contradiction());
  std::vector<float> own(static_cast<size_t>(texts.n_texts) * n);
  const auto write = [&](int64_t seq, const float* row) {
    float of_pair[] = {row[no], row[yes]};
    if (alone) softmax(of_pair);
    own[static_cast<size_t>(seq)] = of_pair[1];
  };
  // As transformers, which keeps the label whole.
  TextOptions text = options.text;
  text.truncation = Truncation::kOnlyFirst;
  run_texts(session, {&texts, &hypotheses.array, true}, text, write, listener);
  for (int64_t i = 0; i < texts.n_texts; ++i) {
    const std::span<float> row(own.data() + static_cast<size_t>(i) * n, n);
    if (!alone && n > 0) softmax(row);
    std::copy(row.begin(), row.end(), scores.data + i * scores.stride);
  }
}

}  // namespace headlane

// Texts, or pairs of them, to scores of a classifier's labels.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "engine/run/text_batches.h"

namespace headlane {

// Row i begins at data + i * stride.
struct ScoreTarget {
  float* data = nullptr;
  int64_t stride = 0;
};

struct ClassifyOptions {
  TextOptions text;
  std::optional<Outcome> outcome;  // none: the model's own
};

// Makes scores of raw ones, in place. A softmax is over all of them.
void apply_outcome(Outcome outcome, std::span<float> scores);

// Scores of each text, or each pair of texts (`second` is not null then, and has as many): rows of
// n_labels. Texts that have been checked; a stride that is n_labels or more. Throws Error as embed.
void classify(Session* session, const TextArray& texts, const TextArray* second,
              const ClassifyOptions& options, const ScoreTarget& scores,
              const TextListener& listener);

// The score of each document as the second text of a pair whose first one is the query, by a model
// of one label. `scores` [n_texts], `order` [at most n_texts]: the numbers of the documents with
// the highest scores, the highest first; those of the same score in their own order, NaNs last.
// Nothing is written before all is done.
void rank(Session* session, std::string_view query, const TextArray& documents,
          const ClassifyOptions& options, std::span<float> scores, std::span<int64_t> order,
          const TextListener& listener);

struct ZeroShotOptions {
  TextOptions text;
  std::string before, after;  // of the hypothesis, around the label
  bool multi_label = false;   // each label by itself; else their scores have the sum 1
};

// Whether each text is an example of each label, by a model that says whether a second text follows
// from a first: rows of as many scores as there are labels. Nothing is written before all is done.
void classify_zero_shot(Session* session, const TextArray& texts, const TextArray& labels,
                        const ZeroShotOptions& options, const ScoreTarget& scores,
                        const TextListener& listener);

}  // namespace headlane

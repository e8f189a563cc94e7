// Sequences of a language model as the tests of the C API use them.
#pragma once

#include <cstring>
#include <random>

#include "tests/api/generator.h"

namespace headlane::test {

using Ids = std::vector<int32_t>;

// All that a sequence has made.
struct Grown {
  Ids ids, top_ids;
  std::string text, finish;
  std::vector<float> logprobs, top_logprobs, hidden;

  bool operator==(const Grown& other) const {
    const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
      return a.size() == b.size() &&
             (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
    };
    return ids == other.ids && top_ids == other.top_ids && text == other.text &&
           finish == other.finish && same(logprobs, other.logprobs) &&
           same(top_logprobs, other.top_logprobs) && same(hidden, other.hidden);
  }
};
// NOLINTNEXTLINE(readability-identifier-naming): GoogleTest looks for this name
inline void PrintTo(const Grown& grown, std::ostream* out) {
  *out << grown.finish << ":";
  for (const int32_t id : grown.ids) *out << " " << id;
  for (const float logprob : grown.logprobs) *out << " " << logprob;
}

inline const std::string& language_model_file(const std::string& name,
                                              const std::string& precision = "f32") {
  return converted_golden("language_models/" + name, precision);
}

inline headlane_sequences_options sequences_options(int64_t max_sequences = 4,
                                                    int64_t max_tokens = 400) {
  headlane_sequences_options options = HEADLANE_INIT(headlane_sequences_options);
  options.max_sequences = max_sequences;
  options.max_tokens = max_tokens;
  options.all_logits = 1;
  options.hidden = 1;
  options.n_threads = 1;
  return options;
}

inline headlane_sequence_options sequence_options(int64_t max_new_tokens = 8) {
  headlane_sequence_options options = HEADLANE_INIT(headlane_sequence_options);
  options.max_new_tokens = max_new_tokens;
  return options;
}

// The handle, and its calls as those of C++.
class Growing {
 public:
  Growing(headlane_model* model, const headlane_sequences_options& options)
      : d_model_(facts_of(model).d_model), has_text_(facts_of(model).has_tokenizer != 0) {
    headlane_sequences* sequences = nullptr;
    check(headlane_sequences_create(model, &options, &sequences));
    sequences_.reset(sequences);
  }
  headlane_sequences* get() const { return sequences_.get(); }

  int64_t add(const Ids& ids, const headlane_sequence_options& options) {
    int64_t number = 0;
    check(headlane_sequences_add(get(), ids.data(), std::ssize(ids), &options, &number));
    return number;
  }
  int64_t fork(int64_t from, int64_t n_tokens, const Ids& ids,
               const headlane_sequence_options& options) {
    int64_t number = 0;
    check(headlane_sequences_fork(get(), from, n_tokens, ids.data(), std::ssize(ids), &options,
                                  &number));
    return number;
  }
  int64_t step() {
    int64_t n_unfinished = -1;
    check(headlane_sequences_step(get(), &n_unfinished));
    return n_unfinished;
  }
  void finish() {
    while (step() > 0) {
    }
  }
  headlane_sequence_facts facts(int64_t number) const {
    headlane_sequence_facts facts = HEADLANE_INIT(headlane_sequence_facts);
    check(headlane_sequences_get(get(), number, &facts));
    return facts;
  }
  Ids ids(int64_t number) const {
    Ids ids(1000);
    int64_t n = 0;
    check(headlane_sequences_get_ids(get(), number, ids.data(), std::ssize(ids), &n));
    ids.resize(static_cast<size_t>(n));
    return ids;
  }
  std::string text(int64_t number) const {
    std::string text(static_cast<size_t>(facts(number).text_bytes), '\0');
    int64_t n = 0;
    check(headlane_sequences_get_text(get(), number, text.data(), std::ssize(text), &n));
    return text;
  }
  Grown grown(int64_t number, const headlane_sequence_options& options) const {
    const headlane_sequence_facts of = facts(number);
    Grown grown;
    grown.ids = ids(number);
    if (has_text_) grown.text = text(number);
    grown.finish = of.finish_reason ? of.finish_reason : "";
    const auto n = static_cast<size_t>(of.n_logprobs), n_top = static_cast<size_t>(options.n_top);
    grown.logprobs.resize(n);
    grown.top_ids.resize(n * n_top);
    grown.top_logprobs.resize(n * n_top);
    if (options.logprobs || options.prompt_logprobs) {
      check(headlane_sequences_get_logprobs(get(), number, 0, of.n_logprobs, grown.logprobs.data(),
                                            grown.top_ids.data(), grown.top_logprobs.data()));
    }
    if (options.hidden) {
      grown.hidden.resize(static_cast<size_t>(d_model_));
      check(headlane_sequences_get_hidden(get(), number, grown.hidden.data()));
    }
    return grown;
  }

 private:
  int64_t d_model_;
  bool has_text_;
  SequencesHandle sequences_;
};

// The sequence alone, its prompt in one chunk.
inline Grown grown_alone(headlane_model* model, const Ids& prompt,
                         const headlane_sequence_options& options, const char* cache = nullptr) {
  headlane_sequences_options sizes = sequences_options(1, 640);
  sizes.cache = cache;
  Growing growing(model, sizes);
  const int64_t number = growing.add(prompt, options);
  growing.finish();
  return growing.grown(number, options);
}

// The golden models that sequences are tried on have so many tokens.
inline constexpr int64_t kSequencesVocabSize = 97;

inline Ids random_prompt(std::mt19937* random, size_t n, int64_t vocab_size) {
  Ids ids(n);
  for (int32_t& id : ids) id = static_cast<int32_t>((*random)() % vocab_size);
  return ids;
}

}  // namespace headlane::test

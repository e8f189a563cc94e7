// A generator and what it answers, as the tests of the C API use them.
#pragma once

#include <cstring>
#include <map>
#include <memory>

#include "tests/api/encoder.h"
#include "tests/support/golden_encoder_decoder.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {

// The golden model marian_shared has so many tokens, and 48 positions.
inline constexpr int64_t kMarianVocabSize = 83;

struct GeneratedAnswer {
  std::vector<int32_t> ids;
  float score = 0;

  bool operator==(const GeneratedAnswer& other) const {
    return ids == other.ids && std::memcmp(&score, &other.score, sizeof score) == 0;
  }
};
// NOLINTNEXTLINE(readability-identifier-naming): GoogleTest looks for this name
inline void PrintTo(const GeneratedAnswer& answer, std::ostream* out) {
  for (const int32_t id : answer.ids) *out << id << " ";
  *out << "(" << answer.score << ")";
}
// The answers of each source, best first.
using Answers = std::vector<std::vector<GeneratedAnswer>>;

// Sequences end to end.
struct FlatSequences {
  explicit FlatSequences(const Sequences& sequences) {
    for (const auto& sequence : sequences) {
      ids.insert(ids.end(), sequence.begin(), sequence.end());
      offsets.push_back(static_cast<int64_t>(ids.size()));
    }
  }
  headlane_batch batch() const {
    return {.struct_size = sizeof(headlane_batch),
            .n_seqs = static_cast<int64_t>(offsets.size()) - 1,
            .offsets = offsets.data(),
            .ids = ids.data()};
  }
  std::vector<int64_t> offsets = {0};
  std::vector<int32_t> ids;
};

inline headlane_generator_options generator_options(int64_t max_sources, int64_t max_beams,
                                                    int n_threads = 1) {
  headlane_generator_options options = HEADLANE_INIT(headlane_generator_options);
  options.max_sources = max_sources;
  options.max_beams = max_beams;
  options.n_threads = n_threads;
  return options;
}

inline headlane_generate_options beams(int64_t n_beams, int64_t n_best = 1) {
  headlane_generate_options options = HEADLANE_INIT(headlane_generate_options);
  options.n_beams = n_beams;
  options.n_best = n_best;
  return options;
}

inline GeneratorHandle create_generator(headlane_model* model,
                                        const headlane_generator_options& options) {
  headlane_generator* generator = nullptr;
  check(headlane_generator_create(model, &options, &generator));
  return GeneratorHandle(generator);
}

inline Answers answers_of(const headlane_generator* generator, size_t n_sources) {
  Answers answers(n_sources);
  for (size_t source = 0; source < n_sources; ++source) {
    headlane_answer answer = HEADLANE_INIT(headlane_answer);
    int64_t rank = 0;
    do {
      check(headlane_generator_get_answer(generator, static_cast<int64_t>(source), rank, &answer));
      answers[source].push_back({{answer.ids, answer.ids + answer.n_ids}, answer.score});
    } while (++rank < answer.n_answers);
  }
  return answers;
}

inline Answers generate(headlane_generator* generator, const Sequences& sources,
                        const headlane_generate_options& options) {
  const FlatSequences flat(sources);
  const headlane_batch batch = flat.batch();
  check(headlane_generator_generate(generator, &batch, &options));
  return answers_of(generator, sources.size());
}

// A folder of tests/golden, such as "encoder_decoder/bart", converted once for all tests of the
// process.
inline const std::string& converted_golden(const std::string& name, const std::string& precision) {
  static const TempDir dir;
  static std::map<std::string, std::string> paths;
  std::string& path = paths[name + "_" + precision];
  if (path.empty()) {
    const std::string to = dir.file(std::to_string(paths.size()) + ".headlane");
    headlane_convert_options options = HEADLANE_INIT(headlane_convert_options);
    options.precision = precision.c_str();
    const std::string folder = std::string(HEADLANE_GOLDEN_DIR "/") + name;
    check(headlane_convert(folder.c_str(), to.c_str(), &options));
    path = to;
  }
  return path;
}

inline const std::string& golden_file(const std::string& name,
                                      const std::string& precision = "f32") {
  return converted_golden("encoder_decoder/" + name, precision);
}

// Sources of ids that the vocabulary has, of all lengths from 1 to max_len.
inline Sequences random_sources(size_t n, int64_t vocab_size, size_t max_len, uint32_t seed) {
  uint32_t state = seed * 2654435761u + 1;
  const auto next = [&] { return (state = state * 1664525u + 1013904223u) >> 8; };
  Sequences sources(n);
  for (auto& source : sources) {
    source.resize(1 + next() % max_len);
    for (int32_t& id : source) id = static_cast<int32_t>(next() % vocab_size);
  }
  return sources;
}

// The call failed with this status, and the sentence names `named`.
inline void expect_status(headlane_status got, headlane_status expected, const std::string& named) {
  EXPECT_EQ(got, expected) << headlane_error();
  EXPECT_NE(std::string(headlane_error()).find(named), std::string::npos) << headlane_error();
}

// Some sources for marian_shared, and a generator with room for all.
class GenerateTest : public testing::Test {
 protected:
  GenerateTest() : facts_(facts_of(model_.get())) {
    sources_ = random_sources(20, facts_.vocab_size, 20, 2);
    headlane_generator_options options = generator_options(20, 6);
    options.all_logits = 1;
    options.max_prefix = 6;
    generator_ = create_generator(model_.get(), options);
  }

  Answers ask(const headlane_generate_options& options) {
    return generate(generator_.get(), sources_, options);
  }
  bool is_answer_ended(const GeneratedAnswer& answer) const { return answer.ids.back() == kEnd; }

  static constexpr int32_t kEnd = 0;  // of marian_shared
  const ModelHandle model_ = open_model(golden_file("marian_shared"));
  const headlane_model_facts facts_;
  Sequences sources_;
  GeneratorHandle generator_;
};

}  // namespace headlane::test

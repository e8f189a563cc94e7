// One run through the whole C API, for tests of what the library does to its host.
#pragma once

#include "tests/api/generator.h"
#include "tests/api/layer.h"

namespace headlane::test {

// All results of a run, as bytes that can be compared.
using Results = std::string;

template <typename T>
void add_result(Results* results, const std::vector<T>& values) {
  results->append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

inline const Sequences& some_ids() {
  static const Sequences kIds = {{1, 2, 3, 4}, {5, 6}, {7, 8, 9, 10, 11, 12}};
  return kIds;
}

// Text, to ids and back, and vectors.
inline void add_encoder(const std::string& path, int n_threads, Results* results) {
  Encoder encoder(path, "", n_threads);
  std::vector<int32_t> ids(40);
  const std::string text = "a b c";
  int64_t n = 0;
  check(headlane_model_tokenize(encoder.model(), text.data(), text.size(), nullptr, ids.data(), 40,
                                &n));
  add_result(results, ids);
  // More texts than one thread is woken for.
  std::string all;
  std::vector<int32_t> offsets = {0};
  while (offsets.size() < 1001) {
    all += text;
    offsets.push_back(static_cast<int32_t>(all.size()));
  }
  headlane_texts texts = HEADLANE_INIT(headlane_texts);
  texts.n_texts = std::ssize(offsets) - 1;
  texts.data = all.data();
  texts.data_bytes = std::ssize(all);
  texts.offsets_32 = offsets.data();
  std::vector<float> vectors(1000 * static_cast<size_t>(encoder.facts().d_model));
  check(headlane_session_embed(encoder.session(), &texts, nullptr, vectors.data(), 0));
  add_result(results, vectors);
  const Encoded encoded = encoder.encode(some_ids());
  add_result(results, encoded.hidden);
  add_result(results, encoded.pooled);
}

inline void add_generator(const std::string& path, int n_threads, Results* results) {
  const ModelHandle model = open_model(path);
  const GeneratorHandle generator =
      create_generator(model.get(), generator_options(3, 2, n_threads));
  for (const auto& answers : generate(generator.get(), some_ids(), beams(2))) {
    add_result(results, answers[0].ids);
    add_result<float>(results, {answers[0].score});
  }
}

inline void add_layer(int n_threads, Results* results) {
  Layer layer(32, 2, 16);
  const ModelHandle model = create_layer(layer.fill(), nullptr);
  const SessionHandle session = create_session(model.get(), false, n_threads);
  const Floats x = layer.numbers(200 * 32, 1);
  Floats out(x.size());
  headlane_forward_batch batch = HEADLANE_INIT(headlane_forward_batch);
  batch.n_seqs = 1;
  batch.q_len = 200;
  batch.x.data = x.data();
  batch.out.data = out.data();
  check(headlane_session_forward(session.get(), &batch));
  add_result(results, out);
}

inline void add_attention(int n_threads, Results* results) {
  headlane_attention_options options = attention_options(2, 16);
  options.n_threads = n_threads;
  add_result(results, attend(options, {random_sequence(options, 300, 300, 1)})[0]);
}

// Mistakes, whose sentences are part of the results.
inline void add_errors(const std::string& path, Results* results) {
  headlane_model* model = nullptr;
  if (headlane_model_open("/no such file", nullptr, &model) != HEADLANE_IO) return;
  results->append(headlane_error());
  Encoder encoder(path, "", 1);
  headlane_generator_options options = generator_options(1, 1);
  headlane_generator* generator = nullptr;
  if (headlane_generator_create(encoder.model(), &options, &generator) == HEADLANE_OK) return;
  results->append(headlane_error());
}

// Converts, opens, runs and ends one of everything; in `folder`, where nothing stays.
inline Results call_everything(const std::string& folder, int n_threads = 3) {
  const std::string bert = folder + "/bert.headlane", marian = folder + "/marian.headlane";
  check(headlane_convert(HEADLANE_GOLDEN_DIR "/bert/head_dim_16_mean_normalize", bert.c_str(),
                         nullptr));
  check(headlane_convert(HEADLANE_GOLDEN_DIR "/encoder_decoder/marian_shared", marian.c_str(),
                         nullptr));
  Results results = read_file(bert) + read_file(marian);
  add_encoder(bert, n_threads, &results);
  add_generator(marian, n_threads, &results);
  add_layer(n_threads, &results);
  add_attention(n_threads, &results);
  add_errors(bert, &results);
  std::filesystem::remove(bert);
  std::filesystem::remove(marian);
  return results;
}

}  // namespace headlane::test

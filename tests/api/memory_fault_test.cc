// No memory: allocations of each call fail in turn, once alone and once with all that follow
// them. The call says so by a status; nothing leaks, nothing is half done, and what was there
// before works as before.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "tests/api/attention.h"
#include "tests/api/encoder.h"
#include "tests/api/generator.h"
#include "tests/api/layer.h"
#include "tests/support/allocators.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {
namespace {

// A call with what it has made ended again; runs under failing allocators.
using FaultyCall = std::function<headlane_status()>;

bool says_no_memory(headlane_status status) {
  return status == HEADLANE_OUT_OF_MEMORY && *headlane_error() != '\0';
}

int64_t n_descriptors() {
  const std::filesystem::directory_iterator entries("/proc/self/fd");
  return std::distance(begin(entries), end(entries));
}

// Lets the n-th allocation of a call fail: each of the first 100 and of the last 30, and every
// `step`-th between, since there are thousands, mostly in loops. `intact` says after each failure
// whether all is as before. Returns how many allocations there are.
int64_t fail_allocations(const char* what, const FaultyCall& call,
                         const std::function<void()>& intact, int64_t step = 17) {
  SCOPED_TRACE(what);
  EXPECT_EQ(call(), HEADLANE_OK) << headlane_error();  // what is made once for the process
  const int64_t before = n_allocations(), descriptors = n_descriptors();
  EXPECT_EQ(call(), HEADLANE_OK) << headlane_error();
  const int64_t last = n_allocations() - before - 30;
  int64_t n_spared = 0;
  for (int64_t n = 1;; n += n_spared + (n < 100 || n + step > last ? 1 : step)) {
    for (const bool and_later : {false, true}) {
      const int64_t live = n_live_allocations();
      fail_allocation(n, and_later);
      const headlane_status status = call();
      const int64_t n_failed = n_failed_allocations();
      n_spared = n_spared_allocations();
      fail_allocation(0, false);
      if (n_failed == 0) {
        EXPECT_EQ(status, HEADLANE_OK) << headlane_error();
        return n - 1;
      }
      // A sort that gets no buffer sorts without.
      EXPECT_TRUE(status == HEADLANE_OK || says_no_memory(status))
          << "allocation " << n << ": status " << status << ", " << headlane_error();
      EXPECT_EQ(n_live_allocations(), live) << "allocation " << n << " failed: " << status;
      EXPECT_EQ(n_descriptors(), descriptors) << "allocation " << n << " failed: " << status;
      if (and_later) intact();
      if (testing::Test::HasFailure()) return n;
    }
  }
}

constexpr const char* kFaultPrecisions[] = {"f32", "bf16", "int8"};

std::string golden_folder(const std::string& name) {
  return std::string(HEADLANE_GOLDEN_DIR "/") + name;
}

// Hugging Face's folder of a translator with tokenizers: those of tests/golden/sentencepiece, and a
// golden model whose table of words is made as long as theirs, by zeros.
void write_translator(const std::string& folder) {
  namespace fs = std::filesystem;
  using nlohmann::json;
  constexpr int64_t kVocab = 640;
  fs::copy(golden_folder("sentencepiece/marian"), folder);
  const std::string model = golden_folder("encoder_decoder/marian_shared");
  json config = json::parse(read_file(model + "/config.json"));
  const int64_t vocab = config["vocab_size"];
  config["vocab_size"] = config["decoder_vocab_size"] = kVocab;
  write_file(folder + "/config.json", config.dump());
  fs::copy(model + "/generation_config.json", folder);

  const std::string file = read_file(model + "/model.safetensors");
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  std::vector<TestTensor> tensors;
  const json header = json::parse(file.substr(8, header_bytes));
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const uint64_t begin = entry["data_offsets"][0], end = entry["data_offsets"][1];
    TestTensor tensor{name, "F32", entry["shape"],
                      file.substr(8 + header_bytes + begin, end - begin)};
    for (int64_t& size : tensor.shape) {
      if (size != vocab) continue;
      size = kVocab;
      tensor.data.resize(tensor.data.size() / static_cast<size_t>(vocab) * kVocab);
    }
    tensors.push_back(tensor);
  }
  write_file(folder + "/model.safetensors", safetensors_bytes(tensors));
}

// A file of each kind that can be opened; all of them are small.
class MemoryFault : public testing::Test {
 protected:
  MemoryFault() {
    // The room for a sentence is the thread's, from its first mistake on.
    EXPECT_EQ(headlane_model_get_facts(nullptr, nullptr), HEADLANE_INVALID_ARGUMENT);
    // It breaks when its own allocations fail, so the engine asks for as much before it is called.
    spare_library("libsentencepiece");
    write_translator(translator_folder_);
    convert(bert_folder_, bert_);
    convert(translator_folder_, translator_);
    convert(layers_folder_, layers_);
  }

  static void convert(const std::string& folder, const std::string& path) {
    check(headlane_convert(folder.c_str(), path.c_str(), nullptr));
  }

  static headlane_status open(const std::string& path, const char* precision,
                              headlane_model** out) {
    headlane_model_options options = HEADLANE_INIT(headlane_model_options);
    options.precision = precision;
    return headlane_model_open(path.c_str(), &options, out);
  }

  const TempDir temp_;
  const std::string bert_folder_ = golden_folder("bert/head_dim_16_mean_normalize"),
                    translator_folder_ = temp_.file("translator"),
                    layers_folder_ = golden_folder("layers/transformer_post_norm");
  const std::string bert_ = temp_.file("bert.headlane"),
                    translator_ = temp_.file("translator.headlane"),
                    layers_ = temp_.file("layers.headlane");
};

const Sequences kIds = {{1, 2, 3, 4}, {5, 6}, {7, 8, 9, 10, 11, 12}};

TEST_F(MemoryFault, OpeningAModel) {
  for (const std::string& path : {bert_, translator_, layers_}) {
    for (const char* precision : kFaultPrecisions) {
      const FaultyCall call = [&] {
        headlane_model* model = nullptr;
        const headlane_status status = open(path, precision, &model);
        EXPECT_EQ(model != nullptr, status == HEADLANE_OK);
        headlane_model_destroy(model);
        return status;
      };
      EXPECT_GT(fail_allocations(precision, call, [] {}), 100) << path;
    }
  }
}

// Sessions of the model's precision and of another, for which weights are packed; beside one that
// runs on.
TEST_F(MemoryFault, CreatingASession) {
  Encoder encoder(bert_, "", 2);
  const std::vector<float> expected = encoder.encode(kIds).pooled;
  for (const int n_threads : {1, 3}) {
    const FaultyCall call = [&] {
      headlane_session_options options = HEADLANE_INIT(headlane_session_options);
      options.max_tokens = 64;
      options.n_threads = n_threads;
      headlane_session* session = nullptr;
      const headlane_status status = headlane_session_create(encoder.model(), &options, &session);
      EXPECT_EQ(session != nullptr, status == HEADLANE_OK);
      headlane_session_destroy(session);
      return status;
    };
    EXPECT_GT(fail_allocations("session", call,
                               [&] { EXPECT_EQ(encoder.encode(kIds).pooled, expected); }),
              10);
  }
}

// A model's weights are packed once for a precision, so each time it is a new model.
TEST_F(MemoryFault, PackingForAnotherPrecision) {
  for (const char* precision : {"bf16", "int8"}) {
    for (int64_t n = 1, n_failed = 1; n_failed > 0; ++n) {
      Encoder encoder(bert_, "", 1);
      const std::vector<float> expected = encoder.encode(kIds).pooled;
      headlane_session_options options = HEADLANE_INIT(headlane_session_options);
      options.max_tokens = 64;
      options.n_threads = 1;
      options.precision = precision;
      headlane_session* session = nullptr;
      fail_allocation(n, n % 2 == 0);
      const headlane_status status = headlane_session_create(encoder.model(), &options, &session);
      n_failed = n_failed_allocations();
      fail_allocation(0, false);
      ASSERT_TRUE(status == HEADLANE_OK || says_no_memory(status)) << n << headlane_error();
      ASSERT_EQ(encoder.encode(kIds).pooled, expected) << n;
      headlane_session_destroy(session);
      // The same again, with memory.
      session = nullptr;
      ASSERT_EQ(headlane_session_create(encoder.model(), &options, &session), HEADLANE_OK);
      headlane_session_destroy(session);
    }
  }
}

TEST_F(MemoryFault, CreatingAGenerator) {
  const ModelHandle model = open_model(translator_);
  const GeneratorHandle other = create_generator(model.get(), generator_options(4, 2));
  const Sequences sources = {{1, 2, 3}, {4}};
  const Answers expected = generate(other.get(), sources, beams(2));
  const FaultyCall call = [&] {
    const headlane_generator_options options = generator_options(4, 2, 3);
    headlane_generator* generator = nullptr;
    const headlane_status status = headlane_generator_create(model.get(), &options, &generator);
    EXPECT_EQ(generator != nullptr, status == HEADLANE_OK);
    headlane_generator_destroy(generator);
    return status;
  };
  EXPECT_GT(
      fail_allocations("generator", call,
                       [&] { EXPECT_EQ(generate(other.get(), sources, beams(2)), expected); }),
      10);
}

TEST_F(MemoryFault, CreatingAnAttention) {
  headlane_rotary rotary = HEADLANE_INIT(headlane_rotary);
  rotary.max_positions = 50;
  const std::vector<float> slopes = {0.5f, 0.25f};
  for (const char* precision : {"f32", "bf16"}) {
    // Where the machine has no products of bf16, that is said, which takes a sentence's memory.
    bool is_refused = false;
    const FaultyCall call = [&] {
      headlane_attention_options options = attention_options(2, 16);
      options.n_threads = 3;
      options.rotary = &rotary;
      options.alibi_slopes = slopes.data();
      options.precision = precision;
      headlane_attention* attention = nullptr;
      const headlane_status status = headlane_attention_create(&options, &attention);
      EXPECT_EQ(attention != nullptr, status == HEADLANE_OK);
      headlane_attention_destroy(attention);
      is_refused = status == HEADLANE_UNSUPPORTED;
      return is_refused ? HEADLANE_OK : status;
    };
    const int64_t n = fail_allocations("attention", call, [] {});
    EXPECT_TRUE(!is_refused || std::string(precision) == "bf16");
    EXPECT_GT(n, is_refused ? 0 : 3);
  }
}

TEST_F(MemoryFault, MakingALayer) {
  Layer layer(32, 2, 16);
  layer.options.norm = HEADLANE_NORM_PRE;
  layer.fill();
  for (const char* precision : kFaultPrecisions) {
    const FaultyCall call = [&] {
      headlane_model_options options = HEADLANE_INIT(headlane_model_options);
      options.precision = precision;
      headlane_model* model = nullptr;
      const headlane_status status = headlane_model_create_layer(&layer.options, &options, &model);
      EXPECT_EQ(model != nullptr, status == HEADLANE_OK);
      headlane_model_destroy(model);
      return status;
    };
    EXPECT_GT(fail_allocations(precision, call, [] {}), 10);
  }
}

// Calls that allocate nothing work where there is no memory: they give the same bits.
TEST_F(MemoryFault, RunningNeedsNone) {
  for (const int n_threads : {1, 3}) {
    Encoder encoder(bert_, "", n_threads);
    const std::vector<float> pooled = encoder.encode(kIds).pooled;
    const FlatSequences flat(kIds);
    const headlane_batch batch = flat.batch();
    std::vector<float> got(pooled.size());
    const headlane_outputs outputs{.struct_size = sizeof outputs, .pooled = got.data()};

    const ModelHandle model = open_model(translator_);
    const GeneratorHandle generator =
        create_generator(model.get(), generator_options(3, 2, n_threads));
    const Answers answers = generate(generator.get(), kIds, beams(2));
    const headlane_generate_options options = beams(2);

    fail_allocation(1, true);
    const headlane_status encoded = headlane_session_encode(encoder.session(), &batch, &outputs);
    const headlane_status generated =
        headlane_generator_generate(generator.get(), &batch, &options);
    const int64_t n_failed = n_failed_allocations();
    fail_allocation(0, false);
    EXPECT_EQ(encoded, HEADLANE_OK);
    EXPECT_EQ(generated, HEADLANE_OK);
    EXPECT_EQ(n_failed, 0);
    EXPECT_EQ(got, pooled);
    EXPECT_EQ(answers_of(generator.get(), kIds.size()), answers);
  }
}

// A mistake is named where there is room for the sentence, and is a status where there is none.
TEST_F(MemoryFault, RefusingACall) {
  Encoder encoder(bert_, "", 1);
  const std::vector<float> expected = encoder.encode(kIds).pooled;
  for (const bool and_later : {false, true}) {
    for (int64_t n = 1, n_failed = 1; n_failed > 0; ++n) {
      const int32_t ids[] = {1, 1 << 30};
      const int64_t offsets[] = {0, 2};
      const headlane_batch batch{
          .struct_size = sizeof batch, .n_seqs = 1, .offsets = offsets, .ids = ids};
      std::vector<float> out(expected.size(), 7.0f);
      const headlane_outputs outputs{.struct_size = sizeof outputs, .pooled = out.data()};
      fail_allocation(n, and_later);
      const headlane_status status = headlane_session_encode(encoder.session(), &batch, &outputs);
      n_failed = n_failed_allocations();
      fail_allocation(0, false);
      // An exception itself needs little, for which the C++ library keeps some room.
      EXPECT_TRUE(status == HEADLANE_INVALID_ARGUMENT ||
                  (n_failed > 0 && status == HEADLANE_OUT_OF_MEMORY))
          << status;
      EXPECT_STRNE(headlane_error(), "");
      EXPECT_EQ(std::count(out.begin(), out.end(), 7.0f), std::ssize(out));
      EXPECT_EQ(encoder.encode(kIds).pooled, expected);
    }
  }
}

struct Text {
  std::vector<int32_t> ids;
  std::string text;
  bool operator==(const Text&) const = default;
};

// Text to ids and back, into buffers that are there already.
headlane_status there_and_back(const headlane_model* model, const std::string& text, Text* out) {
  int64_t n = 0;
  out->ids.assign(out->ids.size(), -1);
  out->text.assign(out->text.size(), '-');
  const headlane_status status =
      headlane_model_tokenize(model, text.data(), text.size(), nullptr, out->ids.data(),
                              static_cast<int64_t>(out->ids.size()), &n);
  if (status != HEADLANE_OK) {
    EXPECT_EQ(std::count(out->ids.begin(), out->ids.end(), -1), std::ssize(out->ids));
    return status;
  }
  int64_t bytes = 0;
  const headlane_status back = headlane_model_detokenize(
      model, out->ids.data(), n, out->text.data(), static_cast<int64_t>(out->text.size()), &bytes);
  if (back != HEADLANE_OK) {
    EXPECT_EQ(std::count(out->text.begin(), out->text.end(), '-'), std::ssize(out->text));
  }
  return back;
}

TEST_F(MemoryFault, Tokenising) {
  const std::string text =
      "It's a beautiful d\xc3\xa9j\xc3\xa0 vu, \xe4\xbb\x8a\xe5\xa4\xa9! abcabc";
  for (const std::string& path : {bert_, translator_}) {
    const ModelHandle model = open_model(path);
    Text expected{std::vector<int32_t>(100), std::string(400, ' ')};
    Text got = expected;
    check(there_and_back(model.get(), text, &expected));
    const FaultyCall call = [&] { return there_and_back(model.get(), text, &got); };
    EXPECT_GT(fail_allocations("text", call,
                               [&] {
                                 Text again = expected;
                                 check(there_and_back(model.get(), text, &again));
                                 EXPECT_EQ(again, expected);
                               }),
              3);
    EXPECT_EQ(got, expected);
  }
}

// Rows are written when all that is needed has been allocated. By one thread, and by three, which
// are woken for so many.
TEST_F(MemoryFault, Embedding) {
  std::vector<std::string> texts;
  for (size_t i = 0; i < 700; ++i) texts.push_back(std::string(i % 40, 'a') + " b");
  std::string data;
  std::vector<int64_t> offsets = {0};
  for (const std::string& text : texts) {
    data += text;
    offsets.push_back(std::ssize(data));
  }
  headlane_texts given = HEADLANE_INIT(headlane_texts);
  given.n_texts = std::ssize(texts);
  given.data = data.data();
  given.data_bytes = std::ssize(data);
  given.offsets_64 = offsets.data();
  for (const int n_threads : {1, 3}) {
    Encoder encoder(bert_, "", n_threads);
    std::vector<float> expected(texts.size() * static_cast<size_t>(encoder.facts().d_model));
    check(headlane_session_embed(encoder.session(), &given, nullptr, expected.data(), 0));
    std::vector<float> got(expected.size());
    const FaultyCall call = [&] {
      std::fill(got.begin(), got.end(), 7.0f);
      const headlane_status status =
          headlane_session_embed(encoder.session(), &given, nullptr, got.data(), 0);
      if (status == HEADLANE_OK) {
        EXPECT_TRUE(got == expected);
      } else {
        EXPECT_EQ(std::count(got.begin(), got.end(), 7.0f), std::ssize(got));
      }
      return status;
    };
    const auto intact = [&] { EXPECT_EQ(encoder.encode(kIds).pooled.size(), kIds.size() * 48); };
    EXPECT_GT(fail_allocations("embed", call, intact, 101), 10) << n_threads;
  }
}

// Scores too, of texts and of pairs that the call makes by itself.
TEST_F(MemoryFault, Classifying) {
  const TempDir dir;
  const std::string nli = dir.file("nli.headlane"), ranker = dir.file("ranker.headlane");
  convert(HEADLANE_GOLDEN_DIR "/classify/bert_nli", nli);
  convert(HEADLANE_GOLDEN_DIR "/classify/bert_cross_encoder", ranker);
  std::vector<std::string> texts;
  for (size_t i = 0; i < 60; ++i) texts.push_back(std::string(i % 40, 'a') + " b");
  const JoinedTexts joined(texts), two(std::vector<std::string>{"a", "b"});
  const headlane_texts given = joined.get(), labels = two.get();
  Encoder classifier(nli, "", 2), ranking(ranker, "", 2);
  std::vector<float> got(180);
  std::vector<int64_t> order(60);
  const FaultyCall calls[] = {[&] {
                                return headlane_session_classify(classifier.session(), &given,
                                                                 nullptr, got.data(), 0);
                              },
                              [&] {
                                return headlane_session_zero_shot(classifier.session(), &given,
                                                                  &labels, nullptr, got.data(), 0);
                              },
                              [&] {
                                return headlane_session_rank(ranking.session(), "a", 1, &given,
                                                             nullptr, got.data(), order.data(), 60);
                              }};
  for (const FaultyCall& run : calls) {
    std::fill(got.begin(), got.end(), 7.0f);
    check(run());
    const std::vector<float> expected = got;
    const FaultyCall call = [&] {
      std::fill(got.begin(), got.end(), 7.0f);
      const headlane_status status = run();
      if (status == HEADLANE_OK) {
        EXPECT_TRUE(got == expected);
      } else {
        EXPECT_EQ(std::count(got.begin(), got.end(), 7.0f), std::ssize(got));
      }
      return status;
    };
    const auto intact = [&] { EXPECT_EQ(classifier.encode(kIds).hidden.empty(), false); };
    EXPECT_GT(fail_allocations("classify", call, intact, 7), 10);
  }
}

// The file that was there stays as it was until the new one is whole, and nothing stays beside it.
TEST_F(MemoryFault, Converting) {
  const std::pair<std::string, const char*> models[] = {
      {bert_folder_, "int8"}, {translator_folder_, "f32"}, {layers_folder_, "bf16"}};
  for (const auto& model : models) {
    const std::string& from = model.first;
    const TempDir dir;
    const std::string path = dir.file("model.headlane");
    headlane_convert_options options = HEADLANE_INIT(headlane_convert_options);
    options.precision = model.second;
    check(headlane_convert(from.c_str(), path.c_str(), &options));
    const std::string expected = read_file(path);
    const auto call = [&] { return headlane_convert(from.c_str(), path.c_str(), &options); };
    const auto intact = [&] {
      EXPECT_EQ(dir.n_entries(), 1u);
      EXPECT_EQ(read_file(path), expected);
    };
    EXPECT_GT(fail_allocations(from.c_str(), call, intact, 61), 100);
  }
}

TEST_F(MemoryFault, PackingAndMapping) {
  const TempDir dir;
  const std::string from = dir.file("model.headlane"), path = dir.file("packed.headlane");
  check(headlane_convert(bert_folder_.c_str(), from.c_str(), nullptr));
  check(headlane_pack(from.c_str(), path.c_str(), nullptr));
  const std::string expected = read_file(path);
  const auto pack = [&] { return headlane_pack(from.c_str(), path.c_str(), nullptr); };
  const auto intact = [&] {
    EXPECT_EQ(dir.n_entries(), 2u);
    EXPECT_EQ(read_file(path), expected);
  };
  EXPECT_GT(fail_allocations("pack", pack, intact, 61), 100);
  headlane_model_options options = HEADLANE_INIT(headlane_model_options);
  options.map = options.verify = 1;
  const auto open = [&] {
    headlane_model* model = nullptr;
    const headlane_status status = headlane_model_open(path.c_str(), &options, &model);
    headlane_model_destroy(model);
    return status;
  };
  EXPECT_GT(fail_allocations("open mapped", open, intact, 61), 20);
}

}  // namespace
}  // namespace headlane::test

// The C API's promises: statuses and sentences, exact memory, structs of other ages, sessions at
// once.
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/api/encoder.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {
namespace {

class CApi : public testing::Test {
 protected:
  void SetUp() override {
    path_ = temp_.file("model.headlane");
    check(headlane_convert(HEADLANE_GOLDEN_DIR "/bert/head_dim_16_mean_normalize", path_.c_str(),
                           nullptr));
  }

  // The call failed with this status, and the sentence names `named`.
  static void expect_failure(headlane_status got, headlane_status expected,
                             const std::string& named) {
    EXPECT_EQ(got, expected) << headlane_error();
    EXPECT_NE(std::string(headlane_error()).find(named), std::string::npos) << headlane_error();
  }

  void check_callers_memory(const std::string& precision);

  TempDir temp_;
  std::string path_;
};

TEST_F(CApi, NullsAreNamed) {
  headlane_model* model = nullptr;
  expect_failure(headlane_model_open(nullptr, nullptr, &model), HEADLANE_INVALID_ARGUMENT, "path");
  expect_failure(headlane_model_open("x", nullptr, nullptr), HEADLANE_INVALID_ARGUMENT, "out");
  expect_failure(headlane_session_create(nullptr, nullptr, nullptr), HEADLANE_INVALID_ARGUMENT,
                 "model");
  expect_failure(headlane_session_encode(nullptr, nullptr, nullptr), HEADLANE_INVALID_ARGUMENT,
                 "session");
  expect_failure(headlane_convert(nullptr, "x", nullptr), HEADLANE_INVALID_ARGUMENT, "path");
  expect_failure(headlane_model_get_facts(nullptr, nullptr), HEADLANE_INVALID_ARGUMENT, "model");
  headlane_model_destroy(nullptr);
  headlane_session_destroy(nullptr);
  EXPECT_EQ(headlane_model_kernels(nullptr), nullptr);
}

TEST_F(CApi, FailedOpenWritesNothingAndNamesTheFile) {
  headlane_model* model = reinterpret_cast<headlane_model*>(1);
  expect_failure(headlane_model_open("/nonexistent/m.headlane", nullptr, &model), HEADLANE_IO,
                 "/nonexistent/m.headlane");
  EXPECT_EQ(model, reinterpret_cast<headlane_model*>(1));
  expect_failure(headlane_model_open(HEADLANE_GOLDEN_DIR "/README.md", nullptr, &model),
                 HEADLANE_BAD_FILE, "README.md");
}

TEST_F(CApi, ErrorIsClearedByTheNextCallAndPerThread) {
  headlane_model* model = nullptr;
  EXPECT_NE(headlane_model_open(nullptr, nullptr, &model), HEADLANE_OK);
  EXPECT_STRNE(headlane_error(), "");
  std::thread([] { EXPECT_STREQ(headlane_error(), ""); }).join();
  EXPECT_EQ(headlane_model_open(path_.c_str(), nullptr, &model), HEADLANE_OK);
  EXPECT_STREQ(headlane_error(), "");
  headlane_model_destroy(model);
}

TEST_F(CApi, OptionsAreChecked) {
  headlane_model* model = nullptr;
  headlane_model_options options = HEADLANE_INIT(headlane_model_options);
  options.isa = "sse9";
  expect_failure(headlane_model_open(path_.c_str(), &options, &model), HEADLANE_INVALID_ARGUMENT,
                 "sse9");
  options.isa = nullptr;
  options.gemm = "mkl";
  expect_failure(headlane_model_open(path_.c_str(), &options, &model), HEADLANE_INVALID_ARGUMENT,
                 "mkl");
  options.struct_size = 0;
  expect_failure(headlane_model_open(path_.c_str(), &options, &model), HEADLANE_INVALID_ARGUMENT,
                 "struct_size");

  Encoder encoder(path_, "", 1);
  headlane_session* session = nullptr;
  headlane_session_options wrong = HEADLANE_INIT(headlane_session_options);
  wrong.max_tokens = -1;
  expect_failure(headlane_session_create(encoder.model(), &wrong, &session),
                 HEADLANE_INVALID_ARGUMENT, "max_tokens");
  wrong.max_tokens = 0;
  wrong.max_len = encoder.facts().max_positions + 1;
  expect_failure(headlane_session_create(encoder.model(), &wrong, &session),
                 HEADLANE_INVALID_ARGUMENT, "max_len");
  wrong.max_len = 0;
  wrong.n_threads = -3;
  expect_failure(headlane_session_create(encoder.model(), &wrong, &session),
                 HEADLANE_INVALID_ARGUMENT, "n_threads");
}

// An older caller's struct is shorter, a newer one's longer: fields that are not there count as
// zero, and fields that this library does not know must be.
TEST_F(CApi, StructsOfOtherAges) {
  Encoder encoder(path_, "", 1);
  struct {
    headlane_session_options known;
    int64_t later;
  } newer{};
  newer.known.struct_size = sizeof newer;
  size_t bytes = 0;
  EXPECT_EQ(headlane_session_bytes(encoder.model(), &newer.known, &bytes), HEADLANE_OK);
  newer.later = 1;
  expect_failure(headlane_session_bytes(encoder.model(), &newer.known, &bytes),
                 HEADLANE_UNSUPPORTED, "headlane_session_options");

  headlane_session_options older = HEADLANE_INIT(headlane_session_options);
  older.struct_size = offsetof(headlane_session_options, max_len);
  older.max_len = -1;  // beyond the older caller's struct: must not be read
  EXPECT_EQ(headlane_session_bytes(encoder.model(), &older, &bytes), HEADLANE_OK);

  headlane_model_facts facts;
  std::memset(&facts, 0x55, sizeof facts);
  facts.struct_size = offsetof(headlane_model_facts, n_layers);
  EXPECT_EQ(headlane_model_get_facts(encoder.model(), &facts), HEADLANE_OK);
  EXPECT_STREQ(facts.architecture, "bert");
  EXPECT_EQ(facts.n_layers, 0x5555555555555555);  // beyond the older caller's struct: not written
}

TEST_F(CApi, FactsAsJson) {
  Encoder encoder(path_, "ref", 1);
  const nlohmann::json facts = nlohmann::json::parse(Model(path_).json());
  EXPECT_EQ(facts["config"]["d_model"], 48);
  EXPECT_EQ(facts["tokenizer"]["type"], "wordpiece");
  EXPECT_EQ(facts["tokenizer"]["languages"].size(), 0u);
  EXPECT_EQ(facts["file_bytes"], encoder.facts().file_bytes);
  EXPECT_EQ(facts["precision"], "f32");
  EXPECT_EQ(std::ssize(facts["tensors"]), encoder.facts().n_tensors);
  for (const char* key : {"isa", "gemm", "kernels", "n_parameters", "packed_bytes",
                          "file_precision", "auto_precision"}) {
    EXPECT_TRUE(facts.contains(key)) << key;
  }
  int64_t n = 0;
  ASSERT_EQ(headlane_model_get_json(encoder.model(), nullptr, 0, &n), HEADLANE_OK);
  std::string text(static_cast<size_t>(n), 'x');
  ASSERT_EQ(headlane_model_get_json(encoder.model(), text.data(), n, &n), HEADLANE_OK);
  EXPECT_EQ(nlohmann::json::parse(text)["isa"], "ref");
  expect_failure(headlane_model_get_json(encoder.model(), text.data(), n - 1, &n),
                 HEADLANE_TOO_LARGE, "capacity is ");
  expect_failure(headlane_model_get_json(nullptr, nullptr, 0, &n), HEADLANE_INVALID_ARGUMENT,
                 "model is null");
}

TEST_F(CApi, FactsAndTensors) {
  Encoder encoder(path_, "ref", 1);
  const headlane_model_facts& facts = encoder.facts();
  EXPECT_STREQ(facts.architecture, "bert");
  EXPECT_STREQ(facts.isa, "ref");
  EXPECT_STREQ(facts.pooling, "mean");
  EXPECT_EQ(facts.normalize, 1);
  EXPECT_EQ(facts.n_heads, 3);
  EXPECT_EQ(facts.head_dim, 16);
  EXPECT_EQ(facts.d_model, 48);
  int64_t floats = 0;
  for (int64_t i = 0; i < facts.n_tensors; ++i) {
    headlane_tensor_facts tensor{};
    tensor.struct_size = sizeof tensor;
    ASSERT_EQ(headlane_model_get_tensor(encoder.model(), i, &tensor), HEADLANE_OK);
    int64_t size = 1;
    for (int64_t r = 0; r < tensor.rank; ++r) size *= tensor.shape[r];
    if (std::string(tensor.dtype) == "f32") floats += size;
  }
  EXPECT_EQ(floats, facts.n_parameters);
  headlane_tensor_facts tensor{};
  tensor.struct_size = sizeof tensor;
  expect_failure(headlane_model_get_tensor(encoder.model(), facts.n_tensors, &tensor),
                 HEADLANE_INVALID_ARGUMENT, "index");
  EXPECT_NE(std::string(headlane_model_kernels(encoder.model())).find("gemm_f32: ref"),
            std::string::npos);
}

TEST_F(CApi, BadBatchesAreNamedAndWriteNothing) {
  Encoder encoder(path_, "", 1, 64);
  const size_t d = static_cast<size_t>(encoder.facts().d_model);
  std::vector<float> pooled(2 * d, 42.0f);
  const std::vector<float> untouched = pooled;
  const auto encode = [&](int64_t n_seqs, const int64_t* offsets, const int32_t* ids,
                          const int32_t* types) {
    const headlane_batch batch{.struct_size = sizeof batch,
                               .n_seqs = n_seqs,
                               .offsets = offsets,
                               .ids = ids,
                               .type_ids = types};
    const headlane_outputs outputs{.struct_size = sizeof outputs, .pooled = pooled.data()};
    return headlane_session_encode(encoder.session(), &batch, &outputs);
  };
  const int32_t ids[] = {1, 2, 3, 4};
  const int64_t good[] = {0, 2, 4}, falls[] = {0, 3, 2}, starts[] = {1, 2, 4},
                huge[] = {0, INT64_MAX, 4}, low[] = {0, INT64_MIN, 4}, wide[] = {0, 65};
  expect_failure(encode(-1, good, ids, nullptr), HEADLANE_INVALID_ARGUMENT, "n_seqs");
  expect_failure(encode(2, nullptr, ids, nullptr), HEADLANE_INVALID_ARGUMENT, "offsets");
  expect_failure(encode(2, good, nullptr, nullptr), HEADLANE_INVALID_ARGUMENT, "ids");
  expect_failure(encode(2, starts, ids, nullptr), HEADLANE_INVALID_ARGUMENT, "offsets[0]");
  expect_failure(encode(2, falls, ids, nullptr), HEADLANE_INVALID_ARGUMENT, "offsets[2]");
  expect_failure(encode(2, low, ids, nullptr), HEADLANE_INVALID_ARGUMENT, "offsets[1]");
  expect_failure(encode(2, huge, ids, nullptr), HEADLANE_TOO_LARGE, "max_tokens");
  expect_failure(encode(1, wide, ids, nullptr), HEADLANE_TOO_LARGE, "max_tokens");
  expect_failure(encode(65, good, ids, nullptr), HEADLANE_TOO_LARGE, "max_seqs");
  const int32_t over[] = {1, 2, 3, static_cast<int32_t>(encoder.facts().vocab_size)},
                under[] = {1, -1, 2, 3};
  expect_failure(encode(2, good, over, nullptr), HEADLANE_INVALID_ARGUMENT, "ids[3]");
  expect_failure(encode(2, good, under, nullptr), HEADLANE_INVALID_ARGUMENT, "ids[1]");
  const int32_t types[] = {0, 0, 99, 0};
  expect_failure(encode(2, good, ids, types), HEADLANE_INVALID_ARGUMENT, "type_ids[2]");
  EXPECT_EQ(pooled, untouched);
  // The session is as good as new.
  EXPECT_EQ(encode(2, good, ids, nullptr), HEADLANE_OK);
  EXPECT_NE(pooled, untouched);
}

TEST_F(CApi, EmptyBatchesAndEmptySequences) {
  Encoder encoder(path_, "", 2);
  const size_t d = static_cast<size_t>(encoder.facts().d_model);
  EXPECT_TRUE(encoder.encode({}).pooled.empty());
  const Encoded some = encoder.encode({{}, {5, 6, 7}, {}});
  const Encoded alone = encoder.encode({{5, 6, 7}});
  EXPECT_EQ(std::vector<float>(some.pooled.begin(), some.pooled.begin() + d),
            std::vector<float>(d));
  EXPECT_EQ(std::vector<float>(some.pooled.begin() + d, some.pooled.begin() + 2 * d), alone.pooled);
  EXPECT_EQ(std::vector<float>(some.pooled.begin() + 2 * d, some.pooled.end()),
            std::vector<float>(d));
}

TEST_F(CApi, PooledOfAModelWithoutPoolingIsRefused) {
  const std::string path = temp_.file("plain.headlane");
  headlane_convert_options options = HEADLANE_INIT(headlane_convert_options);
  options.pooling = "none";
  check(headlane_convert(HEADLANE_GOLDEN_DIR "/bert/head_dim_7_odd_width", path.c_str(), &options));
  Encoder encoder(path, "", 1);
  const int32_t ids[] = {1};
  const int64_t offsets[] = {0, 1};
  float pooled[64];
  const headlane_batch batch{
      .struct_size = sizeof batch, .n_seqs = 1, .offsets = offsets, .ids = ids};
  const headlane_outputs outputs{.struct_size = sizeof outputs, .pooled = pooled};
  expect_failure(headlane_session_encode(encoder.session(), &batch, &outputs), HEADLANE_UNSUPPORTED,
                 "pooling");
  int64_t n = 0;
  expect_failure(headlane_model_tokenize(encoder.model(), "a", 1, nullptr, nullptr, 0, &n),
                 HEADLANE_UNSUPPORTED, "tokenizer");
}

// The caller's block of exactly the size asked for is enough, one byte less is refused, and nothing
// around it is written.
void CApi::check_callers_memory(const std::string& precision) {
  SCOPED_TRACE(precision);
  Encoder encoder(path_, "", 2, 256, "headlane", precision);
  headlane_session_options options = HEADLANE_INIT(headlane_session_options);
  options.max_tokens = 256;
  options.n_threads = 2;
  size_t bytes = 0;
  check(headlane_session_bytes(encoder.model(), &options, &bytes));
  ASSERT_GT(bytes, 0u);
  std::vector<unsigned char> block(bytes + 3 * 64, 0xff);
  unsigned char* aligned =
      block.data() + 64 + (64 - reinterpret_cast<uintptr_t>(block.data()) % 64);
  options.memory = aligned;
  options.memory_bytes = bytes - 1;
  headlane_session* session = nullptr;
  expect_failure(headlane_session_create(encoder.model(), &options, &session),
                 HEADLANE_INVALID_ARGUMENT, "memory_bytes");
  options.memory = aligned + 4;
  options.memory_bytes = bytes;
  expect_failure(headlane_session_create(encoder.model(), &options, &session),
                 HEADLANE_INVALID_ARGUMENT, "aligned");
  options.memory = aligned;
  check(headlane_session_create(encoder.model(), &options, &session));
  const SessionHandle owner(session);
  std::vector<int32_t> ids(256);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i % 50);
  std::vector<int64_t> offsets;
  for (int64_t i = 0; i <= 8; ++i) offsets.push_back(i * 32);
  std::vector<float> pooled(8 * static_cast<size_t>(encoder.facts().d_model));
  const headlane_batch batch{
      .struct_size = sizeof batch, .n_seqs = 8, .offsets = offsets.data(), .ids = ids.data()};
  const headlane_outputs outputs{.struct_size = sizeof outputs, .pooled = pooled.data()};
  check(headlane_session_encode(session, &batch, &outputs));
  for (unsigned char* p = block.data(); p < aligned; ++p) ASSERT_EQ(*p, 0xff);
  for (unsigned char* p = aligned + bytes; p < block.data() + block.size(); ++p)
    ASSERT_EQ(*p, 0xff);
  const Encoded expected = encoder.encode([&] {
    Sequences seqs;
    for (size_t i = 0; i < 8; ++i)
      seqs.emplace_back(ids.begin() + 32 * i, ids.begin() + 32 * (i + 1));
    return seqs;
  }());
  EXPECT_EQ(pooled, expected.pooled);
}

TEST_F(CApi, CallersMemoryIsExact) {
  for (const char* precision : {"f32", "bf16", "int8"}) check_callers_memory(precision);
}

// Twice the tokens take at most twice the memory, the part for a sequence's scores apart.
TEST_F(CApi, MemoryGrowsLinearly) {
  Encoder encoder(path_, "", 1);
  const auto bytes_for = [&](int64_t tokens) {
    headlane_session_options options = HEADLANE_INIT(headlane_session_options);
    options.max_tokens = tokens;
    options.n_threads = 1;
    size_t bytes = 0;
    check(headlane_session_bytes(encoder.model(), &options, &bytes));
    return bytes;
  };
  const size_t base = bytes_for(1024);
  EXPECT_LE(bytes_for(2048), 2 * base);
  EXPECT_LE(bytes_for(65536), 64 * base);
}

TEST_F(CApi, SessionsRunAtOnceOnOneModel) {
  Encoder encoder(path_, "", 2);
  Sequences ids;
  for (int32_t i = 1; i < 30; ++i) ids.emplace_back(static_cast<size_t>(i), i);
  const Encoded expected = encoder.encode(ids);
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      headlane_session_options options = HEADLANE_INIT(headlane_session_options);
      options.n_threads = 1 + t % 2;
      options.max_len = 64;
      headlane_session* created = nullptr;
      check(headlane_session_create(encoder.model(), &options, &created));
      const SessionHandle session(created);
      std::vector<int32_t> flat;
      std::vector<int64_t> offsets = {0};
      for (const auto& seq : ids) {
        flat.insert(flat.end(), seq.begin(), seq.end());
        offsets.push_back(static_cast<int64_t>(flat.size()));
      }
      std::vector<float> pooled(expected.pooled.size());
      const headlane_batch batch{.struct_size = sizeof batch,
                                 .n_seqs = static_cast<int64_t>(ids.size()),
                                 .offsets = offsets.data(),
                                 .ids = flat.data()};
      const headlane_outputs outputs{.struct_size = sizeof outputs, .pooled = pooled.data()};
      for (int round = 0; round < 20; ++round) {
        ASSERT_EQ(headlane_session_encode(session.get(), &batch, &outputs), HEADLANE_OK);
        ASSERT_EQ(pooled, expected.pooled);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(CApi, StatusNamesAndVersion) {
  for (int status = 0; status <= 7; ++status) {
    EXPECT_STRNE(headlane_status_name(static_cast<headlane_status>(status)), "unknown status");
  }
  EXPECT_STREQ(headlane_version(), "0.1.0");
}

}  // namespace
}  // namespace headlane::test

// Models in bf16 and int8: how far from float64, the same bits in any company, options and facts.
#include "tests/api/precision.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <random>
#include <thread>

#include "tests/api/attention.h"
#include "tests/support/isas.h"

namespace headlane::test {
namespace {

namespace fs = std::filesystem;

const char* const kNamedPrecisions[] = {"f32", "bf16", "int8"};

// A golden model with its ids and hidden states.
struct Golden {
  explicit Golden(const std::string& name, const std::string& precision = "") {
    const std::string folder = golden_encoder(name);
    path = temp.file("model.headlane");
    convert_to(folder, path, precision);
    ids = read_ids(folder + "/ids.txt");
    if (fs::exists(folder + "/types.txt")) types = read_ids(folder + "/types.txt");
    hidden = read_npy(folder + "/hidden.npy").data;
  }
  Encoder open(const std::string& isa, const std::string& precision, int n_threads = 1) const {
    return Encoder(path, isa, n_threads, 4096, "headlane", precision);
  }
  std::vector<float> encode(Encoder& encoder) const { return encoder.encode(ids, types).hidden; }

  TempDir temp;
  std::string path;
  Sequences ids, types;
  std::vector<float> hidden;
};

// Below so many columns errors do not average out, and a norm, which subtracts a mean of few, makes
// more of them: those models are held to less.
constexpr int64_t kWide = 24;

class Precision : public AttentionTest {};

// A layer rounds ten times to bf16 on the way from a row to the next: x, W, q, k and v, P, O, W, x,
// W, what is activated, W; the words, where they are stored so, are one more. Each is off by 2^-8
// of its length at most, all by their sum if none cancelled another.
double bf16_bound(const headlane_model_facts& facts) {
  const double roundings = 10.0 * static_cast<double>(facts.n_layers) + 1;
  return roundings / 256 * (facts.d_model < kWide ? 2 : 1);
}

TEST_P(Precision, Bf16IsNearTheGoldenHiddenStates) {
  for (const std::string& name : golden_encoders()) {
    const Golden golden(name);
    Encoder encoder = golden.open(GetParam(), "bf16");
    const headlane_model_facts& facts = encoder.facts();
    EXPECT_STREQ(facts.precision, "bf16");
    EXPECT_LE(
        farthest_row(golden.encode(encoder), golden.hidden, static_cast<size_t>(facts.d_model)),
        bf16_bound(facts))
        << name;
  }
}

// int8 cuts a row's range into 255 steps, some 40 to a standard deviation of weights or
// activations: half a step is 1.2 % of it, three times what bf16 rounds away, at each of a layer's
// four products. A cosine of 0.99 is a distance of 14 %, four such roundings a layer twice over.
TEST_P(Precision, Int8IsNearTheGoldenHiddenStates) {
  for (const std::string& name : golden_encoders()) {
    const Golden golden(name);
    Encoder encoder = golden.open(GetParam(), "int8");
    const headlane_model_facts& facts = encoder.facts();
    EXPECT_STREQ(facts.precision, "int8");
    EXPECT_GT(
        smallest_cosine(golden.encode(encoder), golden.hidden, static_cast<size_t>(facts.d_model)),
        facts.d_model < kWide ? 0.95 : 0.99)
        << name;
  }
}

// The same bits alone, in any order, in any batch, for any number of threads.
TEST_P(Precision, BitsDoNotDependOnTheBatch) {
  std::mt19937 random(7);
  for (const char* name :
       {"bert/head_dim_16_mean_normalize", "bert/head_dim_33_odd", "encoders/roberta_padding_5",
        "encoders/electra_narrow_tables", "encoders/mpnet_all_buckets", "encoders/gte_makers"}) {
    const Golden golden(name);
    for (const char* precision : {"bf16", "int8"}) {
      SCOPED_TRACE(std::string(name) + " " + precision);
      Encoder one = golden.open(GetParam(), precision);
      const size_t d = static_cast<size_t>(one.facts().d_model);
      std::vector<std::vector<float>> alone;
      std::vector<size_t> order;
      for (size_t i = 0; i < golden.ids.size(); ++i) {
        alone.push_back(one.encode({golden.ids[i]}).hidden);
        order.push_back(i);
      }
      for (const int n_threads : {1, 2, 3}) {
        const SessionHandle session = session_of(one.model(), precision, n_threads, 4096);
        std::shuffle(order.begin(), order.end(), random);
        Sequences ids;
        for (const size_t i : order) ids.push_back(golden.ids[i]);
        const std::vector<float> all = encode(session.get(), one.facts(), ids).hidden;
        size_t row = 0;
        for (const size_t i : order) {
          ASSERT_EQ(0, std::memcmp(&all[row * d], alone[i].data(), alone[i].size() * 4)) << i;
          row += golden.ids[i].size();
        }
      }
    }
  }
}

// Nothing is read that was not written first: ends of rows, of odd widths too, come upon NaN here.
TEST_P(Precision, WhatIsInTheCallersMemoryDoesNotMatter) {
  for (const std::string& name : golden_encoders()) {
    const Golden golden(name);
    const Sequences ids = {golden.ids.back(), {}, golden.ids.front()};
    for (const char* precision : {"bf16", "int8"}) {
      SCOPED_TRACE(name + " " + precision);
      Encoder encoder = golden.open(GetParam(), precision);
      headlane_session_options options = HEADLANE_INIT(headlane_session_options);
      options.max_tokens = 1024;
      options.n_threads = 2;
      check(headlane_session_bytes(encoder.model(), &options, &options.memory_bytes));
      const std::unique_ptr<void, decltype(&std::free)> block(
          std::aligned_alloc(64, (options.memory_bytes + 63) / 64 * 64), std::free);
      std::memset(block.get(), 0xff, options.memory_bytes);
      options.memory = block.get();
      headlane_session* made = nullptr;
      check(headlane_session_create(encoder.model(), &options, &made));
      const SessionHandle session(made);
      const std::vector<float> hidden = encode(made, encoder.facts(), ids).hidden;
      ASSERT_TRUE(same_bits(hidden, encoder.encode(ids).hidden));
      for (const float value : hidden) ASSERT_TRUE(std::isfinite(value));
    }
  }
}

TEST_P(Precision, EmptyBatchesAndEmptySequences) {
  const Golden golden("bert/head_dim_16_mean_normalize");
  for (const char* precision : {"bf16", "int8"}) {
    Encoder encoder = golden.open(GetParam(), precision, 2);
    EXPECT_TRUE(encoder.encode({}).pooled.empty());
    const size_t d = static_cast<size_t>(encoder.facts().d_model);
    const std::vector<float> some = encoder.encode({{}, {5, 6, 7}, {}}).pooled;
    std::vector<float> expected(3 * d);
    const std::vector<float> alone = encoder.encode({{5, 6, 7}}).pooled;
    std::copy(alone.begin(), alone.end(), expected.begin() + static_cast<int64_t>(d));
    EXPECT_EQ(some, expected) << precision;
  }
}

// The maps of each layer, head and query, which were asked for beside the hidden states.
TEST_P(Precision, AttentionMapsSumToOne) {
  const Golden golden("bert/head_dim_7_odd_width");
  const std::vector<int32_t>& ids = golden.ids.back();
  const int64_t n = static_cast<int64_t>(ids.size());
  std::vector<float> of_f32;
  for (const char* precision : kNamedPrecisions) {
    Encoder encoder = golden.open(GetParam(), precision);
    const headlane_model_facts& facts = encoder.facts();
    std::vector<float> data(static_cast<size_t>(facts.n_layers * facts.n_heads * n * n));
    headlane_attention_maps maps = HEADLANE_INIT(headlane_attention_maps);
    maps.data = data.data();
    maps.query_stride = n;
    maps.head_stride = n * n;
    maps.seq_stride = maps.layer_stride = facts.n_heads * n * n;
    const int64_t offsets[] = {0, n};
    const headlane_batch batch{
        .struct_size = sizeof batch, .n_seqs = 1, .offsets = offsets, .ids = ids.data()};
    std::vector<float> hidden(static_cast<size_t>(n * facts.d_model));
    const headlane_outputs outputs{
        .struct_size = sizeof outputs, .hidden = hidden.data(), .attention = &maps};
    check(headlane_session_encode(encoder.session(), &batch, &outputs));
    EXPECT_TRUE(same_bits(hidden, encoder.encode({ids}).hidden)) << precision;
    for (size_t row = 0; row < data.size(); row += static_cast<size_t>(n)) {
      double sum = 0;
      for (size_t j = row; j < row + static_cast<size_t>(n); ++j) sum += data[j];
      ASSERT_NEAR(sum, 1, static_cast<double>(n + 8) * kEps) << precision << " row " << row;
    }
    if (of_f32.empty()) of_f32 = data;
    // Scores of a few, made of rows as near as bf16_bound() says.
    const bool is_near = smallest_cosine(data, of_f32, static_cast<size_t>(n)) > 0.99;
    EXPECT_TRUE(is_near || std::string(precision) == "int8") << precision;
  }
}

HEADLANE_FOR_EACH_NARROW_ISA(Precision);

class PrecisionOptions : public testing::Test {
 protected:
  static void expect_failure(headlane_status got, headlane_status expected,
                             const std::string& named) {
    EXPECT_EQ(got, expected) << headlane_error();
    EXPECT_NE(std::string(headlane_error()).find(named), std::string::npos) << headlane_error();
  }

  const Golden golden_{"bert/head_dim_16_mean_normalize"};
};

TEST_F(PrecisionOptions, ASessionsPrecisionIsItsOwn) {
  for (const char* of_model : kNamedPrecisions) {
    Encoder encoder = golden_.open("", of_model);
    int64_t packed = encoder.facts().packed_bytes;
    EXPECT_GT(packed, 0);
    for (const char* of_session : kNamedPrecisions) {
      Encoder expected = golden_.open("", of_session);
      const SessionHandle session = session_of(encoder.model(), of_session, 1, 4096);
      EXPECT_TRUE(same_bits(encode(session.get(), encoder.facts(), golden_.ids).hidden,
                            expected.encode(golden_.ids).hidden))
          << of_session << " in a model of " << of_model;
      if (std::string(of_model) != of_session) packed += expected.facts().packed_bytes;
      EXPECT_EQ(facts_of(encoder.model()).packed_bytes, packed) << "one packing a precision";
    }
    EXPECT_STREQ(facts_of(encoder.model()).precision, of_model);
    const SessionHandle unnamed = session_of(encoder.model(), nullptr, 1, 4096);
    EXPECT_TRUE(same_bits(encode(unnamed.get(), encoder.facts(), golden_.ids).hidden,
                          encoder.encode(golden_.ids).hidden));
  }
}

// Each makes its session, which packs the weights, and runs, while the others do.
TEST_F(PrecisionOptions, SessionsRunAtOnceInAnyPrecision) {
  std::vector<Encoded> expected;
  for (const char* precision : kNamedPrecisions) {
    Encoder encoder = golden_.open("", precision);
    expected.push_back(encoder.encode(golden_.ids));
  }
  const ModelHandle model = open_model(golden_.path);
  const headlane_model_facts facts = facts_of(model.get());
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      const SessionHandle session =
          session_of(model.get(), kNamedPrecisions[t % 3], 1 + t % 2, 4096);
      for (int round = 0; round < 5; ++round) {
        ASSERT_TRUE(
            same_bits(encode(session.get(), facts, golden_.ids).hidden, expected[t % 3].hidden))
            << kNamedPrecisions[t % 3];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(PrecisionOptions, UnknownNamesAreRefused) {
  headlane_model* none = nullptr;
  headlane_model_options options = HEADLANE_INIT(headlane_model_options);
  for (const char* wrong : {"fp16", "BF16", "s8"}) {
    options.precision = wrong;
    expect_failure(headlane_model_open(golden_.path.c_str(), &options, &none),
                   HEADLANE_INVALID_ARGUMENT, std::string("precision is \"") + wrong + "\"");
  }
  const ModelHandle model = open_model(golden_.path);
  headlane_session_options of_session = HEADLANE_INIT(headlane_session_options);
  of_session.precision = "double";
  headlane_session* session = nullptr;
  size_t bytes = 0;
  expect_failure(headlane_session_create(model.get(), &of_session, &session),
                 HEADLANE_INVALID_ARGUMENT, "precision is \"double\"");
  expect_failure(headlane_session_bytes(model.get(), &of_session, &bytes),
                 HEADLANE_INVALID_ARGUMENT, "precision is \"double\"");
}

TEST_F(PrecisionOptions, OneDnnMultipliesFloatsAlone) {
  headlane_model* made = nullptr;
  headlane_model_options options = HEADLANE_INIT(headlane_model_options);
  options.gemm = "onednn";
  const headlane_status status = headlane_model_open(golden_.path.c_str(), &options, &made);
  if (status == HEADLANE_UNSUPPORTED) GTEST_SKIP() << headlane_error();
  const ModelHandle model(made);
  headlane_session_options of_session = HEADLANE_INIT(headlane_session_options);
  headlane_session* session = nullptr;
  for (const char* precision : {"bf16", "int8"}) {
    of_session.precision = precision;
    expect_failure(headlane_session_create(model.get(), &of_session, &session),
                   HEADLANE_UNSUPPORTED, "by onednn in");
    options.precision = precision;
    expect_failure(headlane_model_open(golden_.path.c_str(), &options, &made), HEADLANE_UNSUPPORTED,
                   "by onednn in");
  }
  // The refusals left the model as it was.
  EXPECT_NO_THROW(session_of(model.get(), "f32"));
}

// "auto" takes what the library says that the machine multiplies by itself.
TEST_F(PrecisionOptions, AutoIsTheFastestOfTheMachine) {
  std::vector<const char*> isas(std::begin(kIsas), std::end(kIsas));
  isas.push_back("");
  for (const char* isa : isas) {
    const ModelHandle model = open_model(golden_.path, isa, "auto");
    const headlane_model_facts facts = facts_of(model.get());
    const std::string kernels = headlane_model_kernels(model.get());
    const auto native = [&](const std::string& slot) {
      const size_t at = kernels.find(slot + ": ");
      EXPECT_NE(at, std::string::npos) << kernels;
      const std::string line = kernels.substr(at, kernels.find('\n', at) - at);
      return line.find("ref") == std::string::npos && line.find("widened") == std::string::npos;
    };
    const char* fastest = native("gemm_int8") ? "int8" : native("gemm_bf16") ? "bf16" : "f32";
    EXPECT_STREQ(facts.precision, fastest) << kernels;
    EXPECT_STREQ(facts.auto_precision, fastest) << kernels;
    EXPECT_STREQ(facts.file_precision, "f32");
  }
}

// A caller of before there was a precision.
TEST_F(PrecisionOptions, OlderStructsHaveNone) {
  headlane_model_options options = HEADLANE_INIT(headlane_model_options);
  options.struct_size = offsetof(headlane_model_options, precision);
  options.precision = reinterpret_cast<const char*>(1);  // beyond the older caller's struct
  headlane_model* made = nullptr;
  ASSERT_EQ(headlane_model_open(golden_.path.c_str(), &options, &made), HEADLANE_OK)
      << headlane_error();
  const ModelHandle model(made);
  EXPECT_STREQ(facts_of(made).precision, "f32");
  headlane_session_options of_session = HEADLANE_INIT(headlane_session_options);
  of_session.struct_size = offsetof(headlane_session_options, precision);
  of_session.precision = reinterpret_cast<const char*>(1);
  headlane_session* session = nullptr;
  ASSERT_EQ(headlane_session_create(made, &of_session, &session), HEADLANE_OK) << headlane_error();
  const SessionHandle owner(session);
}

// Whatever a file stores, it opens at every precision, and is as near as its weights allow: a layer
// has four of them, and the words are one more.
TEST(StoredPrecision, FilesOpenAtEveryPrecision) {
  for (const char* name : {"bert/head_dim_16_mean_normalize", "bert/head_dim_8_cls",
                           "bert/head_dim_33_odd", "encoders/electra_narrow_tables"}) {
    for (const char* stored : {"bf16", "int8"}) {
      const Golden golden(name, stored);
      for (const char* precision : {"", "f32", "bf16", "int8"}) {
        SCOPED_TRACE(std::string(name) + " in " + stored + " at " + precision);
        Encoder encoder = golden.open("", precision);
        const headlane_model_facts& facts = encoder.facts();
        EXPECT_STREQ(facts.file_precision, stored);
        EXPECT_STREQ(facts.precision, *precision ? precision : stored);
        const std::vector<float> hidden = golden.encode(encoder);
        const size_t d = static_cast<size_t>(facts.d_model);
        EXPECT_GT(smallest_cosine(hidden, golden.hidden, d), 0.99);
        if (std::string(stored) != "bf16" || std::string(precision) == "int8") continue;
        const double weights = (4.0 * static_cast<double>(facts.n_layers) + 1) / 256;
        EXPECT_LE(farthest_row(hidden, golden.hidden, d),
                  std::string(precision) == "f32" ? weights : bf16_bound(facts));
      }
    }
  }
}

// Scales of rows are no parameters.
TEST(StoredPrecision, ParametersAreCountedOnce) {
  const Golden wide("bert/head_dim_8_cls");
  Encoder expected = wide.open("", "");
  for (const char* stored : {"bf16", "int8"}) {
    const Golden golden("bert/head_dim_8_cls", stored);
    Encoder encoder = golden.open("", "");
    EXPECT_EQ(encoder.facts().n_parameters, expected.facts().n_parameters) << stored;
    EXPECT_LT(encoder.facts().file_bytes, expected.facts().file_bytes) << stored;
  }
}

TEST(StoredPrecision, ConversionChecksItsOptions) {
  const TempDir temp;
  const std::string folder = golden_bert("head_dim_8_cls"), out = temp.file("m.headlane");
  headlane_convert_options options = HEADLANE_INIT(headlane_convert_options);
  const auto expect_refused = [&](const std::string& words) {
    EXPECT_EQ(headlane_convert(folder.c_str(), out.c_str(), &options), HEADLANE_INVALID_ARGUMENT);
    EXPECT_NE(std::string(headlane_error()).find(words), std::string::npos) << headlane_error();
    EXPECT_FALSE(fs::exists(out));
  };
  for (const char* wrong : {"auto", "fp16"}) {
    options.precision = wrong;
    expect_refused(wrong);
  }
  options.precision = "int8";
  const char* names[] = {"encoder.layers.0.attention.qkv", "encoder.layers.9.attention.qkv"};
  options.higher_precision = names;
  options.n_higher_precision = 2;
  expect_refused("\"encoder.layers.9.attention.qkv\"");
  names[1] = nullptr;
  expect_refused("higher_precision");
  options.n_higher_precision = 1;
  ASSERT_EQ(headlane_convert(folder.c_str(), out.c_str(), &options), HEADLANE_OK)
      << headlane_error();
}

// Products that stay in bf16 are nearer, and the more of them the nearer: in the file as in a
// session of int8.
TEST(StoredPrecision, ProductsThatStayInBf16) {
  const TempDir temp;
  const Golden golden("bert/head_dim_8_cls");
  const char* const kAll[] = {"encoder.layers.0.attention.qkv", "encoder.layers.0.attention.out",
                              "encoder.layers.0.ffn.up",        "encoder.layers.0.ffn.down",
                              "encoder.layers.1.attention.qkv", "encoder.layers.1.attention.out",
                              "encoder.layers.1.ffn.up",        "encoder.layers.1.ffn.down"};
  double nearest = INFINITY;
  for (const int64_t n : {0, 8}) {
    const std::string path = temp.file("m.headlane");
    headlane_convert_options options = HEADLANE_INIT(headlane_convert_options);
    options.precision = "int8";
    options.higher_precision = kAll;
    options.n_higher_precision = n;
    check(headlane_convert(golden_bert("head_dim_8_cls").c_str(), path.c_str(), &options));
    Encoder encoder(path, "", 1);
    int64_t n_bf16 = 0;
    for (int64_t i = 0; i < encoder.facts().n_tensors; ++i) {
      headlane_tensor_facts tensor{};
      tensor.struct_size = sizeof tensor;
      check(headlane_model_get_tensor(encoder.model(), i, &tensor));
      if (std::string(tensor.dtype) == "bf16") ++n_bf16;
    }
    EXPECT_EQ(n_bf16, n);
    EXPECT_STREQ(encoder.facts().precision, "int8");
    const double distance = farthest_row(golden.encode(encoder), golden.hidden,
                                         static_cast<size_t>(encoder.facts().d_model));
    EXPECT_LT(distance, nearest);
    nearest = distance;
  }
}

}  // namespace
}  // namespace headlane::test

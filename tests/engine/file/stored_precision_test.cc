// Files that store weights in bf16 and int8: what conversion makes of them, and that none, however
// broken, does more harm than Error.
#include <algorithm>
#include <functional>
#include <map>

#include "engine/file/json.h"
#include "engine/import/convert.h"
#include "engine/model/model.h"
#include "tests/support/expect_error.h"
#include "tests/support/narrow.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

using test::nearest_bf16;

constexpr const char* kFolder = HEADLANE_GOLDEN_DIR "/bert/head_dim_8_cls";  // 2 layers of 24
constexpr const char* kUp = "encoder.layers.0.ffn.up.weight";                // [96, 24]
constexpr const char* kUpScale = "encoder.layers.0.ffn.up.scale";            // [96]

// A file taken apart, of which a test can spoil any part.
struct Parts {
  explicit Parts(const Container& container) : config(container.config()) {
    tokenizer = container.tokenizer();
    for (const TensorInfo& tensor : container.tensors()) {
      tensors.push_back({tensor.name, tensor.dtype, tensor.shape, container.data(tensor)});
    }
  }
  TensorSource& at(const std::string& name) {
    for (TensorSource& tensor : tensors) {
      if (tensor.name == name) return tensor;
    }
    throw std::runtime_error("no tensor " + name);
  }
  void remove(const std::string& name) {
    std::erase_if(tensors, [&](const TensorSource& tensor) { return tensor.name == name; });
  }
  Json config, tokenizer;
  std::vector<TensorSource> tensors;
};

class StoredPrecision : public testing::Test {
 protected:
  Container converted(Precision precision,
                      std::optional<std::vector<std::string>> higher = std::nullopt) {
    ConvertOptions options;
    options.precision = precision;
    options.higher_precision = std::move(higher);
    convert_model(kFolder, dir_.file("whole"), options);
    return Container::open(dir_.file("whole"));
  }

  // At each precision: a program reads what it is made of whatever it is to be.
  void expect_bad(Precision stored, const std::function<void(Parts*)>& spoil,
                  const std::string& words) {
    const Container whole = converted(stored);
    Parts parts(whole);
    spoil(&parts);
    write_container(dir_.file("m.headlane"), parts.config, parts.tokenizer, parts.tensors);
    for (const char* precision : {"", "f32", "bf16", "int8"}) {
      ModelOptions options;
      options.precision = precision;
      EXPECT_ERROR(Model::open(dir_.file("m.headlane"), options), Status::kBadFile,
                   "m.headlane" + words);
    }
  }

  TempDir dir_;
};

TEST_F(StoredPrecision, WeightsOfBf16AreTheNearest) {
  convert_model(kFolder, dir_.file("wide"), {});
  const Container wide = Container::open(dir_.file("wide")), narrow = converted(Precision::kBf16);
  ASSERT_EQ(wide.tensors().size(), narrow.tensors().size());
  int n_narrow = 0;
  for (const TensorInfo& tensor : wide.tensors()) {
    const TensorInfo* stored = narrow.find(tensor.name);
    ASSERT_NE(stored, nullptr) << tensor.name;
    ASSERT_EQ(stored->shape, tensor.shape) << tensor.name;
    if (stored->dtype != Format::kBf16) {
      const auto a = wide.data(tensor), b = narrow.data(*stored);
      EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end())) << tensor.name;
      continue;
    }
    ++n_narrow;
    const auto* x = reinterpret_cast<const float*>(wide.data(tensor).data());
    const auto* y = reinterpret_cast<const kernels::Bf16*>(narrow.data(*stored).data());
    for (int64_t i = 0; i < stored->bytes / 2; ++i) {
      ASSERT_EQ(y[i], nearest_bf16(x[i])) << tensor.name << " " << i;
    }
  }
  EXPECT_EQ(n_narrow, 2 * 4 + 1) << "four products a layer, and the words";
}

// By default all but the first third of the layers keep the projections of Q, K and V in bf16, and
// the first feed-forward its second product.
TEST_F(StoredPrecision, WeightsOfInt8HaveScales) {
  const auto dtypes = [&](const Container& container) {
    std::map<std::string, Format> result;
    for (const TensorInfo& tensor : container.tensors()) result[tensor.name] = tensor.dtype;
    return result;
  };
  auto of = dtypes(converted(Precision::kInt8));
  EXPECT_EQ(of.at("encoder.layers.0.attention.qkv.weight"), Format::kS8);
  EXPECT_EQ(of.at("encoder.layers.1.attention.qkv.weight"), Format::kBf16);
  EXPECT_EQ(of.count("encoder.layers.1.attention.qkv.scale"), 0u);
  EXPECT_EQ(of.at("encoder.layers.0.ffn.down.weight"), Format::kBf16);
  EXPECT_EQ(of.at("encoder.layers.1.ffn.down.weight"), Format::kS8);
  EXPECT_EQ(of.at("encoder.layers.1.ffn.down.scale"), Format::kF32);
  EXPECT_EQ(of.at("encoder.embeddings.word"), Format::kS8);
  EXPECT_EQ(of.at("encoder.embeddings.word.scale"), Format::kF32);
  EXPECT_EQ(of.at("encoder.positions.weight"), Format::kF32);
  EXPECT_EQ(of.at("encoder.layers.0.ffn.norm.weight"), Format::kF32);
  of = dtypes(converted(Precision::kInt8, std::vector<std::string>{}));
  EXPECT_EQ(of.at("encoder.layers.1.attention.qkv.weight"), Format::kS8);
  EXPECT_ERROR(converted(Precision::kInt8, std::vector<std::string>{"encoder.layers.0.ffn.middle"}),
               Status::kInvalidArgument, "encoder.layers.0.ffn.middle");
}

TEST_F(StoredPrecision, Scales) {
  const auto bad = [&](const std::function<void(Parts*)>& spoil, const std::string& words) {
    expect_bad(Precision::kInt8, spoil, words);
  };
  bad([](Parts* p) { p->remove(kUpScale); },
      ": tensor \"encoder.layers.0.ffn.up.scale\" is missing");
  bad([](Parts* p) { p->remove("encoder.embeddings.word.scale"); },
      ": tensor \"encoder.embeddings.word.scale\" is missing");
  bad(
      [](Parts* p) {
        p->at(kUpScale).shape = {96, 1};
      },
      ": tensor \"encoder.layers.0.ffn.up.scale\" is f32 [96, 1], not f32 [96]");
  bad(
      [](Parts* p) {
        p->at(kUpScale).shape = {95};
        p->at(kUpScale).data = p->at(kUpScale).data.first(95 * 4);
      },
      ": tensor \"encoder.layers.0.ffn.up.scale\" is f32 [95], not f32 [96]");
  bad(
      [](Parts* p) {
        p->at(kUpScale).dtype = Format::kU8;
        p->at(kUpScale).data = p->at(kUpScale).data.first(96);
      },
      ": tensor \"encoder.layers.0.ffn.up.scale\" is u8 [96], not f32 [96]");
}

TEST_F(StoredPrecision, ShapesAndTypesOfWeights) {
  const auto turn = [](Parts* p) { p->at(kUp).shape = {24, 96}; };
  expect_bad(Precision::kBf16, turn,
             ": tensor \"encoder.layers.0.ffn.up.weight\" is bf16 [24, 96], not");
  expect_bad(Precision::kInt8, turn,
             ": tensor \"encoder.layers.0.ffn.up.weight\" is s8 [24, 96], not");
  const auto flatten = [](Parts* p) { p->at(kUp).shape = {96 * 24}; };
  expect_bad(Precision::kBf16, flatten,
             ": tensor \"encoder.layers.0.ffn.up.weight\" is bf16 [2304], not");
  const auto cut = [](Parts* p) {
    p->at("encoder.embeddings.word").shape[0] -= 1;
    p->at("encoder.embeddings.word").data =
        p->at("encoder.embeddings.word").data.first(36 * 24 * 2);
  };
  expect_bad(Precision::kBf16, cut, ": tensor \"encoder.embeddings.word\" is bf16 [36, 24], not");
  expect_bad(
      Precision::kInt8, [](Parts* p) { p->at(kUp).dtype = Format::kU8; },
      ": tensor \"encoder.layers.0.ffn.up.weight\" is u8 [96, 24], not");
  expect_bad(
      Precision::kBf16, [](Parts* p) { p->remove(kUp); },
      ": tensor \"encoder.layers.0.ffn.up.weight\" is missing");
}

// A tensor that is no weight of a product is f32 always.
TEST_F(StoredPrecision, OtherTensorsAreFloats) {
  for (const char* name : {"encoder.layers.0.ffn.up.bias", "encoder.layers.0.ffn.norm.weight"}) {
    const auto narrow = [&](Parts* p) {
      TensorSource& tensor = p->at(name);
      tensor.dtype = Format::kBf16;
      tensor.data = tensor.data.first(tensor.data.size() / 2);
    };
    expect_bad(Precision::kF32, narrow, std::string(": tensor \"") + name + "\" is bf16");
  }
}

TEST_F(StoredPrecision, NamesOfProductsThatStay) {
  const auto bad = [&](const Json& value, const std::string& words) {
    expect_bad(
        Precision::kInt8, [&](Parts* p) { p->config["higher_precision"] = value; },
        ": config field \"higher_precision\" " + words);
  };
  const std::string no_array = ", not an array of strings";
  bad("encoder.layers.0.ffn.up", "is a string" + no_array);
  bad(3, "is 3" + no_array);
  bad(nullptr, "is null" + no_array);
  bad(Json::object(), "is an object" + no_array);
  bad({"encoder.layers.0.ffn.up", 3}, "is an array" + no_array);
  bad(Json::array({Json::array()}), "is an array" + no_array);
  bad(std::vector<std::string>((1 << 16) + 1, "x"), "has 65537 elements, more than 65536");
}

// Names of no product change nothing; those of others do, whatever the file stores of them.
TEST_F(StoredPrecision, NamesOfNoProductAreIgnored) {
  const Container whole = converted(Precision::kInt8);
  Parts parts(whole);
  parts.config["higher_precision"] = {"encoder.layers.0.ffn.up", "", "no such product"};
  write_container(dir_.file("m"), parts.config, parts.tokenizer, parts.tensors);
  const auto model = Model::open(dir_.file("m"), {});
  EXPECT_EQ(model->precision(), Precision::kInt8);
}

// Scales that are no numbers show in results, and harm nobody.
TEST_F(StoredPrecision, ScalesThatAreNotFinite) {
  const Container whole = converted(Precision::kInt8);
  for (const float scale : {std::nanf(""), INFINITY, -INFINITY, 3.4e38f}) {
    Parts parts(whole);
    const std::vector<float> scales(96, scale);
    parts.at(kUpScale).data = std::as_bytes(std::span(scales));
    write_container(dir_.file("m"), parts.config, parts.tokenizer, parts.tensors);
    for (const char* precision : {"f32", "bf16", "int8"}) {
      ModelOptions options;
      options.precision = precision;
      EXPECT_NO_THROW(Model::open(dir_.file("m"), options));
    }
  }
}

}  // namespace
}  // namespace headlane

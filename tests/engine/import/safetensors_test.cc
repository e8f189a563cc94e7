#include "engine/import/source/safetensors.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <filesystem>
#include <limits>

#include "tests/support/expect_error.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

using nlohmann::json;

constexpr float kInf = std::numeric_limits<float>::infinity();

uint32_t bits_of(float value) { return std::bit_cast<uint32_t>(value); }

// The value of a half by the definition: (-1)^s 2^(e-15) 1.m, or 2^-14 0.m.
float half_by_definition(uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int mantissa = bits & 1023;
  double value =
      exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  if (exponent == 31) value = mantissa == 0 ? kInf : NAN;
  return static_cast<float>((bits & 0x8000) != 0 ? -value : value);
}

TEST(HalfFormats, EveryF16) {
  for (int i = 0; i < 65536; ++i) {
    const auto bits = static_cast<uint16_t>(i);
    const float expected = half_by_definition(bits);
    const float value = f32_from_f16(bits);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(value)) << i;
      EXPECT_EQ(std::signbit(value), i >= 0x8000) << i;
    } else {
      EXPECT_EQ(bits_of(value), bits_of(expected)) << i;
    }
  }
}

TEST(HalfFormats, F16Landmarks) {
  EXPECT_EQ(f32_from_f16(0x3C00), 1.0f);
  EXPECT_EQ(f32_from_f16(0xC000), -2.0f);
  EXPECT_EQ(f32_from_f16(0x7BFF), 65504.0f);         // the largest
  EXPECT_EQ(f32_from_f16(0x0400), 0x1p-14f);         // the smallest normal
  EXPECT_EQ(f32_from_f16(0x03FF), 1023 * 0x1p-24f);  // the largest subnormal
  EXPECT_EQ(f32_from_f16(0x0001), 0x1p-24f);         // the smallest
  EXPECT_EQ(bits_of(f32_from_f16(0x8000)), 0x80000000u);
  EXPECT_EQ(f32_from_f16(0x7C00), kInf);
  EXPECT_EQ(f32_from_f16(0xFC00), -kInf);
  EXPECT_TRUE(std::isnan(f32_from_f16(0x7E00)));
}

TEST(HalfFormats, BF16IsTheUpperHalf) {
  EXPECT_EQ(f32_from_bf16(0x3F80), 1.0f);
  EXPECT_EQ(f32_from_bf16(0xC049), -3.140625f);
  EXPECT_EQ(f32_from_bf16(0x0001), 0x1p-133f);  // a subnormal of f32 too
  EXPECT_EQ(f32_from_bf16(0x7F80), kInf);
  EXPECT_EQ(f32_from_bf16(0xFF80), -kInf);
  EXPECT_TRUE(std::isnan(f32_from_bf16(0x7FC0)));
  EXPECT_EQ(bits_of(f32_from_bf16(0x8000)), 0x80000000u);
}

class Safetensors : public testing::Test {
 protected:
  SafetensorsModel open(const std::string& bytes) {
    write_file(path_, bytes);
    return SafetensorsModel(dir_.path());
  }
  SafetensorsModel open(const std::vector<TestTensor>& tensors) {
    return open(safetensors_bytes(tensors));
  }
  void expect_bad(const std::string& header, const std::string& words, size_t data_bytes = 8) {
    EXPECT_ERROR(open(safetensors_file(header, std::string(data_bytes, 'x'))), Status::kBadFile,
                 "model.safetensors" + words);
  }
  // A header of one tensor, a valid one but for what `change` sets.
  std::string header(const json& change) {
    json tensor = {{"dtype", "F32"}, {"shape", {2}}, {"data_offsets", {0, 8}}};
    tensor.update(change);
    return json({{"a", tensor}}).dump();
  }

  TempDir dir_;
  const std::string path_ = dir_.file("model.safetensors");
};

TEST_F(Safetensors, F32) {
  const SafetensorsModel model = open({f32_tensor("a", {2, 2}, {1, 2, 3, 4}),
                                       f32_tensor("none", {0, 2}, {}), f32_tensor("s", {}, {7})});
  EXPECT_EQ(read_tensor(model, "a", {2, 2}), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_TRUE(read_tensor(model, "none", {0, 2}).empty());
  EXPECT_EQ(read_tensor(model, "s", {}), std::vector<float>{7});
  EXPECT_TRUE(model.contains("a"));
  EXPECT_FALSE(model.contains("b"));
  EXPECT_FALSE(model.contains("__metadata__"));
}

TEST_F(Safetensors, UnalignedF32) {
  for (size_t skew = 1; skew < 4; ++skew) {
    const SafetensorsModel model =
        open(safetensors_bytes({f32_tensor("a", {3}, {1, -2, 3})}, 4, skew));
    EXPECT_EQ(read_tensor(model, "a", {3}), (std::vector<float>{1, -2, 3}));
  }
}

TEST_F(Safetensors, OtherFloatingTypesAreConverted) {
  const SafetensorsModel model =
      open({{"byte", "U8", {1}, "x"},  // puts the others at odd addresses
            {"f16", "F16", {3}, data_of<uint16_t>({0x3C00, 0x0001, 0x7C00})},
            {"bf16", "BF16", {2}, data_of<uint16_t>({0x3F80, 0xFF80})},
            {"f64", "F64", {4}, data_of<double>({0.1, -1e300, 1e-320, 16777217.0})}});
  EXPECT_EQ(read_tensor(model, "f16", {3}), (std::vector<float>{1, 0x1p-24f, kInf}));
  EXPECT_EQ(read_tensor(model, "bf16", {2}), (std::vector<float>{1, -kInf}));
  EXPECT_EQ(read_tensor(model, "f64", {4}), (std::vector<float>{0.1f, -kInf, 0, 16777216}));
}

TEST_F(Safetensors, RequireSaysWhatIsWrong) {
  const SafetensorsModel model =
      open({f32_tensor("a", {2, 1}, {1, 2}), {"i", "I64", {1}, std::string(8, 0)}});
  EXPECT_ERROR(model.require("a", {1, 2}), Status::kBadFile,
               "model.safetensors: tensor \"a\" field \"shape\" is [2, 1]; the config asks for [1");
  EXPECT_ERROR(model.require("b", {1}), Status::kBadFile, "safetensors: tensor \"b\" is missing");
  EXPECT_ERROR(model.require("i", {1}), Status::kUnsupported, "field \"dtype\" is I64; weights");
}

TEST_F(Safetensors, Framing) {
  EXPECT_ERROR(open(""), Status::kBadFile, "is not a safetensors file: it has only 0 bytes");
  EXPECT_ERROR(open("1234567"), Status::kBadFile, "it has only 7 bytes");
  std::string bytes = safetensors_file("{}", "");
  EXPECT_NO_THROW(open(bytes));
  bytes[0] = 3;
  EXPECT_ERROR(open(bytes), Status::kBadFile, "header length is 3 bytes; 2 are left in the file");
  bytes[7] = '\x80';
  EXPECT_ERROR(open(bytes), Status::kBadFile, "header length is 9223372036854775811 bytes");
  write_file(path_, std::string("\x01\xe1\xf5\x05\0\0\0\0", 8));  // 100,000,001
  std::filesystem::resize_file(path_, 100'000'100);
  EXPECT_ERROR(SafetensorsModel(dir_.path()), Status::kBadFile, "100000000 is the limit");
}

TEST_F(Safetensors, Header) {
  expect_bad("", ": header is not valid JSON");
  expect_bad("{\"a\":", ": header is not valid JSON");
  expect_bad("[]", ": header is not a JSON object");
  expect_bad(R"({"a":1})", ": tensor \"a\" is not a JSON object");
  expect_bad(std::string(100, '['), ": header is JSON nested deeper than 32");
  const std::string a = R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  expect_bad("{" + a + "," + a + "}", ": header has the key \"a\" twice");
}

TEST_F(Safetensors, TensorFields) {
  const std::string a = ": tensor \"a\" field ";
  EXPECT_NO_THROW(open(safetensors_file(header(json::object()), std::string(8, 'x'))));
  expect_bad(R"({"a":{"shape":[2],"data_offsets":[0,8]}})", a + "\"dtype\" is missing");
  expect_bad(R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", a + "\"shape\" is missing");
  expect_bad(R"({"a":{"dtype":"F32","shape":[2]}})", a + "\"data_offsets\" is missing");
  expect_bad(header({{"dtype", 3}}), a + "\"dtype\" is 3, not a string");
  expect_bad(header({{"dtype", "F16"}}), a + "\"data_offsets\" is [0, 8], which is not the size");
  expect_bad(header({{"shape", {-2}}}), a + "\"shape\" has an element");
  expect_bad(header({{"shape", 2}}), a + "\"shape\" is not an array");
  expect_bad(header({{"shape", {3}}}), a + "\"data_offsets\" is [0, 8], which is not the size");
  expect_bad(header({{"shape", {(int64_t{1} << 62) + 2}}}), a + "\"data_offsets\" is [0, 8], whi");
  expect_bad(header({{"data_offsets", {0, 8, 8}}}), a + "\"data_offsets\" is [0, 8, 8], not [be");
  expect_bad(header({{"data_offsets", {8, 0}}}), a + "\"data_offsets\" is [8, 0], not [begin");
  expect_bad(header({{"data_offsets", {1, 9}}}), a + "\"data_offsets\" is [1, 9], beyond the end");
  expect_bad(header({{"data_offsets", {0, UINT64_MAX}}}), a + "\"data_offsets\" has an element");
  EXPECT_ERROR(open(safetensors_file(header({{"dtype", "Q4"}}), std::string(8, 'x'))),
               Status::kUnsupported,
               "tensor \"a\" field \"dtype\" is \"Q4\", which is not a known");
}

TEST_F(Safetensors, Overlap) {
  expect_bad(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
                 "b":{"dtype":"U8","shape":[1],"data_offsets":[7,8]}})",
             ": the data of tensors \"a\" and \"b\" overlap");
}

TEST_F(Safetensors, TruncatedAtEveryLengthAndEveryByteFlipped) {
  const std::string whole =
      safetensors_bytes({f32_tensor("a", {2}, {1, 2}), {"b", "F16", {1}, "xy"}});
  for (size_t n = 0; n < whole.size(); ++n) {
    EXPECT_ERROR(open(whole.substr(0, n)), Status::kBadFile, "model.safetensors");
  }
  for (size_t i = 0; i < whole.size(); ++i) {
    for (const int flip : {1, 2, 3, 4, 8, 16, 32, 64, 128, 255}) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ flip);
      try {
        const SafetensorsModel model = open(bytes);
        if (model.contains("a")) read_tensor(model, "a", {2});
      } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("model.safetensors"), std::string::npos);
      }
    }
  }
}

TEST_F(Safetensors, Shards) {
  write_file(dir_.file("s1.safetensors"),
             safetensors_bytes({f32_tensor("a", {1}, {1}), f32_tensor("b", {1}, {2})}));
  write_file(dir_.file("s2.safetensors"), safetensors_bytes({f32_tensor("c", {1}, {3})}));
  const auto index = [&](const json& weight_map) {
    write_file(dir_.file("model.safetensors.index.json"),
               json({{"metadata", {{"total_size", 12}}}, {"weight_map", weight_map}}).dump());
    return SafetensorsModel(dir_.path());
  };
  const SafetensorsModel model =
      index({{"a", "s1.safetensors"}, {"b", "s1.safetensors"}, {"c", "s2.safetensors"}});
  EXPECT_EQ(read_tensor(model, "b", {1}), std::vector<float>{2});
  EXPECT_EQ(read_tensor(model, "c", {1}), std::vector<float>{3});
  EXPECT_ERROR(model.require("d", {1}), Status::kBadFile, "index.json: tensor \"d\" is missing");

  EXPECT_ERROR(index({{"a", "s2.safetensors"}}), Status::kBadFile,
               "s2.safetensors: tensor \"a\" is missing, though ");
  EXPECT_ERROR(index({{"a", "s3.safetensors"}}), Status::kIo, "s3.safetensors: cannot open");
  EXPECT_ERROR(index({{"a", 3}}), Status::kBadFile, "index.json: weight_map field \"a\" is 3");
  EXPECT_ERROR(index("a"), Status::kBadFile, "index.json: weight_map is not a JSON object");
  for (const std::string& name : {std::string(), std::string("../s1.safetensors"),
                                  std::string("/etc/passwd"), std::string("sub/s1.safetensors"),
                                  std::string(".."), std::string("s1.safetensors\0x", 16)}) {
    EXPECT_ERROR(index({{"a", name}}), Status::kBadFile, "not the plain name of a file");
  }
  write_file(dir_.file("model.safetensors.index.json"), "{}");
  EXPECT_ERROR(SafetensorsModel(dir_.path()), Status::kBadFile, "field \"weight_map\" is missing");
}

TEST_F(Safetensors, MissingFiles) {
  EXPECT_ERROR(SafetensorsModel(dir_.path()), Status::kIo,
               "has neither model.safetensors nor model.safetensors.index.json");
  for (const auto& [name, what] : {std::pair{"pytorch_model.bin", "is a file of torch.save"},
                                   {"pytorch_model-00001-of-00002.bin", "is a file of torch.save"},
                                   {"pytorch_model.bin.index.json", "the index of files of torch"},
                                   {"tf_model.h5", "is an HDF5 file"},
                                   {"flax_model.msgpack", "is a file of Flax"},
                                   {"model-q4.gguf", "is a GGUF file"},
                                   {"model.onnx", "is an ONNX file"},
                                   {"adapter_model.safetensors", "the weights of an adapter"}}) {
    write_file(dir_.file("config.json"), "{}");
    write_file(dir_.file(name), "PK");
    EXPECT_ERROR(SafetensorsModel(dir_.path()), Status::kUnsupported, name);
    EXPECT_ERROR(SafetensorsModel(dir_.path()), Status::kUnsupported, what);
    EXPECT_ERROR(SafetensorsModel(dir_.path()), Status::kUnsupported, "as safetensors");
    std::filesystem::remove(dir_.file(name));
  }
}

TEST_F(Safetensors, PointersOfGitLfs) {
  write_file(dir_.file("model.safetensors"),
             "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 90868376\n");
  EXPECT_ERROR(SafetensorsModel(dir_.path()), Status::kBadFile,
               "model.safetensors is not the file itself, only a pointer of git-lfs to it; fetch");
}

}  // namespace
}  // namespace headlane

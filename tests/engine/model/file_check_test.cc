// Damaged files, and weights that are no numbers, are found.
#include "engine/model/file_check.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include "engine/file/checksum.h"
#include "engine/file/json.h"
#include "engine/import/convert.h"
#include "engine/model/model_check.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_bert.h"

namespace headlane {
namespace {

using nlohmann::json;
using Bad = std::tuple<std::string, int64_t, int64_t>;

TEST(Checksum, IsXxh3) {
  const auto hex = [](const Checksum& checksum) {
    std::string text;
    for (const std::byte byte : checksum.value()) {
      char digits[3];
      std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(byte));
      text += digits;
    }
    return text;
  };
  Checksum checksum;
  EXPECT_EQ(hex(checksum), "99aa06d3014798d86001c324468d497f");  // as xxHash's own xxh128sum
  const std::string text(300'000, 'x');
  checksum.add(std::as_bytes(std::span(text)));
  Checksum parts;
  for (size_t i = 0; i < text.size(); i += 1000) {
    parts.add(std::as_bytes(std::span(text)).subspan(i, 1000));
  }
  EXPECT_EQ(hex(parts), hex(checksum));
}

class FileCheckTest : public testing::Test {
 protected:
  void SetUp() override {
    write_file(dir_.file("config.json"), tiny_config().dump());
    tensors_ = tiny_tensors();
  }
  FileCheck check(Precision precision = Precision::kF32) {
    write_file(dir_.file("model.safetensors"), safetensors_bytes(tensors_));
    ConvertOptions options;
    options.precision = precision;
    convert_model(dir_.path(), path_, options);
    return check_again();
  }
  FileCheck check_again() {
    bad_.clear();
    return check_file(path_, [&](const TensorInfo& tensor, int64_t n_nan, int64_t n_infinite) {
      bad_.emplace_back(tensor.name, n_nan, n_infinite);
    });
  }
  void spoil(const std::string& name, size_t i, float value) {
    for (TestTensor& tensor : tensors_) {
      if (tensor.name == name) std::memcpy(tensor.data.data() + i * sizeof value, &value, 4);
    }
  }

  TempDir dir_;
  const std::string path_ = dir_.file("m.headlane");
  std::vector<TestTensor> tensors_;
  std::vector<Bad> bad_;
};

TEST_F(FileCheckTest, WholeFile) {
  const FileCheck found = check();
  EXPECT_TRUE(found.has_checksum);
  EXPECT_TRUE(found.checksum_matches);
  EXPECT_EQ(found.n_tensors, 5 + 12 * kLayers);
  EXPECT_EQ(found.n_bad_tensors + found.n_nan + found.n_infinite, 0);
  EXPECT_TRUE(bad_.empty());
}

TEST_F(FileCheckTest, NoNumbersByTensor) {
  const float nan = std::nanf(""), inf = std::numeric_limits<float>::infinity();
  spoil("embeddings.word_embeddings.weight", 3, nan);
  spoil("embeddings.word_embeddings.weight", 4, -inf);
  spoil("embeddings.word_embeddings.weight", 5, -nan);
  spoil("encoder.layer.1.output.dense.bias", 0, inf);
  spoil("encoder.layer.0.output.dense.bias", 0, std::numeric_limits<float>::max());
  spoil("encoder.layer.0.output.dense.bias", 1, std::numeric_limits<float>::denorm_min());
  const std::vector<Bad> expected = {{"encoder.embeddings.word", 2, 1},
                                     {"encoder.layers.1.ffn.down.bias", 0, 1}};
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    const FileCheck found = check(precision);
    EXPECT_EQ(bad_, expected);
    EXPECT_TRUE(found.checksum_matches);
    EXPECT_EQ(found.n_bad_tensors, 2);
    EXPECT_EQ(found.n_nan, 2);
    EXPECT_EQ(found.n_infinite, 2);
  }
}

// Any byte of header, tensors, padding or checksum.
TEST_F(FileCheckTest, AnyByteCounts) {
  check();
  const std::string whole = read_file(path_);
  int n_refused = 0;
  for (size_t i = 0; i < whole.size(); i += 1 + i / 1000) {
    std::string spoilt = whole;
    spoilt[i] = static_cast<char>(spoilt[i] ^ (1 << i % 8));
    write_file(path_, spoilt);
    try {
      const FileCheck found = check_again();
      // Where the checksum's own name or type was spoilt, there is none.
      EXPECT_FALSE(found.has_checksum && found.checksum_matches) << i;
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), Status::kBadFile) << error.what();
      ++n_refused;
    }
  }
  EXPECT_GT(n_refused, 100);
}

TEST_F(FileCheckTest, CutAnywhere) {
  check();
  const std::string whole = read_file(path_);
  for (size_t n = 0; n < whole.size(); n += n + 40 < whole.size() ? 37 : 1) {
    write_file(path_, std::string_view(whole).substr(0, n));
    EXPECT_ERROR(Container::open(path_), Status::kBadFile, "m.headlane");
  }
  write_file(path_, whole + "more");
  EXPECT_TRUE(check_again().checksum_matches) << "bytes after the checksum are nobody's";
}

// Readers ignore fields of the header that they do not know.
TEST_F(FileCheckTest, FilesWithoutAChecksumAreModelsToo) {
  check();
  std::string file = read_file(path_);
  file.replace(file.find("checksum"), 8, "checkout");
  write_file(path_, file);
  const FileCheck found = check_again();
  EXPECT_FALSE(found.has_checksum);
  EXPECT_FALSE(found.checksum_matches);
  EXPECT_EQ(found.n_bad_tensors, 0);
}

// A file that is whole, but no model, is refused as opening would.
TEST_F(FileCheckTest, NoModel) {
  write_container(path_, {{"d", 3}}, nullptr, {});
  EXPECT_ERROR(check_again(), Status::kBadFile,
               "m.headlane: config field \"architecture\" is miss");
}

}  // namespace
}  // namespace headlane

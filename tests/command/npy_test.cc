// The readers of tests/support, on files written by hand and on the golden files themselves: a
// golden file that lost a line would otherwise weaken every test that reads it.
#include "tests/support/npy.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/lines.h"

namespace headlane::test {
namespace {

const std::string kGolden = HEADLANE_GOLDEN_DIR;

// A file of its own for each process: ctest runs the tests of this file side by side.
class Scratch {
 public:
  explicit Scratch(const std::string& content)
      : path_(testing::TempDir() + "headlane_npy_" + std::to_string(getpid())) {
    std::ofstream(path_, std::ios::binary) << content;
  }
  ~Scratch() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

template <typename T>
std::string npy(const std::string& descr, const std::string& order, const std::string& shape,
                const std::vector<T>& values, bool version_2 = false) {
  std::string header =
      "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }\n";
  std::string file = std::string("\x93NUMPY") + (version_2 ? '\2' : '\1') + '\0';
  file += static_cast<char>(header.size());
  file += '\0';
  if (version_2) file += std::string(2, '\0');
  file += header;
  for (const T value : values) {
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    file.append(bytes, sizeof(T));
  }
  return file;
}

std::string failure_of(const std::string& content) {
  const Scratch file(content);
  try {
    read_npy(file.path());
  } catch (const std::runtime_error& error) {
    const std::string text = error.what();
    EXPECT_EQ(text.rfind(file.path() + ": ", 0), 0u) << text;
    return text.substr(file.path().size() + 2);
  }
  return "";
}

TEST(Npy, ReadsFloatsAndDoublesOfRankOneAndTwo) {
  {
    const Scratch file(npy<float>("<f4", "False", "(2, 3)", {1, 2, 3, 4, 5, -6.5f}));
    const Npy array = read_npy(file.path());
    EXPECT_EQ(array.shape, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(array.data, (std::vector<float>{1, 2, 3, 4, 5, -6.5f}));
  }
  {
    const Scratch file(npy<double>("<f8", "False", "(2,)", {0.1, 1e-40}, true));
    const Npy array = read_npy(file.path());
    EXPECT_EQ(array.shape, (std::vector<int64_t>{2}));
    EXPECT_EQ(array.data, (std::vector<float>{0.1f, 1e-40f}));
  }
  {
    const Scratch file(npy<float>("<f4", "False", "(0, 384)", {}));
    EXPECT_TRUE(read_npy(file.path()).data.empty());
  }
}

TEST(Npy, RefusesWhatItCannotRead) {
  const std::vector<float> two = {1, 2};
  EXPECT_EQ(failure_of(""), "not a .npy file");
  EXPECT_EQ(failure_of("PK\3\4 is a .npz file"), "not a .npy file");
  EXPECT_EQ(failure_of(npy("<i4", "False", "(2,)", two)), "dtype is not <f4 or <f8");
  EXPECT_EQ(failure_of(npy(">f4", "False", "(2,)", two)), "dtype is not <f4 or <f8");
  EXPECT_EQ(failure_of(npy("<f4", "True", "(2,)", two)), "order is not C");
  EXPECT_EQ(failure_of(npy("<f4", "False", "()", two)), "rank is not 1 or 2");
  EXPECT_EQ(failure_of(npy("<f4", "False", "(1, 1, 2)", two)), "rank is not 1 or 2");
  EXPECT_EQ(failure_of(npy("<f4", "False", "(-2,)", two)), "shape is not of numbers");
  EXPECT_EQ(failure_of(npy("<f4", "False", "(99999999999,)", two)), "shape is too large");
  EXPECT_EQ(failure_of(npy("<f4", "False", "(3,)", two)), "data does not fill the shape");
  EXPECT_EQ(failure_of(npy("<f4", "False", "(1,)", two)), "data does not fill the shape");
  EXPECT_EQ(failure_of(npy("<f4", "False", "(2,)", two) + "x"), "data does not fill the shape");
  EXPECT_EQ(failure_of(npy("<f4", "False", "(2,)", two).substr(0, 30)), "header is cut short");
  EXPECT_THROW(read_npy(kGolden + "/no such file.npy"), std::runtime_error);
}

TEST(Lines, ReadsTextsAndIds) {
  {
    const Scratch file("a b\n\n  c\r\nlast");
    EXPECT_EQ(read_lines(file.path()), (std::vector<std::string>{"a b", "", "  c\r", "last"}));
  }
  {
    const Scratch file("101 0 102\n\n7\n");
    EXPECT_EQ(read_ids(file.path()), (std::vector<std::vector<int32_t>>{{101, 0, 102}, {}, {7}}));
  }
  for (const char* bad : {"1  2\n", "1 2 \n", " 1\n", "1,2\n", "x\n", "99999999999\n"}) {
    const Scratch file(bad);
    EXPECT_THROW(read_ids(file.path()), std::runtime_error) << bad;
  }
}

TEST(Golden, CorpusIsWhole) {
  const auto sentences = read_lines(kGolden + "/corpus/sentences.txt");
  const auto ids = read_ids(kGolden + "/corpus/ids.txt");
  const Npy embeddings = read_npy(kGolden + "/minilm/embeddings.npy");
  ASSERT_EQ(sentences.size(), 2000u);
  EXPECT_EQ(std::set<std::string>(sentences.begin(), sentences.end()).size(), 2000u);
  ASSERT_EQ(ids.size(), 2000u);
  ASSERT_EQ(embeddings.shape, (std::vector<int64_t>{2000, 384}));
  for (size_t i = 0; i < ids.size(); ++i) {
    ASSERT_GE(ids[i].size(), 2u);
    EXPECT_LE(ids[i].size(), 256u);
    EXPECT_EQ(ids[i].front(), 101);  // [CLS]
    EXPECT_EQ(ids[i].back(), 102);   // [SEP]
    double squares = 0;
    for (size_t j = 0; j < 384; ++j) {
      squares += std::pow(static_cast<double>(embeddings.data[i * 384 + j]), 2);
    }
    EXPECT_NEAR(squares, 1, 1e-6) << "sentence " << i;
  }
}

TEST(Golden, BertsAreWhole) {
  int n_models = 0;
  std::set<size_t> lengths;
  for (const auto& entry : std::filesystem::directory_iterator(kGolden + "/bert")) {
    if (!entry.is_directory()) continue;
    SCOPED_TRACE(entry.path().filename().string());
    const std::string folder = entry.path().string();
    ++n_models;
    const auto ids = read_ids(folder + "/ids.txt");
    size_t n_tokens = 0;
    for (const auto& sequence : ids) {
      n_tokens += sequence.size();
      lengths.insert(sequence.size());
    }
    const Npy hidden = read_npy(folder + "/hidden.npy");
    ASSERT_EQ(hidden.shape.size(), 2u);
    EXPECT_EQ(hidden.shape[0], static_cast<int64_t>(n_tokens));
    for (const float value : hidden.data) ASSERT_TRUE(std::isfinite(value));

    if (std::filesystem::exists(folder + "/types.txt")) {
      const auto types = read_ids(folder + "/types.txt");
      ASSERT_EQ(types.size(), ids.size());
      for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(types[i].size(), ids[i].size());
    }
    if (std::filesystem::exists(folder + "/1_Pooling")) {
      const Npy pooled = read_npy(folder + "/pooled.npy");
      EXPECT_EQ(pooled.shape,
                (std::vector<int64_t>{static_cast<int64_t>(ids.size()), hidden.shape[1]}));
    }
    if (std::filesystem::exists(folder + "/texts.txt")) {
      const size_t n_texts = read_lines(folder + "/texts.txt").size();
      EXPECT_EQ(read_ids(folder + "/text_ids.txt").size(), n_texts);
      EXPECT_EQ(read_npy(folder + "/text_pooled.npy").shape,
                (std::vector<int64_t>{static_cast<int64_t>(n_texts), hidden.shape[1]}));
    }
  }
  EXPECT_EQ(n_models, 13);
  for (const size_t n :
       {1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 127, 128, 129, 255, 256, 511, 512}) {
    EXPECT_TRUE(lengths.contains(n)) << "no sequence of " << n << " tokens";
  }
}

TEST(Golden, TranslationsAreWhole) {
  const std::string folder = kGolden + "/translate";
  const auto references = read_lines(folder + "/references.txt");
  const auto greedy = read_lines(folder + "/greedy.txt");
  const auto sources = read_lines(folder + "/sources.txt");
  ASSERT_GE(sources.size(), 200u);
  EXPECT_EQ(std::set<std::string>(sources.begin(), sources.end()).size(), sources.size());
  ASSERT_EQ(references.size(), sources.size());
  ASSERT_EQ(greedy.size(), sources.size());
  for (const char* const name : {"/source_ids.txt", "/greedy_ids.txt", "/beam4_ids.txt"}) {
    const auto ids = read_ids(folder + name);
    ASSERT_EQ(ids.size(), sources.size());
    for (const auto& sequence : ids) {
      ASSERT_GE(sequence.size(), 2u);
      EXPECT_LE(sequence.size(), 64u);
      EXPECT_EQ(sequence.back(), 0);  // </s>
    }
  }
  size_t n_right = 0;
  for (size_t i = 0; i < greedy.size(); ++i) n_right += greedy[i] == references[i] ? 1 : 0;
  EXPECT_GE(n_right * 100, greedy.size() * 95);
}

}  // namespace
}  // namespace headlane::test

// A model, texts of all kinds, and the vectors of each text alone, as the tests of
// headlane_session_embed use them.
#pragma once

#include <algorithm>
#include <headlane/headlane.hpp>
#include <string>
#include <vector>

#include "tests/api/encoder.h"
#include "tests/support/lines.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {

using Floats = std::vector<float>;

inline const std::string kEmbedFolder = HEADLANE_GOLDEN_DIR "/bert/head_dim_16_mean_normalize";
inline constexpr float kUntouched = -7;

// Texts in Arrow's layout; what is before the first offset and behind the last belongs to none.
class ArrowTexts {
 public:
  explicit ArrowTexts(const std::vector<std::string>& texts) : data_("before") {
    for (const std::string& text : texts) {
      push_offset();
      data_ += text;
    }
    push_offset();
    data_ += "behind";
  }
  headlane_texts get(bool of_64_bits = true) const {
    headlane_texts texts = HEADLANE_INIT(headlane_texts);
    texts.n_texts = std::ssize(offsets_64_) - 1;
    texts.data = data_.data();
    texts.data_bytes = std::ssize(data_);
    if (of_64_bits) {
      texts.offsets_64 = offsets_64_.data();
    } else {
      texts.offsets_32 = offsets_32_.data();
    }
    return texts;
  }

 private:
  void push_offset() {
    offsets_64_.push_back(std::ssize(data_));
    offsets_32_.push_back(static_cast<int32_t>(data_.size()));
  }

  std::string data_;
  std::vector<int64_t> offsets_64_;
  std::vector<int32_t> offsets_32_;
};

// Texts of all lengths, empty ones, ones of any bytes, and ones beyond max_seq_len.
inline std::vector<std::string> some_texts() {
  std::vector<std::string> texts = read_lines(kEmbedFolder + "/texts.txt");
  texts.emplace_back();
  texts.push_back(std::string("a\0b \0", 5));
  texts.emplace_back("\xff\xfe c\xc3");
  texts.emplace_back("   \n");
  std::string longer;
  for (int i = 0; i < 40; ++i) {
    longer += std::string(1, static_cast<char>('a' + i % 26)) + (i % 3 == 0 ? " " : "");
    texts.push_back(longer);
    if (i % 7 == 0) texts.emplace_back();
  }
  texts.push_back(std::string(5000, 'x') + " y");
  texts.emplace_back("last");
  return texts;
}

class Embed : public testing::Test {
 protected:
  Embed() : path_(temp_.file("model.headlane")) {
    check(headlane_convert(kEmbedFolder.c_str(), path_.c_str(), nullptr));
    model_ = open_model(path_);
    d_model_ = facts_of(model_.get()).d_model;
  }

  SessionHandle session(int n_threads, int64_t max_tokens = 0, int64_t max_len = 0,
                        const headlane_thread_pool* pool = nullptr) {
    headlane_session_options options = HEADLANE_INIT(headlane_session_options);
    options.n_threads = n_threads;
    options.max_tokens = max_tokens;
    options.max_len = max_len;
    options.pool = pool;
    headlane_session* made = nullptr;
    check(headlane_session_create(model_.get(), &options, &made));
    return SessionHandle(made);
  }

  // Each text in a call of its own.
  Floats one_by_one(const std::vector<std::string>& texts,
                    const headlane_tokenize_options& options = TokenizeOptions()) {
    const SessionHandle one = session(1);
    Floats vectors(texts.size() * static_cast<size_t>(d_model_));
    for (size_t i = 0; i < texts.size(); ++i) {
      std::vector<int32_t> ids(512);
      int64_t n = 0;
      check(headlane_model_tokenize(model_.get(), texts[i].data(), texts[i].size(), &options,
                                    ids.data(), 512, &n));
      const int64_t offsets[] = {0, n};
      const headlane_batch batch{
          .struct_size = sizeof batch, .n_seqs = 1, .offsets = offsets, .ids = ids.data()};
      const headlane_outputs outputs{.struct_size = sizeof outputs, .pooled = &vectors[i * d()]};
      check(headlane_session_encode(one.get(), &batch, &outputs));
    }
    return vectors;
  }

  size_t d() const { return static_cast<size_t>(d_model_); }

  // How many rows are written; each of them must be whole.
  size_t n_written(const Floats& got, const Floats& expected) const {
    size_t n = 0;
    for (size_t i = 0; i < got.size(); i += d()) {
      const auto row = got.begin() + static_cast<ptrdiff_t>(i);
      if (std::count(row, row + d_model_, kUntouched) == d_model_) continue;
      EXPECT_TRUE(std::equal(row, row + d_model_, expected.begin() + static_cast<ptrdiff_t>(i)))
          << "row " << i / d();
      ++n;
    }
    return n;
  }

  const TempDir temp_;
  const std::string path_;
  ModelHandle model_;
  int64_t d_model_ = 0;
  const std::vector<std::string> texts_ = some_texts();
  const ArrowTexts arrow_{texts_};
};

}  // namespace headlane::test

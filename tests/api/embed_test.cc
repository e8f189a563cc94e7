// headlane_session_embed: many texts to vectors in one call, against tokenising and encoding one by
// one.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <headlane/headlane.hpp>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/api/encoder.h"
#include "tests/support/lines.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {
namespace {

using Floats = std::vector<float>;

const std::string kFolder = HEADLANE_GOLDEN_DIR "/bert/head_dim_16_mean_normalize";
constexpr float kUntouched = -7;

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
std::vector<std::string> some_texts() {
  std::vector<std::string> texts = read_lines(kFolder + "/texts.txt");
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
    check(headlane_convert(kFolder.c_str(), path_.c_str(), nullptr));
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

TEST_F(Embed, BitsAreThoseOfEachTextAlone) {
  const Floats expected = one_by_one(texts_);
  ASSERT_GE(texts_.size(), 50u);
  for (const int n_threads : {1, 2, 3}) {
    for (const int64_t max_tokens : {24, 61, 4096}) {
      for (const bool of_64_bits : {false, true}) {
        const SessionHandle of = session(n_threads, max_tokens);
        const headlane_texts texts = arrow_.get(of_64_bits);
        Floats got(expected.size(), kUntouched);
        check(headlane_session_embed(of.get(), &texts, nullptr, got.data(), 0));
        EXPECT_TRUE(got == expected) << n_threads << " threads, " << max_tokens << " tokens";
      }
    }
  }
}

// So many that threads are woken to tokenise them.
TEST_F(Embed, ManyTextsOnManyThreads) {
  std::vector<std::string> many;
  while (many.size() < 5000) many.insert(many.end(), texts_.begin(), texts_.end());
  const Floats once = one_by_one(texts_);
  Floats expected;
  while (expected.size() < many.size() * d()) {
    expected.insert(expected.end(), once.begin(), once.end());
  }
  const ArrowTexts arrow(many);
  const headlane_texts texts = arrow.get();
  for (const int n_threads : {1, 2, 3}) {
    const SessionHandle of = session(n_threads);
    Floats got(expected.size(), kUntouched);
    check(headlane_session_embed(of.get(), &texts, nullptr, got.data(), 0));
    EXPECT_TRUE(got == expected) << n_threads << " threads";
  }
}

TEST_F(Embed, RunsOnTheHostsThreads) {
  std::atomic<int> n_calls = 0;
  headlane_thread_pool pool = HEADLANE_INIT(headlane_thread_pool);
  pool.user = &n_calls;
  pool.n_threads = 3;
  pool.parallel_for = [](void* user, int32_t n, void (*task)(void*, int32_t), void* context) {
    ++*static_cast<std::atomic<int>*>(user);
    std::vector<std::thread> threads;
    for (int32_t i = 0; i < n; ++i) threads.emplace_back(task, context, i);
    for (std::thread& thread : threads) thread.join();
  };
  std::vector<std::string> many;
  while (many.size() < 1000) many.insert(many.end(), texts_.begin(), texts_.end());
  const SessionHandle theirs = session(0, 0, 0, &pool), own = session(1);
  const ArrowTexts arrow(many);
  const headlane_texts texts = arrow.get();
  Floats got(many.size() * d(), kUntouched), expected(got);
  check(headlane_session_embed(own.get(), &texts, nullptr, expected.data(), 0));
  check(headlane_session_embed(theirs.get(), &texts, nullptr, got.data(), 0));
  EXPECT_TRUE(got == expected);
  EXPECT_GT(n_calls, 0);
}

TEST_F(Embed, NoTextsNeedNothing) {
  const headlane_texts texts = HEADLANE_INIT(headlane_texts);
  headlane_embed_options options = HEADLANE_INIT(headlane_embed_options);
  options.on_progress = [](void*, const headlane_embed_progress*) {
    ADD_FAILURE() << "there is nothing to tell";
    return int32_t{0};
  };
  EXPECT_EQ(headlane_session_embed(session(2).get(), &texts, &options, nullptr, 0), HEADLANE_OK);
}

TEST_F(Embed, EmptyTextsNeedNoData) {
  const int32_t offsets[] = {0, 0, 0};
  headlane_texts texts = HEADLANE_INIT(headlane_texts);
  texts.n_texts = 2;
  texts.offsets_32 = offsets;
  Floats got(2 * d(), kUntouched);
  ASSERT_EQ(headlane_session_embed(session(1).get(), &texts, nullptr, got.data(), 0), HEADLANE_OK);
  EXPECT_EQ(got, one_by_one({"", ""}));
}

TEST_F(Embed, AStrideLeavesWhatIsBetween) {
  const Floats expected = one_by_one(texts_);
  const headlane_texts texts = arrow_.get();
  const size_t stride = d() + 5;
  Floats got(texts_.size() * stride, kUntouched);
  check(headlane_session_embed(session(2).get(), &texts, nullptr, got.data(),
                               static_cast<int64_t>(stride)));
  for (size_t i = 0; i < texts_.size(); ++i) {
    const auto row = got.begin() + static_cast<ptrdiff_t>(i * stride);
    EXPECT_TRUE(
        std::equal(row, row + d_model_, expected.begin() + static_cast<ptrdiff_t>(i * d())));
    EXPECT_EQ(std::count(row + d_model_, row + static_cast<ptrdiff_t>(stride), kUntouched), 5);
  }
}

TEST_F(Embed, TextsAreCutAsOptionsSay) {
  const headlane_texts texts = arrow_.get();
  headlane_tokenize_options tokenize = HEADLANE_INIT(headlane_tokenize_options);
  headlane_embed_options options = HEADLANE_INIT(headlane_embed_options);
  options.tokenize = &tokenize;
  for (const int64_t max_len : {2, 5, 70}) {
    tokenize.max_len = max_len;
    Floats got(texts_.size() * d(), kUntouched);
    check(headlane_session_embed(session(2).get(), &texts, &options, got.data(), 0));
    EXPECT_TRUE(got == one_by_one(texts_, tokenize)) << max_len;
  }
}

// The model's own, another one, none.
TEST_F(Embed, PromptsArePutBeforeTexts) {
  const std::string folder = temp_.file("prompts");
  std::filesystem::copy(kFolder, folder, std::filesystem::copy_options::recursive);
  const nlohmann::json prompts = {{"query", "a b: "}, {"passage", "c "}};
  write_file(folder + "/config_sentence_transformers.json",
             nlohmann::json{{"prompts", prompts}, {"default_prompt_name", "query"}}.dump());
  check(headlane_convert(folder.c_str(), path_.c_str(), nullptr));
  model_ = open_model(path_);
  const headlane_texts texts = arrow_.get();
  const auto embed = [&](const char* prompt) {
    TokenizeOptions tokenize;
    tokenize.prompt = prompt;
    EmbedOptions options;
    options.tokenize = &tokenize;
    Floats got(texts_.size() * d(), kUntouched);
    check(headlane_session_embed(session(2).get(), &texts, &options, got.data(), 0));
    return got;
  };
  const auto expected = [&](const char* prompt) {
    TokenizeOptions tokenize;
    tokenize.prompt = prompt;
    return one_by_one(texts_, tokenize);
  };
  const Floats by_default = expected("a b: ");
  EXPECT_TRUE(embed(nullptr) == by_default);
  EXPECT_TRUE(embed("c ") == expected("c "));
  EXPECT_TRUE(embed("") == expected(""));
  EXPECT_FALSE(embed("") == by_default);
  Floats got(texts_.size() * d());
  check(headlane_session_embed(session(1).get(), &texts, nullptr, got.data(), 0));
  EXPECT_TRUE(got == by_default) << "without options";
}

// Data that nobody may read: what is refused is refused before.
TEST_F(Embed, WhatIsWrongIsRefusedBeforeAnythingIsRead) {
  const SessionHandle of = session(2);
  Floats out(8 * d(), kUntouched);
  const auto refuse = [&](const std::vector<int64_t>& offsets, int64_t data_bytes,
                          const std::string& sentence) {
    const std::vector<int32_t> offsets_32(offsets.begin(), offsets.end());
    headlane_texts texts = HEADLANE_INIT(headlane_texts);
    texts.n_texts = std::ssize(offsets) - 1;
    texts.data = reinterpret_cast<const char*>(uintptr_t{64});
    texts.data_bytes = data_bytes;
    for (const bool of_64_bits : {false, true}) {
      texts.offsets_32 = of_64_bits ? nullptr : offsets_32.data();
      texts.offsets_64 = of_64_bits ? offsets.data() : nullptr;
      EXPECT_EQ(headlane_session_embed(of.get(), &texts, nullptr, out.data(), 0),
                HEADLANE_INVALID_ARGUMENT);
      const std::string name = of_64_bits ? "texts.offsets_64" : "texts.offsets_32";
      EXPECT_EQ(headlane_error(), name + sentence);
    }
  };
  refuse({-1, 2}, 5, "[0] is -1; it must be 0 or more");
  refuse({0, 3, 2, 5}, 5, "[2] is 2, less than the one before it, 3");
  refuse({0, 3, -2, 5}, 5, "[2] is -2, less than the one before it, 3");
  refuse({0, 3, 6}, 5, "[2] is 6, but texts.data_bytes is only 5");
  refuse({0, 2147483647}, 5, "[1] is 2147483647, but texts.data_bytes is only 5");
  EXPECT_EQ(std::count(out.begin(), out.end(), kUntouched), std::ssize(out));
}

TEST_F(Embed, ArgumentsThatDoNotFit) {
  const SessionHandle of = session(2);
  Floats out(texts_.size() * d(), kUntouched);
  const auto refuse =
      [&](const std::string& sentence,
          const std::function<void(headlane_texts*, headlane_tokenize_options*, float**, int64_t*)>&
              change) {
        headlane_texts texts = arrow_.get();
        headlane_tokenize_options tokenize = HEADLANE_INIT(headlane_tokenize_options);
        headlane_embed_options options = HEADLANE_INIT(headlane_embed_options);
        options.tokenize = &tokenize;
        float* vectors = out.data();
        int64_t stride = 0;
        change(&texts, &tokenize, &vectors, &stride);
        EXPECT_EQ(headlane_session_embed(of.get(), &texts, &options, vectors, stride),
                  HEADLANE_INVALID_ARGUMENT);
        EXPECT_EQ(headlane_error(), sentence);
      };
  const std::string n_bytes =
      std::to_string(arrow_.get().offsets_64[texts_.size()] - arrow_.get().offsets_64[0]);
  refuse("texts.n_texts is -1; it must be 0 or more",
         [](auto* texts, auto*, auto*, auto*) { texts->n_texts = -1; });
  refuse("texts.data_bytes is -1; it must be 0 or more",
         [](auto* texts, auto*, auto*, auto*) { texts->data_bytes = -1; });
  refuse("texts.data is null, but the texts have " + n_bytes + " bytes",
         [](auto* texts, auto*, auto*, auto*) { texts->data = nullptr; });
  refuse(
      "texts.offsets_32 and texts.offsets_64 are both null; set one of the two, and leave the "
      "other null",
      [](auto* texts, auto*, auto*, auto*) { texts->offsets_64 = nullptr; });
  refuse(
      "texts.offsets_32 and texts.offsets_64 are both set; set one of the two, and leave the other "
      "null",
      [&](auto* texts, auto*, auto*, auto*) { texts->offsets_32 = arrow_.get(false).offsets_32; });
  refuse("vectors is null", [](auto*, auto*, float** vectors, auto*) { *vectors = nullptr; });
  refuse("stride is 47; it must be 0, or at least 48, the elements of a vector",
         [](auto*, auto*, auto*, int64_t* stride) { *stride = 47; });
  refuse("max_len is 1; it must be at least 2, for special tokens",
         [](auto*, auto* tokenize, auto*, auto*) { tokenize->max_len = 1; });
  EXPECT_EQ(headlane_session_embed(nullptr, nullptr, nullptr, nullptr, 0),
            HEADLANE_INVALID_ARGUMENT);
  EXPECT_STREQ(headlane_error(), "session is null");
  EXPECT_EQ(headlane_session_embed(of.get(), nullptr, nullptr, out.data(), 0),
            HEADLANE_INVALID_ARGUMENT);
  EXPECT_STREQ(headlane_error(), "texts is null");
  EXPECT_EQ(std::count(out.begin(), out.end(), kUntouched), std::ssize(out));
}

TEST_F(Embed, ATextThatIsLongerThanTheSessionsIsNamed) {
  const std::vector<std::string> some = {"a", "a b", "a b c", "a b c d"};
  const ArrowTexts arrow(some);
  const headlane_texts texts = arrow.get();
  Floats out(some.size() * d(), kUntouched);
  const SessionHandle by_length = session(1, 0, 4), by_tokens = session(1, 4, 4);
  for (headlane_session* of : {by_length.get(), by_tokens.get()}) {
    EXPECT_EQ(headlane_session_embed(of, &texts, nullptr, out.data(), 0), HEADLANE_TOO_LARGE);
    EXPECT_STREQ(headlane_error(),
                 "text 2 has 5 tokens, a sequence of the session at most 4; create the session "
                 "with a larger max_len and max_tokens, or cut texts by max_len of the tokenize "
                 "options");
  }
  EXPECT_EQ(std::count(out.begin(), out.end(), kUntouched), std::ssize(out));
}

TEST_F(Embed, ModelsThatCannotSaySo) {
  Floats out(texts_.size() * 64, kUntouched);
  const headlane_texts texts = arrow_.get();
  const auto refuse = [&](const std::string& folder, const std::string& sentence) {
    const std::string path = temp_.file("other.headlane");
    check(headlane_convert((HEADLANE_GOLDEN_DIR "/" + folder).c_str(), path.c_str(), nullptr));
    model_ = open_model(path);
    EXPECT_EQ(headlane_session_embed(session(1).get(), &texts, nullptr, out.data(), 64),
              HEADLANE_UNSUPPORTED);
    EXPECT_NE(std::string(headlane_error()).find(sentence), std::string::npos) << headlane_error();
  };
  refuse("bert/head_dim_5_one_type_gelu_new", "the file has no tokenizer");
  refuse("layers/attention", "the model takes activations, not token ids");
  EXPECT_EQ(std::count(out.begin(), out.end(), kUntouched), std::ssize(out));
}

struct Told {
  std::vector<headlane_embed_progress> all;
  std::function<int32_t(const headlane_embed_progress&)> then;

  headlane_embed_options options() {
    headlane_embed_options options = HEADLANE_INIT(headlane_embed_options);
    options.on_progress = [](void* user, const headlane_embed_progress* progress) {
      auto* told = static_cast<Told*>(user);
      told->all.push_back(*progress);
      return told->then ? told->then(*progress) : 0;
    };
    options.user = this;
    return options;
  }
};

TEST_F(Embed, ProgressIsToldAfterEachBatch) {
  const SessionHandle of = session(2, 60);
  const headlane_texts texts = arrow_.get();
  Told told;
  const headlane_embed_options options = told.options();
  Floats out(texts_.size() * d());
  check(headlane_session_embed(of.get(), &texts, &options, out.data(), 0));
  ASSERT_GT(told.all.size(), 3u);
  int64_t n_tokens = 0;
  for (const std::string& text : texts_) {
    int64_t n = 0;
    check(headlane_model_tokenize(model_.get(), text.data(), text.size(), nullptr, nullptr, 0, &n));
    n_tokens += n;
  }
  headlane_embed_progress before = {};
  for (const headlane_embed_progress& progress : told.all) {
    EXPECT_EQ(progress.struct_size, sizeof progress);
    EXPECT_GT(progress.n_texts, before.n_texts);
    EXPECT_GT(progress.n_tokens, before.n_tokens);
    EXPECT_LE(progress.n_tokens - before.n_tokens, 60);
    before = progress;
  }
  EXPECT_EQ(before.n_texts, std::ssize(texts_));
  EXPECT_EQ(before.n_tokens, n_tokens);
}

// By what on_progress returns, and by the session being cancelled in it.
TEST_F(Embed, ACallEndsBetweenItsBatches) {
  const Floats expected = one_by_one(texts_);
  const SessionHandle of = session(2, 60);
  const headlane_texts texts = arrow_.get();
  for (const bool by_session : {false, true}) {
    Told told;
    told.then = [&](const headlane_embed_progress&) {
      if (told.all.size() < 2) return int32_t{0};
      if (!by_session) return int32_t{1};
      check(headlane_session_set_cancelled(of.get(), 1));
      return int32_t{0};
    };
    const headlane_embed_options options = told.options();
    Floats got(expected.size(), kUntouched);
    EXPECT_EQ(headlane_session_embed(of.get(), &texts, &options, got.data(), 0),
              HEADLANE_CANCELLED);
    ASSERT_EQ(told.all.size(), 2u);
    EXPECT_EQ(static_cast<int64_t>(n_written(got, expected)), told.all.back().n_texts);
    if (by_session) {
      std::fill(got.begin(), got.end(), kUntouched);
      EXPECT_EQ(headlane_session_embed(of.get(), &texts, nullptr, got.data(), 0),
                HEADLANE_CANCELLED);
      EXPECT_EQ(n_written(got, expected), 0u);
      check(headlane_session_set_cancelled(of.get(), 0));
    }
    check(headlane_session_embed(of.get(), &texts, nullptr, got.data(), 0));
    EXPECT_TRUE(got == expected) << "the session is as usable as before";
  }
  // Ending a call that is done already ends nothing.
  Told last;
  last.then = [&](const headlane_embed_progress& progress) {
    return progress.n_texts == std::ssize(texts_) ? 1 : 0;
  };
  const headlane_embed_options options = last.options();
  Floats got(expected.size(), kUntouched);
  EXPECT_EQ(headlane_session_embed(of.get(), &texts, &options, got.data(), 0), HEADLANE_OK);
  EXPECT_TRUE(got == expected);
}

// At any moment: while texts are tokenised, while a batch runs, between.
TEST_F(Embed, IsCancelledByAnotherThread) {
  std::vector<std::string> many;
  while (many.size() < 2000) many.insert(many.end(), texts_.begin(), texts_.end());
  const ArrowTexts arrow(many);
  const headlane_texts texts = arrow.get();
  const SessionHandle of = session(2, 100);
  Floats expected(many.size() * d());
  const auto start = std::chrono::steady_clock::now();
  check(headlane_session_embed(of.get(), &texts, nullptr, expected.data(), 0));
  const auto whole = std::chrono::steady_clock::now() - start;
  int n_cancelled = 0;
  for (int part = 0; part < 12; ++part) {
    std::thread other([&] {
      std::this_thread::sleep_for(whole * part / 16);
      headlane_session_set_cancelled(of.get(), 1);
    });
    Floats got(expected.size(), kUntouched);
    const headlane_status status = headlane_session_embed(of.get(), &texts, nullptr, got.data(), 0);
    other.join();
    check(headlane_session_set_cancelled(of.get(), 0));
    const size_t written = n_written(got, expected);
    EXPECT_TRUE(status == HEADLANE_CANCELLED || status == HEADLANE_OK) << headlane_error();
    EXPECT_TRUE(status == HEADLANE_CANCELLED || written == many.size());
    n_cancelled += status == HEADLANE_CANCELLED ? 1 : 0;
  }
  EXPECT_GT(n_cancelled, 0);
}

TEST_F(Embed, TheClassesTakeTextsWhereTheyAre) {
  const Model model(path_);
  SessionOptions options;
  options.n_threads = 2;
  options.max_tokens = 64;  // fewer than the texts have
  Session of(model, options);
  const Floats expected = one_by_one(texts_);
  EXPECT_TRUE(of.embed(texts_) == expected);
  Floats got(expected.size() + 3 * (texts_.size() - 1), kUntouched);
  of.embed(arrow_.get(), got, d_model_ + 3);
  for (size_t i = 0; i < texts_.size(); ++i) {
    const auto row = got.begin() + static_cast<ptrdiff_t>(i * (d() + 3));
    EXPECT_TRUE(
        std::equal(row, row + d_model_, expected.begin() + static_cast<ptrdiff_t>(i * d())));
  }
  got.pop_back();
  try {
    of.embed(arrow_.get(), got, d_model_ + 3);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), HEADLANE_INVALID_ARGUMENT);
    EXPECT_EQ(std::string(error.what()).find("vectors has "), 0u) << error.what();
  }
}

}  // namespace
}  // namespace headlane::test

// headlane_session_embed: many texts to vectors in one call, against tokenising and encoding one by
// one.
#include "tests/api/embed.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

namespace headlane::test {
namespace {

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
  std::filesystem::copy(kEmbedFolder, folder, std::filesystem::copy_options::recursive);
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

// headlane_session_embed tells how far it is, and ends early where it is told to, with whole rows.
#include <chrono>
#include <functional>
#include <thread>

#include "tests/api/embed.h"

namespace headlane::test {
namespace {

class EmbedProgress : public Embed {};

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

TEST_F(EmbedProgress, ProgressIsToldAfterEachBatch) {
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
TEST_F(EmbedProgress, ACallEndsBetweenItsBatches) {
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
TEST_F(EmbedProgress, IsCancelledByAnotherThread) {
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

}  // namespace
}  // namespace headlane::test

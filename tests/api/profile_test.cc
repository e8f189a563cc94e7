// A session's profile: what it counts follows from the layer's sizes.
#include "tests/api/layer.h"

namespace headlane::test {
namespace {

constexpr int64_t kProfileWidth = 64, kTokens = 400, kThreads = 2;

class Profile : public AttentionTest {
 protected:
  void SetUp() override {
    AttentionTest::SetUp();
    if (IsSkipped()) return;
    model_ = create_layer(layer_.fill(), GetParam());
    session_ = create_session(model_.get(), false, kThreads);
  }

  void run(int64_t n_tokens) {
    const Floats x = layer_.numbers(n_tokens * kProfileWidth, 1);
    Floats out(x.size());
    headlane_forward_batch batch = HEADLANE_INIT(headlane_forward_batch);
    batch.n_seqs = 1;
    batch.q_len = n_tokens;
    batch.x.data = x.data();
    batch.out.data = out.data();
    check(headlane_session_forward(session_.get(), &batch));
  }

  std::vector<headlane_pass_facts> passes() const {
    std::vector<headlane_pass_facts> all;
    headlane_pass_facts facts = HEADLANE_INIT(headlane_pass_facts);
    facts.n_passes = 1;
    for (int64_t i = 0; i < facts.n_passes; ++i) {
      check(headlane_session_get_pass(session_.get(), i, &facts));
      all.push_back(facts);
    }
    return all;
  }

  headlane_pass_span span(int64_t pass, int64_t thread) const {
    headlane_pass_span span = HEADLANE_INIT(headlane_pass_span);
    check(headlane_session_get_span(session_.get(), pass, thread, &span));
    return span;
  }

  Layer layer_{kProfileWidth, 4, kProfileWidth / 4};
  ModelHandle model_;
  SessionHandle session_;
};

TEST_P(Profile, CountsNothingUnlessAsked) {
  run(kTokens);
  for (const headlane_pass_facts& pass : passes()) {
    EXPECT_EQ(pass.n_runs, 0);
    EXPECT_EQ(pass.seconds, 0);
  }
  EXPECT_EQ(span(0, 0).end, 0);
}

TEST_P(Profile, CountsTheWorkOfEachRun) {
  check(headlane_session_profile(session_.get(), 1));
  run(kTokens);
  run(kTokens);
  double flops = 0, activation_bytes = 0;
  std::vector<headlane_pass_facts> all = passes();
  // The last pass writes the result where the caller wants it, so nothing is left to copy.
  EXPECT_STREQ(all.back().name, "copy");
  EXPECT_EQ(all.back().n_runs, 0);
  all.pop_back();
  for (const headlane_pass_facts& pass : all) {
    EXPECT_EQ(pass.n_runs, 2) << pass.name;
    EXPECT_EQ(pass.n_threads, kThreads);
    EXPECT_GT(pass.seconds, 0) << pass.name;
    flops += pass.flops;
    activation_bytes += pass.activation_bytes;
  }
  // Four projections; scores and values. Between passes: q, k, v written and read, the context
  // likewise, the result written.
  EXPECT_EQ(flops, 2.0 * (2 * kTokens * 4 * kProfileWidth * kProfileWidth +
                          4 * kTokens * kTokens * kProfileWidth));
  EXPECT_EQ(activation_bytes, 2.0 * (3 + 3 + 1 + 1 + 1) * kTokens * kProfileWidth * sizeof(float));
  check(headlane_session_profile(session_.get(), 1));
  EXPECT_EQ(passes()[0].n_runs, 0);
}

TEST_P(Profile, SpansFollowEachOther) {
  check(headlane_session_profile(session_.get(), 1));
  run(kTokens);
  double begin = 0;
  const auto n_passes = static_cast<int64_t>(passes().size()) - 1;  // without the copy
  for (int64_t pass = 0; pass < n_passes; ++pass) {
    EXPECT_GE(span(pass, 0).begin, begin);
    EXPECT_GE(span(pass, 0).end, span(pass, 0).begin);
    begin = span(pass, 0).end;
  }
  run(0);  // and nothing of an earlier run stays
  for (int64_t pass = 0; pass < n_passes; ++pass) EXPECT_EQ(span(pass, 1).end, 0);
}

TEST_P(Profile, RefusesWhatIsNotThere) {
  headlane_pass_facts facts = HEADLANE_INIT(headlane_pass_facts);
  headlane_pass_span span = HEADLANE_INIT(headlane_pass_span);
  const auto n = static_cast<int64_t>(passes().size());
  expect_failure(headlane_session_get_pass(session_.get(), n, &facts), HEADLANE_INVALID_ARGUMENT,
                 "pass");
  expect_failure(headlane_session_get_span(session_.get(), -1, 0, &span), HEADLANE_INVALID_ARGUMENT,
                 "pass");
  expect_failure(headlane_session_get_span(session_.get(), 0, kThreads, &span),
                 HEADLANE_INVALID_ARGUMENT, "thread");
}

HEADLANE_FOR_EACH_ISA(Profile);

}  // namespace
}  // namespace headlane::test

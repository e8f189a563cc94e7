// headlane_session_classify, _rank and _zero_shot: what they take, refuse, tell and leave alone.
// That their scores are right is what golden_classify_test.cc shows.
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "tests/api/encoder.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {
namespace {

constexpr float kUntouchedScore = 7;
using Floats = std::vector<float>;

class Classify : public testing::Test {
 protected:
  Model open(const std::string& name) {
    const std::string path = temp_.file(name + ".headlane");
    convert(HEADLANE_GOLDEN_DIR "/" + name, path);
    return Model(path);
  }
  static void expect_failure(headlane_status status, headlane_status expected,
                             const std::string& sentence) {
    EXPECT_EQ(status, expected);
    EXPECT_EQ(headlane_error(), sentence);
  }

  Classify() {
    for (const char* folder : {"/classify", "/bert"}) {
      std::filesystem::create_directory(temp_.path() + folder);
    }
  }

  TempDir temp_;
  const std::vector<std::string> texts_ = {"the cat sat", "", "we run fast in the rain", "a b",
                                           "--json"};
};

TEST_F(Classify, FactsAndLabels) {
  const Model nli = open("classify/bert_nli");
  const ModelFacts facts = nli.facts();
  EXPECT_EQ(facts.n_labels, 3);
  EXPECT_STREQ(facts.outcome, "softmax");
  EXPECT_STREQ(facts.pooling, "none");
  EXPECT_EQ(facts.has_entailment, 1);
  EXPECT_STREQ(nli.label(0).name, "contradiction");
  EXPECT_EQ(nli.label(0).is_entailment, 0);
  EXPECT_STREQ(nli.label(2).name, "entailment");
  EXPECT_EQ(nli.label(2).is_entailment, 1);
  LabelFacts label;
  expect_failure(headlane_model_get_label(nli.get(), 3, &label), HEADLANE_INVALID_ARGUMENT,
                 "label index i is 3; the model has 3 labels");
  EXPECT_EQ(headlane_model_get_label(nli.get(), -1, &label), HEADLANE_INVALID_ARGUMENT);
  const Model bert = open("bert/head_dim_16_mean_normalize");
  EXPECT_EQ(bert.facts().n_labels, 0);
  EXPECT_STREQ(bert.facts().outcome, "none");
  EXPECT_EQ(headlane_model_get_label(bert.get(), 0, &label), HEADLANE_INVALID_ARGUMENT);
}

TEST_F(Classify, OutcomesAreOfTheRawScores) {
  const Model model = open("classify/bert_nli");
  Session session(model);
  const auto scores = [&](headlane_outcome outcome) {
    ClassifyOptions options;
    options.outcome = outcome;
    return session.classify(texts_, options);
  };
  const Floats raw = scores(HEADLANE_OUTCOME_RAW), sigmoid = scores(HEADLANE_OUTCOME_SIGMOID),
               softmax = scores(HEADLANE_OUTCOME_SOFTMAX);
  EXPECT_TRUE(scores(HEADLANE_OUTCOME_OF_MODEL) == softmax);
  for (size_t row = 0; row < texts_.size(); ++row) {
    double sum = 0;
    for (size_t i = 3 * row; i < 3 * row + 3; ++i) sum += std::exp(double{raw[i]});
    for (size_t i = 3 * row; i < 3 * row + 3; ++i) {
      EXPECT_NEAR(softmax[i], std::exp(double{raw[i]}) / sum, 1e-7);
      EXPECT_NEAR(sigmoid[i], 1 / (1 + std::exp(-double{raw[i]})), 1e-7);
    }
  }
}

TEST_F(Classify, AStrideLeavesWhatIsBetween) {
  const Model model = open("classify/bert_nli");
  Session session(model);
  const Floats expected = session.classify(texts_);
  const JoinedTexts joined(texts_);
  Floats got(texts_.size() * 5, kUntouchedScore), again(got);
  session.classify(joined.get(), got, 5);
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i], i % 5 < 3 ? expected[i / 5 * 3 + i % 5] : kUntouchedScore);
  }
  const std::vector<std::string> labels = {"a", "b"};
  const JoinedTexts names(labels);
  const headlane_texts texts = joined.get(), label_array = names.get();
  check(headlane_session_zero_shot(session.get(), &texts, &label_array, nullptr, again.data(), 5));
  const Floats of_labels = session.zero_shot(texts_, labels);
  for (size_t i = 0; i < again.size(); ++i) {
    EXPECT_EQ(again[i], i % 5 < 2 ? of_labels[i / 5 * 2 + i % 5] : kUntouchedScore);
  }
}

TEST_F(Classify, NoTextsNeedNothing) {
  const Model nli = open("classify/bert_nli"), ranker = open("classify/bert_cross_encoder");
  Session session(nli), ranking(ranker);
  const TextArray none;
  const JoinedTexts one(std::vector<std::string>{"a"});
  const headlane_texts label = one.get();
  EXPECT_EQ(headlane_session_classify(session.get(), &none, nullptr, nullptr, 0), HEADLANE_OK);
  EXPECT_EQ(headlane_session_zero_shot(session.get(), &none, &label, nullptr, nullptr, 0),
            HEADLANE_OK);
  EXPECT_EQ(headlane_session_rank(ranking.get(), nullptr, 0, &none, nullptr, nullptr, nullptr, 9),
            HEADLANE_OK);
}

TEST_F(Classify, RanksAsManyAsAreWanted) {
  const Model model = open("classify/bert_cross_encoder");
  Session session(model);
  const std::vector<Session::Ranked> all = session.rank("the dog", texts_);
  ASSERT_EQ(all.size(), texts_.size());
  for (size_t i = 1; i < all.size(); ++i) EXPECT_GE(all[i - 1].score, all[i].score);
  for (const int64_t top_k : {0, 1, 3, 5, 9}) {
    const JoinedTexts joined(texts_);
    const headlane_texts array = joined.get();
    std::vector<int64_t> order(9, -1);
    check(headlane_session_rank(session.get(), "the dog", 7, &array, nullptr, nullptr,
                                top_k > 0 ? order.data() : nullptr, top_k));
    for (size_t i = 0; i < order.size(); ++i) {
      const bool wanted = i < all.size() && static_cast<int64_t>(i) < top_k;
      EXPECT_EQ(order[i], wanted ? all[i].document : -1);
    }
  }
  // Texts of the same score stand in their own order.
  const std::vector<std::string> same = {"b", "we", "we", "we"};
  std::vector<int64_t> order;
  for (const auto& ranked : session.rank("the dog", same)) {
    if (ranked.document > 0) order.push_back(ranked.document);
  }
  EXPECT_EQ(order, (std::vector<int64_t>{1, 2, 3}));
}

// The pairs that a call makes are those that one would make by hand.
TEST_F(Classify, PairsOfAQueryAndOfLabels) {
  const Model ranker = open("classify/bert_cross_encoder"), nli = open("classify/bert_nli");
  Session ranking(ranker), session(nli);
  const std::vector<std::string> queries(texts_.size(), "the dog");
  const JoinedTexts second(texts_);
  const headlane_texts array = second.get();
  ClassifyOptions options;
  options.second = &array;
  const Floats expected = ranking.classify(queries, options);
  for (const auto& ranked : ranking.rank("the dog", texts_)) {
    EXPECT_EQ(ranked.score, expected[static_cast<size_t>(ranked.document)]);
  }
  // Each label by itself: e^yes / (e^yes + e^no).
  const std::vector<std::string> labels = {"cat", "", "a {} b"};
  ZeroShotOptions zero_shot;
  zero_shot.multi_label = 1;
  zero_shot.hypothesis = "about {}!";
  const Floats got = session.zero_shot(texts_, labels, zero_shot);
  options.outcome = HEADLANE_OUTCOME_RAW;
  for (size_t l = 0; l < labels.size(); ++l) {
    const JoinedTexts hypotheses(
        std::vector<std::string>(texts_.size(), "about " + labels[l] + "!"));
    const headlane_texts of_label = hypotheses.get();
    options.second = &of_label;
    const Floats raw = session.classify(texts_, options);
    for (size_t t = 0; t < texts_.size(); ++t) {
      EXPECT_NEAR(got[t * labels.size() + l],
                  1 / (1 + std::exp(double{raw[3 * t]} - double{raw[3 * t + 2]})), 1e-7);
    }
  }
}

TEST_F(Classify, WhatDoesNotFitIsNamed) {
  const Model nli = open("classify/bert_nli"), ranker = open("classify/bert_cross_encoder"),
              bert = open("bert/head_dim_16_mean_normalize");
  Session session(nli), ranking(ranker), embedding(bert);
  const JoinedTexts joined(texts_), two(std::vector<std::string>{"a", "b"});
  const headlane_texts texts = joined.get(), pair = two.get(), none = TextArray();
  Floats out(64, kUntouchedScore);
  std::vector<int64_t> order(8, -7);
  const auto classify = [&](Session& of, const headlane_classify_options* options, int64_t stride) {
    return headlane_session_classify(of.get(), &texts, options, out.data(), stride);
  };
  const auto rank = [&](Session& of, const headlane_classify_options* options, int64_t top_k) {
    return headlane_session_rank(of.get(), "q", 1, &texts, options, out.data(), order.data(),
                                 top_k);
  };
  ClassifyOptions options;
  expect_failure(classify(session, &options, 2), HEADLANE_INVALID_ARGUMENT,
                 "stride is 2; it must be 0, or at least 3, the number of labels");
  options.second = &pair;
  expect_failure(classify(session, &options, 0), HEADLANE_INVALID_ARGUMENT,
                 "second.n_texts is 2; it must be as texts.n_texts, 5");
  expect_failure(rank(ranking, &options, 1), HEADLANE_INVALID_ARGUMENT,
                 "second is set, but the documents are the second texts");
  options.second = nullptr;
  const int outcome = 4;
  std::memcpy(&options.outcome, &outcome, sizeof outcome);
  expect_failure(classify(session, &options, 0), HEADLANE_INVALID_ARGUMENT,
                 "outcome is 4; it must be from 0 to 3");
  expect_failure(rank(ranking, nullptr, -1), HEADLANE_INVALID_ARGUMENT,
                 "top_k is -1; it must be 0 or more");
  expect_failure(rank(session, nullptr, 1), HEADLANE_UNSUPPORTED,
                 "texts are ranked by models of one label, but this one has 3; its scores of pairs "
                 "are those of headlane_session_classify");
  const std::string no_classifier =
      "scores of labels are wanted, but the model has none: it is no classifier, it makes vectors";
  expect_failure(classify(embedding, nullptr, 0), HEADLANE_UNSUPPORTED, no_classifier);
  expect_failure(rank(embedding, nullptr, 1), HEADLANE_UNSUPPORTED, no_classifier);
  expect_failure(headlane_session_classify(session.get(), &texts, nullptr, nullptr, 0),
                 HEADLANE_INVALID_ARGUMENT, "scores is null");
  expect_failure(headlane_session_rank(ranking.get(), nullptr, 1, &texts, nullptr, out.data(),
                                       order.data(), 1),
                 HEADLANE_INVALID_ARGUMENT, "query is null");
  expect_failure(
      headlane_session_rank(ranking.get(), "q", 1, &texts, nullptr, out.data(), nullptr, 1),
      HEADLANE_INVALID_ARGUMENT, "order is null");
  const auto zero_shot = [&](Session& of, const headlane_texts& labels, const char* hypothesis) {
    ZeroShotOptions to;
    to.hypothesis = hypothesis;
    return headlane_session_zero_shot(of.get(), &texts, &labels, &to, out.data(), 0);
  };
  expect_failure(zero_shot(session, none, nullptr), HEADLANE_INVALID_ARGUMENT,
                 "labels.n_texts is 0; there must be a label");
  expect_failure(zero_shot(ranking, pair, nullptr), HEADLANE_UNSUPPORTED,
                 "labels of the caller's need a model that says whether a text follows from "
                 "another, and none of this model's labels begins with \"entail\"");
  for (const std::string wrong : {"", "no place", "{}{}", "{ {}", "{} }", "{0}"}) {
    expect_failure(zero_shot(session, pair, wrong.c_str()), HEADLANE_INVALID_ARGUMENT,
                   "hypothesis is \"" + wrong +
                       "\"; it must have \"{}\" once, where the label goes, and no other brace");
  }
  EXPECT_EQ(std::count(out.begin(), out.end(), kUntouchedScore), std::ssize(out));
  EXPECT_EQ(std::count(order.begin(), order.end(), -7), std::ssize(order));
}

// By ids: what the model makes is what may be asked of it.
TEST_F(Classify, OutputsOfOtherModels) {
  const Model nli = open("classify/bert_nli"), bert = open("bert/head_dim_16_mean_normalize");
  Session session(nli), embedding(bert);
  const std::vector<int32_t> ids = {2, 5, 3};
  const Batch batch = Batch().add(ids);
  Floats out(64, kUntouchedScore);
  Outputs pooled, scores;
  pooled.pooled = out.data();
  scores.scores = out.data();
  const headlane_batch given = batch.get();
  expect_failure(headlane_session_encode(session.get(), &given, &pooled), HEADLANE_UNSUPPORTED,
                 "pooled vectors are wanted, but the model is a classifier, which makes scores of "
                 "labels; for vectors, convert its folder again with a pooling, such as the mean");
  expect_failure(headlane_session_encode(embedding.get(), &given, &scores), HEADLANE_UNSUPPORTED,
                 "scores of labels are wanted, but the model has none: it is no classifier, it "
                 "makes vectors");
  EXPECT_EQ(std::count(out.begin(), out.end(), kUntouchedScore), std::ssize(out));
  scores.pooled = out.data();
  EXPECT_EQ(headlane_session_encode(session.get(), &given, &scores), HEADLANE_UNSUPPORTED);
  // Hidden states of a classifier are there as of any model.
  Floats hidden(3 * 24, kUntouchedScore);
  session.encode(batch, hidden);
  EXPECT_EQ(std::count(hidden.begin(), hidden.end(), kUntouchedScore), 0);
}

struct ToldOfClassify {
  std::vector<int64_t> n_texts;
  size_t end_after = std::numeric_limits<size_t>::max();  // calls
};

int32_t tell_of_classify(void* user, const headlane_embed_progress* progress) {
  auto* told = static_cast<ToldOfClassify*>(user);
  told->n_texts.push_back(progress->n_texts);
  return told->n_texts.size() == told->end_after ? 1 : 0;
}

TEST_F(Classify, ProgressAndItsEnd) {
  const Model nli = open("classify/bert_nli"), ranker = open("classify/bert_cross_encoder");
  SessionOptions small;
  small.max_tokens = 70;
  small.max_seqs = 2;
  Session session(nli, small), ranking(ranker, small);
  const JoinedTexts joined(texts_), two(std::vector<std::string>{"a", "b"});
  const headlane_texts texts = joined.get(), labels = two.get();
  Floats out(64);
  std::vector<int64_t> order(5);
  ToldOfClassify told;
  ClassifyOptions options;
  options.on_progress = tell_of_classify;
  options.user = &told;
  ZeroShotOptions zero_shot;
  zero_shot.on_progress = tell_of_classify;
  zero_shot.user = &told;
  const std::pair<int64_t, std::function<headlane_status()>> calls[] = {
      {5,
       [&] { return headlane_session_classify(session.get(), &texts, &options, out.data(), 0); }},
      {5,
       [&] {
         return headlane_session_rank(ranking.get(), "q", 1, &texts, &options, out.data(),
                                      order.data(), 5);
       }},
      {10, [&] {
         return headlane_session_zero_shot(session.get(), &texts, &labels, &zero_shot, out.data(),
                                           0);
       }}};
  for (size_t i = 0; i < std::size(calls); ++i) {
    told = {};
    check(calls[i].second());
    EXPECT_TRUE(std::is_sorted(told.n_texts.begin(), told.n_texts.end()));
    EXPECT_GE(told.n_texts.size(), 3u);
    EXPECT_EQ(told.n_texts.back(), calls[i].first);
    told = {};
    told.end_after = 1;
    std::fill(out.begin(), out.end(), kUntouchedScore);
    EXPECT_EQ(calls[i].second(), HEADLANE_CANCELLED);
    EXPECT_EQ(told.n_texts.size(), 1u);
    // Rows of texts are whole or as they were; what is sorted at the end is not there at all.
    EXPECT_EQ(std::count(out.begin(), out.end(), kUntouchedScore),
              std::ssize(out) - (i == 0 ? 3 * told.n_texts[0] : 0));
  }
  session.set_cancelled(true);
  EXPECT_EQ(calls[0].second(), HEADLANE_CANCELLED);
  EXPECT_EQ(calls[2].second(), HEADLANE_CANCELLED);
  session.set_cancelled(false);
  EXPECT_EQ(calls[0].second(), HEADLANE_OK);
}

// More pairs than one thread is woken for, with the bits of each alone.
TEST_F(Classify, ManyPairsOnManyThreads) {
  const Model model = open("classify/bert_cross_encoder");
  std::vector<std::string> many;
  while (many.size() < 1500) many.insert(many.end(), texts_.begin(), texts_.end());
  SessionOptions one, three;
  one.n_threads = 1;
  three.n_threads = 3;
  Session alone(model, one), together(model, three);
  const auto few = alone.rank("the dog", texts_);
  Floats expected(texts_.size());
  for (const auto& ranked : few) expected[static_cast<size_t>(ranked.document)] = ranked.score;
  for (const auto& ranked : together.rank("the dog", many)) {
    ASSERT_EQ(ranked.score, expected[static_cast<size_t>(ranked.document) % texts_.size()]);
  }
}

}  // namespace
}  // namespace headlane::test

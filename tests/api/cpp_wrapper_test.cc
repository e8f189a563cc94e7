// The classes of headlane.hpp: what they add to the C API, which the other tests are of. That is
// lifetimes, errors as exceptions, and results as what C++ programs hold.
#include <gtest/gtest.h>

#include <headlane/headlane.hpp>
#include <typeinfo>

#include "tests/support/temp_dir.h"

namespace {

using headlane::Batch;
using headlane::Error;
using headlane::Generator;
using headlane::Model;
using headlane::Session;
using Floats = std::vector<float>;
using Ids = std::vector<int32_t>;

const std::string& encoder_file() {
  static const headlane::TempDir dir;
  static const std::string path = [] {
    std::string to = dir.file("encoder.headlane");
    headlane::convert(HEADLANE_GOLDEN_DIR "/bert/head_dim_16_mean_normalize", to);
    return to;
  }();
  return path;
}
const char* const kTranslator = HEADLANE_EXAMPLES_DIR "/translate/zh-en.headlane";
constexpr const char* kSource = "今天天气很好";
constexpr const char* kTarget = "It's a beautiful day today";

// The body throws an Error of this status, which names `named`.
template <typename Body>
void expect_error(headlane_status status, const std::string& named, Body body) {
  try {
    body();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), status) << error.what();
    EXPECT_NE(std::string(error.what()).find(named), std::string::npos) << error.what();
  }
}

TEST(CppWrapper, ItsNamesAreNotTheEngines) {
  // Both have an Error, and a program that links the static library has both.
  EXPECT_NE(std::string(typeid(Error).name()).find("2v0"), std::string::npos)
      << typeid(Error).name();
}

TEST(CppWrapper, OptionsAreCsDefaults) {
  const headlane_attention_options expected = HEADLANE_INIT(headlane_attention_options);
  const headlane_attention_options made = headlane::AttentionOptions();
  EXPECT_EQ(made.struct_size, expected.struct_size);
  EXPECT_EQ(made.n_heads, 0);
  EXPECT_EQ(made.causal, HEADLANE_CAUSAL_NONE);
  EXPECT_EQ(made.memory, nullptr);
}

TEST(CppWrapper, HandlesMoveAndAreNotCopied) {
  static_assert(!std::is_copy_constructible_v<Model> && !std::is_copy_assignable_v<Model>);
  static_assert(!std::is_copy_constructible_v<Session>);
  static_assert(!std::is_copy_constructible_v<Generator>);
  static_assert(!std::is_copy_constructible_v<headlane::Attention>);
  static_assert(std::is_nothrow_move_constructible_v<Model>);
  static_assert(std::is_nothrow_move_assignable_v<Session>);
  static_assert(std::is_nothrow_move_assignable_v<Generator>);
  static_assert(std::is_nothrow_move_assignable_v<headlane::Attention>);

  Model model(encoder_file());
  Model moved = std::move(model);
  EXPECT_EQ(moved.facts().architecture, std::string("bert"));
  // NOLINTBEGIN(bugprone-use-after-move): what a moved-from handle says is what is tested
  expect_error(HEADLANE_INVALID_ARGUMENT, "model is null", [&] { model.facts(); });
  EXPECT_EQ(model.kernels(), "");

  Session session(moved);
  const Floats expected = session.embed({"a b"});
  Session other = std::move(session);
  EXPECT_EQ(other.embed({"a b"}), expected);
  expect_error(HEADLANE_INVALID_ARGUMENT, "null", [&] { session.embed({"a b"}); });
  expect_error(HEADLANE_INVALID_ARGUMENT, "session is null", [&] { session.profile(true); });
  // NOLINTEND(bugprone-use-after-move)
}

TEST(CppWrapper, AModelThatCMadeIsTakenOver) {
  headlane_model* made = nullptr;
  headlane::check(headlane_model_open(encoder_file().c_str(), nullptr, &made));
  const Model model(made);
  EXPECT_EQ(model.facts().architecture, std::string("bert"));
  EXPECT_EQ(model.get(), made);
}

TEST(CppWrapper, SessionsAndGeneratorsKeepTheirModel) {
  const auto session_of = [](const std::string& path) { return Session(Model(path)); };
  Session session = session_of(encoder_file());
  const Floats expected = session.embed({"a b"});
  // The old session goes before the old model, and the new model stays.
  session = session_of(encoder_file());
  EXPECT_EQ(session.embed({"a b"}), expected);

  Generator generator{Model(kTranslator)};
  generator = Generator(Model(kTranslator));
  const Model model(kTranslator);
  generator.generate(model.tokenize_all({kSource}));
  EXPECT_EQ(model.detokenize(generator.answer(0).ids), kTarget);
}

TEST(CppWrapper, ErrorsOfTheCApiAreExceptions) {
  expect_error(HEADLANE_IO, "/nowhere/at.all", [] { Model("/nowhere/at.all"); });
  headlane::ModelOptions options;
  options.isa = "z80";
  expect_error(HEADLANE_INVALID_ARGUMENT, "z80", [&] { Model(encoder_file(), options); });
  const Model model(encoder_file());
  expect_error(HEADLANE_UNSUPPORTED, "", [&] { Generator{model}; });
  expect_error(HEADLANE_INVALID_ARGUMENT, "i is 100000", [&] { model.tensor(100000); });
  expect_error(HEADLANE_INVALID_ARGUMENT, "", [&] { model.language(0); });
  expect_error(HEADLANE_INVALID_ARGUMENT, "", [&] { model.token_id("no such token"); });
  expect_error(HEADLANE_IO, "/nowhere", [] { headlane::convert("/nowhere", "/nowhere/else"); });
}

TEST(CppWrapper, TextsBecomeIdsAndBack) {
  const Model model(encoder_file());
  // More tokens than there is room for at first, which is half a token a byte.
  const std::string dots(200, '.');
  headlane::TokenizeOptions options;
  options.max_len = 1000;
  const Ids ids = model.tokenize(dots, options);
  EXPECT_EQ(ids.size(), dots.size() + 2);
  EXPECT_EQ(model.tokenize("").size(), 2U);
  EXPECT_EQ(model.token_text(ids[0]), "[CLS]");
  EXPECT_EQ(model.token_id("[CLS]"), ids[0]);

  const Model translator(kTranslator);
  options.as_target = 1;
  const Ids target = translator.tokenize(kTarget, options);
  EXPECT_EQ(translator.detokenize(target), kTarget);
  EXPECT_EQ(translator.detokenize({}), "");
  EXPECT_FALSE(translator.target_token_text(target[0]).empty());
}

TEST(CppWrapper, TheInstructionSetIsKnownWithoutAModel) {
  EXPECT_STREQ(headlane::isa("ref"), "ref");
  EXPECT_STREQ(headlane::isa(), Model(encoder_file()).facts().isa);
  expect_error(HEADLANE_INVALID_ARGUMENT, "z80", [] { headlane::isa("z80"); });
}

TEST(CppWrapper, FactsTensorsAndKernelsAreTheModels) {
  const Model model(encoder_file());
  const headlane::ModelFacts facts = model.facts();
  EXPECT_EQ(facts.pooling, std::string("mean"));
  const headlane::TensorFacts tensor = model.tensor(facts.n_tensors - 1);
  EXPECT_GE(tensor.rank, 1);
  EXPECT_NE(model.kernels().find("gemm_f32: "), std::string_view::npos);
}

TEST(CppWrapper, ABatchHoldsSequencesEndToEnd) {
  Batch batch;
  EXPECT_EQ(batch.n_seqs(), 0U);
  batch.add(Ids{5, 6}).add(Ids{}).add(Ids{7}, Ids{1});
  EXPECT_EQ(batch.n_seqs(), 3U);
  EXPECT_EQ(batch.n_tokens(), 3U);
  batch.add(Ids{8, 9});
  const headlane_batch c = batch.get();
  EXPECT_EQ(c.n_seqs, 4);
  EXPECT_EQ(std::vector<int64_t>(c.offsets, c.offsets + 5), (std::vector<int64_t>{0, 2, 2, 3, 5}));
  EXPECT_EQ(Ids(c.ids, c.ids + 5), (Ids{5, 6, 7, 8, 9}));
  EXPECT_EQ(Ids(c.type_ids, c.type_ids + 5), (Ids{0, 0, 1, 0, 0}));
  expect_error(HEADLANE_INVALID_ARGUMENT, "2 ids and 1 type ids", [&] {
    batch.add(Ids{1, 2}, Ids{1});
  });
  EXPECT_EQ(batch.n_seqs(), 4U);
  batch.clear();
  EXPECT_EQ(batch.n_tokens(), 0U);
  EXPECT_EQ(batch.add(Ids{3}).get().type_ids, nullptr);
}

TEST(CppWrapper, EncodeWritesWhatTheCApiWrites) {
  const Model model(encoder_file());
  const auto d_model = static_cast<size_t>(model.facts().d_model);
  const std::vector<std::string> texts = {"a b c", "c"};
  const Batch batch = model.tokenize_all(texts);
  headlane::SessionOptions options;
  options.max_tokens = 12;
  options.n_threads = 1;
  EXPECT_GT(Session::bytes(model, options), 0U);
  Session session(model, options);
  Floats hidden(batch.n_tokens() * d_model), pooled(batch.n_seqs() * d_model);
  session.encode(batch, hidden, pooled);
  EXPECT_EQ(session.embed(texts), pooled);
  EXPECT_EQ(session.embed(std::vector<std::string>{}), Floats{});

  Floats expected(hidden.size());
  headlane::Outputs outputs;
  outputs.hidden = expected.data();
  const headlane_batch c = batch.get();
  headlane::check(headlane_session_encode(session.get(), &c, &outputs));
  EXPECT_EQ(hidden, expected);

  expect_error(HEADLANE_INVALID_ARGUMENT, "hidden has 1 elements",
               [&] { session.encode(batch, std::span(hidden).first(1)); });
  expect_error(HEADLANE_INVALID_ARGUMENT, "pooled has ",
               [&] { session.encode(batch, {}, hidden); });
  // More tokens than the session has are several batches.
  const Floats one = session.embed({"a b c d e f"});
  Floats two = one;
  two.insert(two.end(), one.begin(), one.end());
  EXPECT_EQ(session.embed({"a b c d e f", "a b c d e f"}), two);
  expect_error(HEADLANE_TOO_LARGE, "text 1 has ", [&] {
    session.embed({"a", "a b c d e f g h i j k l"});
  });
}

TEST(CppWrapper, ASessionIsProfiled) {
  Session session{Model(encoder_file())};
  session.profile(true);
  session.embed({"a b"});
  const headlane::PassFacts pass = session.pass(0);
  EXPECT_EQ(pass.n_runs, 1);
  EXPECT_LE(session.span(0, 0).begin, session.span(0, 0).end);
  expect_error(HEADLANE_INVALID_ARGUMENT, "pass", [&] { session.pass(pass.n_passes); });
}

TEST(CppWrapper, WeightsArePackedOnTheProgramsThreads) {
  int n_calls = 0;
  headlane::ThreadPool pool;
  pool.user = &n_calls;
  pool.n_threads = 2;
  pool.parallel_for = [](void* user, int32_t n, void (*task)(void*, int32_t), void* context) {
    ++*static_cast<int*>(user);
    for (int32_t i = 0; i < n; ++i) task(context, i);
  };
  headlane::ModelOptions options;
  options.pool = &pool;
  const Model model(encoder_file(), options);
  EXPECT_GT(n_calls, 0);
}

TEST(CppWrapper, CancelledCallsAreErrors) {
  Session session{Model(encoder_file())};
  session.set_cancelled(true);
  expect_error(HEADLANE_CANCELLED, "cancelled", [&] { session.embed({"a"}); });
  session.set_cancelled(false);
  EXPECT_FALSE(session.embed({"a"}).empty());

  const Model model(kTranslator);
  Generator generator(model);
  generator.set_cancelled(true);
  expect_error(HEADLANE_CANCELLED, "cancelled",
               [&] { generator.generate(model.tokenize_all({kSource})); });
  generator.set_cancelled(false);
  generator.generate(model.tokenize_all({kSource}));
  EXPECT_EQ(model.detokenize(generator.answer(0).ids), kTarget);
}

TEST(CppWrapper, ALayerOfWeightsRunsForward) {
  // One head that sees everything, of identities: each row becomes the mean of all.
  const Floats identity = {1, 0, 0, 1}, zeros(4);
  headlane::AttentionOptions attention;
  attention.n_heads = 1;
  attention.head_dim = 2;
  headlane::LayerOptions layer;
  layer.d_model = 2;
  layer.attention = &attention;
  layer.q.weight = layer.k.weight = zeros.data();
  layer.v.weight = layer.out.weight = identity.data();
  Session session{Model::layer(layer)};
  const Floats x = {1, 2, 3, 6};
  Floats out(4);
  headlane::ForwardBatch batch;
  batch.n_seqs = 1;
  batch.q_len = 2;
  batch.x.data = x.data();
  batch.out.data = out.data();
  session.forward(batch);
  EXPECT_EQ(out, (Floats{2, 4, 2, 4}));
  expect_error(HEADLANE_UNSUPPORTED, "",
               [&] { session.encode(Batch().add(Ids{1}), std::span(out).first(2)); });
}

TEST(CppWrapper, AttentionRunsOnTheCallersBuffers) {
  headlane::AttentionOptions options;
  options.n_heads = 1;
  options.head_dim = 2;
  expect_error(HEADLANE_INVALID_ARGUMENT, "n_heads",
               [] { headlane::Attention{headlane::AttentionOptions()}; });
  EXPECT_GT(headlane::Attention::bytes(options), 0U);
  headlane::Attention attention(options);
  const Floats q = {0, 0}, k = {1, 2, 3, 4}, v = {1, 2, 3, 6};
  Floats o(2);
  headlane::AttentionBatch batch;
  batch.n_seqs = 1;
  batch.q_len = 1;
  batch.kv_len = 2;
  batch.q.data = q.data();
  batch.k.data = k.data();
  batch.v.data = v.data();
  batch.o.data = o.data();
  batch.q.token_stride = batch.k.token_stride = batch.v.token_stride = batch.o.token_stride = 2;
  attention.run(batch);
  EXPECT_EQ(o, (Floats{2, 4}));
  attention.set_cancelled(true);
  expect_error(HEADLANE_CANCELLED, "cancelled", [&] { attention.run(batch); });
  EXPECT_EQ(headlane::alibi_slopes(2), (Floats{0.0625F, 0.00390625F}));
  expect_error(HEADLANE_INVALID_ARGUMENT, "n_heads", [] { headlane::alibi_slopes(0); });
}

class CppGenerator : public testing::Test {
 protected:
  const Model model_ = Model(kTranslator);
  const Batch sources_ = model_.tokenize_all({kSource, kSource});
  Generator generator_ = Generator(model_);
};

TEST_F(CppGenerator, AnswersAreSpansOfIds) {
  EXPECT_GT(Generator::bytes(model_), 0U);
  headlane::GenerateOptions options;
  options.n_beams = options.n_best = 2;
  generator_.generate(sources_, options);
  EXPECT_EQ(generator_.n_answers(1), 2);
  EXPECT_EQ(model_.detokenize(generator_.answer(1).ids), kTarget);
  EXPECT_GE(generator_.answer(1, 0).score, generator_.answer(1, 1).score);
  expect_error(HEADLANE_INVALID_ARGUMENT, "rank is 2", [&] { generator_.answer(0, 2); });
  expect_error(HEADLANE_INVALID_ARGUMENT, "source is 2", [&] { generator_.n_answers(2); });
}

TEST_F(CppGenerator, TokensAreToldAndMayStop) {
  headlane::GenerateOptions options;
  options.n_beams = 1;
  std::vector<Ids> told(2);
  generator_.generate(sources_, options, [&](int64_t source, int32_t id, int64_t n_tokens) {
    told[static_cast<size_t>(source)].push_back(id);
    EXPECT_EQ(n_tokens, std::ssize(told[static_cast<size_t>(source)]));
  });
  const std::span<const int32_t> answer = generator_.answer(1).ids;
  EXPECT_EQ(told[1], Ids(answer.begin(), answer.end()));

  generator_.generate(sources_, options, [](int64_t source, int32_t, int64_t n_tokens) {
    return source == 0 && n_tokens == 2 ? HEADLANE_STOP_SOURCE : HEADLANE_GO_ON;
  });
  EXPECT_EQ(generator_.answer(0).ids.size(), 2U);
  EXPECT_EQ(model_.detokenize(generator_.answer(1).ids), kTarget);
}

TEST_F(CppGenerator, WhatACallbackThrowsComesOutAsItWas) {
  struct Own {
    std::unique_ptr<int> number;  // what cannot be copied on its way
  };
  int n_calls = 0;
  int* thrown = nullptr;
  const auto throws = [&](int64_t, int32_t, int64_t n_tokens) {
    ++n_calls;
    if (n_tokens < 2) return;
    Own own{std::make_unique<int>(7)};
    thrown = own.number.get();
    throw std::move(own);
  };
  static_assert(std::is_move_constructible_v<Own>);
  try {
    generator_.generate(sources_, headlane::GenerateOptions(), throws);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Own& own) {
    EXPECT_EQ(own.number.get(), thrown);
    EXPECT_EQ(*own.number, 7);
  }
  EXPECT_EQ(n_calls, 3) << "it was called again after it threw";
  generator_.generate(sources_);
  EXPECT_EQ(model_.detokenize(generator_.answer(0).ids), kTarget);
}

TEST_F(CppGenerator, StepsGiveTheNextToken) {
  generator_.encode(sources_);
  const headlane::ModelFacts facts = model_.facts();
  const Ids ids = {facts.start_id, facts.start_id}, of = {0, 1};
  Ids best(2);
  headlane::Step step;
  step.n_rows = 2;
  step.ids = ids.data();
  step.sources = of.data();
  step.k = 1;
  step.best_ids = best.data();
  generator_.step(step);
  EXPECT_EQ(best[0], best[1]);
  EXPECT_NE(model_.target_token_text(best[0]).find("It"), std::string_view::npos);
  step.n_rows = -1;
  expect_error(HEADLANE_INVALID_ARGUMENT, "n_rows", [&] { generator_.step(step); });
}

}  // namespace

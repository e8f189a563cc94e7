// Threads of the caller's own, cancelling from them, and messages to the caller.
#include <atomic>
#include <functional>
#include <thread>

#include "tests/api/attention.h"
#include "tests/api/generator.h"
#include "tests/support/threads.h"

namespace headlane::test {
namespace {

// A pool that counts its calls, and runs tasks as it is told to.
class Pool {
 public:
  enum class Order { kAtOnce, kBackwards, kForgetsOne };
  explicit Pool(Order order, int32_t n_threads = 3) : order_(order) {
    pool_.user = this;
    pool_.n_threads = n_threads;
    pool_.parallel_for = [](void* user, int32_t n, void (*task)(void*, int32_t), void* context) {
      static_cast<Pool*>(user)->run(n, task, context);
    };
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  const headlane_thread_pool* get() const { return &pool_; }
  int n_calls() const { return n_calls_; }
  std::function<void(int call)> before_call;

 private:
  void run(int32_t n, void (*task)(void*, int32_t), void* context) {
    if (before_call) before_call(n_calls_);
    ++n_calls_;
    if (order_ == Order::kAtOnce) {
      std::vector<std::thread> threads;
      threads.reserve(static_cast<size_t>(n));
      for (int32_t i = 0; i < n; ++i) threads.emplace_back(task, context, i);
      for (std::thread& thread : threads) thread.join();
      return;
    }
    const int32_t last = order_ == Order::kForgetsOne ? 1 : 0;
    for (int32_t i = n - 1; i >= last; --i) task(context, i);
  }

  Order order_;
  headlane_thread_pool pool_ = HEADLANE_INIT(headlane_thread_pool);
  int n_calls_ = 0;
};

int n_threads_of_process() { return static_cast<int>(threads_of_process().size()); }

struct Message {
  headlane_log_level level;
  std::string text;
};
void keep_message(void* messages, headlane_log_level level, const char* message) {
  static_cast<std::vector<Message>*>(messages)->push_back({level, message});
}
bool says(const std::vector<Message>& messages, headlane_log_level level,
          const std::string& words) {
  return std::any_of(messages.begin(), messages.end(), [&](const Message& message) {
    return message.level == level && message.text.find(words) != std::string::npos;
  });
}

class CallerThreads : public testing::Test {
 protected:
  void SetUp() override {
    path_ = temp_.file("model.headlane");
    check(headlane_convert(HEADLANE_GOLDEN_DIR "/bert/head_dim_16_mean_normalize", path_.c_str(),
                           nullptr));
    for (int i = 0; i < 40; ++i) {  // more than one thread's worth
      ids_.emplace_back(static_cast<size_t>(20 + i), 5 + i % 3);
    }
  }
  SessionHandle create_session(headlane_model* model, const headlane_thread_pool* pool) {
    headlane_session_options options = HEADLANE_INIT(headlane_session_options);
    options.pool = pool;
    headlane_session* session = nullptr;
    check(headlane_session_create(model, &options, &session));
    return SessionHandle(session);
  }

  TempDir temp_;
  std::string path_;
  Sequences ids_;
};

// Also where tasks of a pass run one after the other, and the last comes first.
TEST_F(CallerThreads, EncodeGivesTheSameBitsAndMakesNoThreads) {
  const Encoded expected = Encoder(path_, "", 2).encode(ids_);
  const int before = n_threads_of_process();
  for (const Pool::Order order : {Pool::Order::kAtOnce, Pool::Order::kBackwards}) {
    Pool packing(order), running(order);
    headlane_model_options options = HEADLANE_INIT(headlane_model_options);
    options.pool = packing.get();
    headlane_model* opened = nullptr;
    check(headlane_model_open(path_.c_str(), &options, &opened));
    const ModelHandle model(opened);
    EXPECT_GT(packing.n_calls(), 0);
    const SessionHandle session = create_session(opened, running.get());
    for (int round = 0; round < 3; ++round) {
      const Encoded out = encode(session.get(), facts_of(opened), ids_);
      EXPECT_EQ(out.hidden, expected.hidden);
      EXPECT_EQ(out.pooled, expected.pooled);
      // One sequence is a block that threads share.
      EXPECT_EQ(encode(session.get(), facts_of(opened), {ids_[39]}).pooled,
                std::vector<float>(expected.pooled.end() - facts_of(opened).d_model,
                                   expected.pooled.end()));
    }
    EXPECT_GT(running.n_calls(), 0);
    EXPECT_LE(n_threads_of_process(), before);  // an emulator's own come and go
  }
}

TEST_F(CallerThreads, GenerateGivesTheSameAnswers) {
  const ModelHandle model = open_model(golden_file("marian_shared"));
  const Sequences sources = random_sources(30, facts_of(model.get()).vocab_size, 20, 3);
  headlane_generator_options options = generator_options(30, 4, 2);
  const Answers expected =
      generate(create_generator(model.get(), options).get(), sources, beams(4));
  for (const Pool::Order order : {Pool::Order::kAtOnce, Pool::Order::kBackwards}) {
    Pool pool(order);
    options.n_threads = 2;
    options.pool = pool.get();
    EXPECT_EQ(generate(create_generator(model.get(), options).get(), sources, beams(4)), expected);
    EXPECT_GT(pool.n_calls(), 0);
  }
}

// Attention of all ones: what comes out is the mean of what may be seen.
class CallerThreadsOfAttention : public testing::Test {
 protected:
  static constexpr int64_t kLen = 600, kHeads = 4, kDim = 64;
  headlane_status run(const headlane_thread_pool* pool, headlane_attention** made) {
    headlane_attention_options options = attention_options(kHeads, kDim);
    options.n_threads = 0;
    options.pool = pool;
    check(headlane_attention_create(&options, made));
    return run(*made);
  }
  headlane_status run(headlane_attention* attention) {
    headlane_attention_batch batch = HEADLANE_INIT(headlane_attention_batch);
    batch.n_seqs = 1;
    batch.q_len = batch.kv_len = kLen;
    const int64_t token = kHeads * kDim;
    batch.q = batch.k = batch.v = {ones_.data(), kLen * token, token, kDim};
    batch.o = {out_.data(), kLen * token, token, kDim};
    return headlane_attention_run(attention, &batch);
  }
  bool all_ones() const {
    return std::all_of(out_.begin(), out_.end(), [](float x) { return x == 1; });
  }
  std::vector<float> ones_ = std::vector<float>(kLen * kHeads * kDim, 1);
  std::vector<float> out_ = std::vector<float>(kLen * kHeads * kDim, 0);
};

TEST_F(CallerThreadsOfAttention, RunsOnThem) {
  for (const Pool::Order order : {Pool::Order::kAtOnce, Pool::Order::kBackwards}) {
    Pool pool(order);
    std::fill(out_.begin(), out_.end(), 0.0f);
    headlane_attention* attention = nullptr;
    EXPECT_EQ(run(pool.get(), &attention), HEADLANE_OK) << headlane_error();
    const AttentionHandle owned(attention);
    EXPECT_TRUE(all_ones());
    EXPECT_EQ(pool.n_calls(), 1);
  }
}

TEST_F(CallerThreadsOfAttention, APoolThatForgetsATaskIsTold) {
  Pool pool(Pool::Order::kForgetsOne);
  headlane_attention* attention = nullptr;
  expect_status(run(pool.get(), &attention), HEADLANE_INVALID_ARGUMENT, "2 of 3 tasks");
  const AttentionHandle owned(attention);
}

TEST_F(CallerThreads, WrongPools) {
  const ModelHandle model = open_model(path_);
  headlane_thread_pool pool = HEADLANE_INIT(headlane_thread_pool);
  headlane_session_options options = HEADLANE_INIT(headlane_session_options);
  options.pool = &pool;
  headlane_session* session = nullptr;
  const auto create = [&] { return headlane_session_create(model.get(), &options, &session); };
  expect_status(create(), HEADLANE_INVALID_ARGUMENT, "parallel_for is null");
  pool = *Pool(Pool::Order::kAtOnce).get();
  pool.n_threads = 0;
  expect_status(create(), HEADLANE_INVALID_ARGUMENT, "pool.n_threads is 0");
  pool.n_threads = 5000;
  expect_status(create(), HEADLANE_INVALID_ARGUMENT, "pool.n_threads is 5000");
  pool.n_threads = 2;
  pool.struct_size = 0;
  expect_status(create(), HEADLANE_INVALID_ARGUMENT, "struct_size");
}

TEST_F(CallerThreads, AnExceptionOfThePoolsIsAStatus) {
  Pool pool(Pool::Order::kAtOnce);
  const ModelHandle model = open_model(path_);
  const SessionHandle session = create_session(model.get(), pool.get());
  const FlatSequences flat(ids_);
  const headlane_batch batch = flat.batch();
  std::vector<float> pooled(ids_.size() * 64);
  const headlane_outputs outputs{.struct_size = sizeof outputs, .pooled = pooled.data()};
  pool.before_call = [](int) { throw std::runtime_error("the pool is gone"); };
  expect_status(headlane_session_encode(session.get(), &batch, &outputs), HEADLANE_INTERNAL,
                "the pool is gone");
  pool.before_call = nullptr;
  EXPECT_EQ(headlane_session_encode(session.get(), &batch, &outputs), HEADLANE_OK);
}

// At whichever pass it happens.
TEST_F(CallerThreads, ACancelledEncodeEndsAndTheSessionIsUsable) {
  Pool pool(Pool::Order::kAtOnce);
  Encoder reference(path_, "", 1);
  const Encoded expected = reference.encode(ids_);
  const SessionHandle session = create_session(reference.model(), pool.get());
  const auto run = [&] { return encode(session.get(), reference.facts(), ids_); };
  run();
  const int n_phases = pool.n_calls();
  ASSERT_GT(n_phases, 3);
  for (int at = 0; at < n_phases; ++at) {
    const int first = pool.n_calls();
    pool.before_call = [&](int call) {
      if (call == first + at) check(headlane_session_set_cancelled(session.get(), 1));
    };
    EXPECT_THROW(run(), std::runtime_error);
    EXPECT_EQ(pool.n_calls(), first + at + 1);
    EXPECT_THROW(run(), std::runtime_error);  // it stays so
    EXPECT_STREQ(headlane_error(), "the call was cancelled before it began");
    check(headlane_session_set_cancelled(session.get(), 0));
    pool.before_call = nullptr;
    EXPECT_EQ(run().hidden, expected.hidden);
  }
}

// From another thread, with threads of the session's own.
TEST_F(CallerThreads, CancellingEndsACallOfAnotherThread) {
  Encoder encoder(path_, "", 2);
  const Encoded expected = encoder.encode(ids_);
  for (int round = 0; round < 5; ++round) {
    std::atomic<int> runs{0};
    std::string error;
    std::thread other([&] {
      try {
        for (;; ++runs) encoder.encode(ids_);
      } catch (const std::exception& cancelled) {
        error = cancelled.what();
      }
    });
    while (runs < 2) std::this_thread::yield();
    check(headlane_session_set_cancelled(encoder.session(), 1));
    other.join();
    EXPECT_NE(error.find("cancelled"), std::string::npos) << error;
    check(headlane_session_set_cancelled(encoder.session(), 0));
    EXPECT_EQ(encoder.encode(ids_).hidden, expected.hidden);
  }
}

TEST_F(CallerThreadsOfAttention, CanBeCancelled) {
  Pool pool(Pool::Order::kAtOnce);
  headlane_attention* attention = nullptr;
  EXPECT_EQ(run(pool.get(), &attention), HEADLANE_OK);
  const AttentionHandle owned(attention);
  pool.before_call = [&](int) { headlane_attention_set_cancelled(attention, 1); };
  EXPECT_EQ(run(attention), HEADLANE_CANCELLED);
  pool.before_call = nullptr;
  EXPECT_EQ(run(attention), HEADLANE_CANCELLED);
  EXPECT_EQ(headlane_attention_set_cancelled(attention, 0), HEADLANE_OK);
  EXPECT_EQ(run(attention), HEADLANE_OK);
  EXPECT_TRUE(all_ones());
  EXPECT_EQ(headlane_attention_set_cancelled(nullptr, 1), HEADLANE_INVALID_ARGUMENT);
}

TEST_F(CallerThreads, ACancelledGenerateHasNoAnswersAndTheGeneratorIsUsable) {
  const ModelHandle model = open_model(golden_file("marian_shared"));
  const Sequences sources = random_sources(30, facts_of(model.get()).vocab_size, 20, 3);
  Pool pool(Pool::Order::kBackwards);
  headlane_generator_options options = generator_options(30, 4, 0);
  options.pool = pool.get();
  const GeneratorHandle generator = create_generator(model.get(), options);
  const Answers expected = generate(generator.get(), sources, beams(4));
  const int n_phases = pool.n_calls();
  ASSERT_GT(n_phases, 3);
  const FlatSequences flat(sources);
  const headlane_batch batch = flat.batch();
  const headlane_generate_options search = beams(4);
  for (const int at : {0, 1, n_phases / 2, n_phases - 1}) {
    const int first = pool.n_calls();
    pool.before_call = [&](int call) {
      if (call == first + at) headlane_generator_set_cancelled(generator.get(), 1);
    };
    EXPECT_EQ(headlane_generator_generate(generator.get(), &batch, &search), HEADLANE_CANCELLED);
    headlane_answer answer = HEADLANE_INIT(headlane_answer);
    EXPECT_EQ(headlane_generator_get_answer(generator.get(), 0, 0, &answer),
              HEADLANE_INVALID_ARGUMENT);
    headlane_generator_set_cancelled(generator.get(), 0);
    pool.before_call = nullptr;
    EXPECT_EQ(generate(generator.get(), sources, beams(4)), expected);
  }
}

// A step that was cancelled is taken again, and gives what it would have given.
TEST_F(CallerThreads, ACancelledStepMayBeTakenAgain) {
  const ModelHandle model = open_model(golden_file("marian_shared"));
  headlane_generator_options options = generator_options(2, 1);
  const GeneratorHandle generator = create_generator(model.get(), options);
  const FlatSequences flat({{3, 4, 5}, {6, 7}});
  const headlane_batch batch = flat.batch();
  const auto run = [&](bool cancels) {
    const headlane_outputs none = {.struct_size = sizeof none};
    check(headlane_generator_encode(generator.get(), &batch, &none));
    std::vector<int32_t> ids = {1, 1}, all;
    const int32_t of[] = {0, 1};
    for (int i = 0; i < 6; ++i) {
      std::vector<int32_t> best(2);
      headlane_step step = HEADLANE_INIT(headlane_step);
      step.n_rows = 2;
      step.ids = ids.data();
      step.sources = of;
      step.k = 1;
      step.best_ids = best.data();
      if (cancels) {
        headlane_generator_set_cancelled(generator.get(), 1);
        EXPECT_EQ(headlane_generator_step(generator.get(), &step), HEADLANE_CANCELLED);
        headlane_generator_set_cancelled(generator.get(), 0);
      }
      check(headlane_generator_step(generator.get(), &step));
      all.insert(all.end(), best.begin(), best.end());
      ids = best;
    }
    return all;
  };
  EXPECT_EQ(run(true), run(false));
}

TEST_F(CallerThreads, TheLogIsToldWhatIsChosen) {
  std::vector<Message> messages;
  headlane_model_options options = HEADLANE_INIT(headlane_model_options);
  options.log = keep_message;
  options.log_user = &messages;
  options.isa = "ref";
  options.precision = "bf16";
  headlane_model* opened = nullptr;
  check(headlane_model_open(path_.c_str(), &options, &opened));
  const ModelHandle model(opened);
  EXPECT_TRUE(says(messages, HEADLANE_LOG_INFO, path_));
  EXPECT_TRUE(says(messages, HEADLANE_LOG_INFO, "kernels are ref, matrix products by headlane"));
  EXPECT_TRUE(says(messages, HEADLANE_LOG_INFO, "packed "));
  EXPECT_TRUE(says(messages, HEADLANE_LOG_WARNING, "no instructions for products in bf16"));
  messages.clear();
  const SessionHandle session = create_session(opened, nullptr);
  EXPECT_TRUE(says(messages, HEADLANE_LOG_INFO, "session: 4096 tokens"));
}

TEST_F(CallerThreads, TheLogIsToldOfAnInstructionSetThatIsNotThere) {
  if (runs(path_, "amx")) GTEST_SKIP() << "this machine has every instruction set";
  std::vector<Message> messages;
  headlane_model_options options = HEADLANE_INIT(headlane_model_options);
  options.log = keep_message;
  options.log_user = &messages;
  options.isa = "amx";
  headlane_model* opened = nullptr;
  check(headlane_model_open(path_.c_str(), &options, &opened));
  const ModelHandle model(opened);
  EXPECT_TRUE(says(messages, HEADLANE_LOG_WARNING, "option isa is \"amx\""));
}

}  // namespace
}  // namespace headlane::test

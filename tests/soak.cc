// Several threads of a host use one of each model at once, for a given time: they run sessions of
// their own, make and end others, and open and close models. Every result must have the bits of the
// first, and memory must not grow.
//
//   soak SECONDS [THREADS]
//
// Prints what was done and the memory at each tenth of the time; ends with 1 if anything was wrong.
#include <unistd.h>

#include <barrier>
#include <chrono>
#include <cstdio>
#include <random>
#include <thread>

#include "tests/api/generator.h"
#include "tests/api/layer.h"
#include "tests/support/allocators.h"

namespace headlane::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kParts = 10;  // of the time, after each of which threads meet
constexpr int kMostThreads = 3;

int64_t resident_kb() {
  std::ifstream status("/proc/self/statm");
  int64_t all = 0, resident = 0;
  status >> all >> resident;
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

// The models that all threads share, and what is right for each sequence.
class Shared {
 public:
  Shared() {
    check(headlane_convert(HEADLANE_GOLDEN_DIR "/bert/head_dim_16_mean_normalize",
                           bert_path.c_str(), nullptr));
    bert = open_model(bert_path);
    marian = open_model(golden_file("marian_shared"));
    facts = facts_of(bert.get());
    ids = random_sources(40, facts.vocab_size, 70, 1);
    sources = random_sources(20, facts_of(marian.get()).vocab_size, 20, 2);
    // One after the other, alone: any company must give the same.
    const SessionHandle session = create_session(bert.get(), false, 1);
    for (const auto& seq : ids) pooled.push_back(encode(session.get(), facts, {seq}).pooled);
    const GeneratorHandle generator = create_generator(marian.get(), generator_options(1, 2));
    for (const auto& source : sources) {
      answers.push_back(generate(generator.get(), {source}, beams(2))[0]);
    }
    layer_model = create_layer(layer.fill(), nullptr);
    x = layer.numbers(kRows * kColumns, 1);
    const SessionHandle layer_session = create_session(layer_model.get(), false, 1);
    out = forward(layer_session.get());
  }

  Floats forward(headlane_session* session) const {
    Floats result(x.size());
    headlane_forward_batch batch = HEADLANE_INIT(headlane_forward_batch);
    batch.n_seqs = 1;
    batch.q_len = kRows;
    batch.x.data = x.data();
    batch.out.data = result.data();
    check(headlane_session_forward(session, &batch));
    return result;
  }

  static constexpr int64_t kRows = 300, kColumns = 64;
  TempDir temp;
  std::string bert_path = temp.file("bert.headlane");
  ModelHandle bert, marian;
  headlane_model_facts facts;
  Sequences ids, sources;
  std::vector<Floats> pooled;
  Answers answers;
  Layer layer{kColumns, 4, 16};
  ModelHandle layer_model;
  Floats x, out;
};

// The work of one thread of the host.
class Worker {
 public:
  Worker(const Shared& shared, uint32_t seed)
      : shared_(shared),
        random_(seed),
        session_(create_session(shared.bert.get(), false, n_threads(), 4096)),
        generator_(create_generator(shared.marian.get(), generator_options(20, 2, n_threads()))),
        layer_session_(create_session(shared.layer_model.get(), false, n_threads())) {}

  // One call, or one handle made, used and ended.
  void step() {
    ++n_steps;
    switch (random_() % 8) {
      case 0: {
        const ModelHandle model = open_model(shared_.bert_path);
        return encode_some(create_session(model.get(), false, n_threads(), 4096).get());
      }
      case 1:
        return encode_some(create_session(shared_.bert.get(), false, n_threads(), 4096).get());
      case 2:
        return generate_some(
            create_generator(shared_.marian.get(), generator_options(20, 2, n_threads())).get());
      case 3:
        return generate_some(generator_.get());
      case 4:
        return expect(shared_.forward(layer_session_.get()) == shared_.out);
      default:
        return encode_some(session_.get());
    }
  }

  int64_t n_steps = 0, n_wrong = 0;

 private:
  int n_threads() { return 1 + static_cast<int>(random_() % kMostThreads); }
  void expect(bool right) { n_wrong += right ? 0 : 1; }

  std::vector<size_t> some_of(size_t n) {
    std::vector<size_t> which(1 + random_() % n);
    for (size_t& i : which) i = random_() % n;
    return which;
  }

  void encode_some(headlane_session* session) {
    const std::vector<size_t> which = some_of(shared_.ids.size());
    Sequences ids;
    Floats expected;
    for (const size_t i : which) {
      ids.push_back(shared_.ids[i]);
      expected.insert(expected.end(), shared_.pooled[i].begin(), shared_.pooled[i].end());
    }
    expect(encode(session, shared_.facts, ids).pooled == expected);
  }

  void generate_some(headlane_generator* generator) {
    const std::vector<size_t> which = some_of(shared_.sources.size());
    Sequences sources;
    Answers expected;
    for (const size_t i : which) {
      sources.push_back(shared_.sources[i]);
      expected.push_back(shared_.answers[i]);
    }
    expect(generate(generator, sources, beams(2)) == expected);
  }

  const Shared& shared_;
  std::mt19937 random_;
  SessionHandle session_;
  GeneratorHandle generator_;
  SessionHandle layer_session_;
};

struct Memory {
  int64_t blocks = 0, kb = 0;
};

// Memory after each part, when no thread is in a call.
std::vector<Memory> run(std::vector<std::unique_ptr<Worker>>& workers, double seconds) {
  std::vector<Memory> memory;
  memory.reserve(kParts);
  std::barrier meeting(static_cast<std::ptrdiff_t>(workers.size()), [&]() noexcept {
    memory.push_back({n_live_allocations(), resident_kb()});
  });
  const auto begin = Clock::now();
  std::vector<std::thread> threads;
  for (const auto& worker : workers) {
    threads.emplace_back([&, worker = worker.get()] {
      for (int part = 1; part <= kParts; ++part) {
        const std::chrono::duration<double> until(seconds * part / kParts);
        // At least one, on a slow machine too: what is kept for a thread is there after part 1.
        do worker->step();
        while (Clock::now() - begin < until);
        meeting.arrive_and_wait();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return memory;
}

int soak(double seconds, int n_threads) {
  const Shared shared;
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < n_threads; ++i) {
    workers.push_back(std::make_unique<Worker>(shared, static_cast<uint32_t>(i)));
  }
  const std::vector<Memory> memory = run(workers, seconds);
  int64_t n_steps = 0, n_wrong = 0;
  for (const auto& worker : workers) {
    n_steps += worker->n_steps;
    n_wrong += worker->n_wrong;
  }
  std::printf("%d threads, %.0f s: %lld steps, %lld with other bits\n", n_threads, seconds,
              static_cast<long long>(n_steps), static_cast<long long>(n_wrong));
  for (const Memory& at : memory) {
    std::printf("  %lld blocks, %.1f MB resident\n", static_cast<long long>(at.blocks),
                static_cast<double>(at.kb) / 1024);
  }
  // Blocks are counted one by one; where the allocator keeps what it was given back is its own.
  const bool grows = memory.back().blocks > memory.front().blocks;
  if (grows) std::printf("memory grows\n");
  return n_wrong > 0 || grows || n_steps == 0 ? 1 : 0;
}

}  // namespace
}  // namespace headlane::test

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 10;
  const int n_threads = argc > 2 ? std::atoi(argv[2]) : 4;
  return headlane::test::soak(seconds, n_threads);
}

// Equal bits: random traffic of sequences that join, leave, are forked and rewound, and of which
// some guess tokens, with chunks and threads of any number, beside each sequence alone.
#include <atomic>
#include <random>
#include <thread>

#include "tests/api/sequences.h"

namespace headlane::test {
namespace {

struct TrafficCase {
  const char *model, *precision;
  const char* cache = nullptr;
};
std::ostream& operator<<(std::ostream& out, const TrafficCase& of) {
  return out << of.model << "_" << of.precision << (of.cache ? "_cache_" : "")
             << (of.cache ? of.cache : "");
}

// Takes steps on a thread of its own, until all have ended.
class Stepping {
 public:
  explicit Stepping(Growing* growing)
      : thread_([this, growing] {
          while (!done_ || growing->step() > 0) {
            if (!done_) growing->step();
          }
        }) {}
  ~Stepping() {
    done_ = true;
    thread_.join();
  }
  Stepping(const Stepping&) = delete;
  Stepping& operator=(const Stepping&) = delete;

 private:
  std::atomic<bool> done_{false};
  std::thread thread_;
};

class SequencesTraffic : public testing::TestWithParam<TrafficCase> {
 protected:
  struct Entry {
    int64_t number;
    Ids prompt;
    headlane_sequence_options options;
  };

  size_t below(size_t n) { return random_() % n; }

  headlane_sequence_options random_options() {
    headlane_sequence_options options = sequence_options(static_cast<int64_t>(1 + below(25)));
    options.logprobs = 1;
    if (below(2) == 0) {
      options.speculate = static_cast<int64_t>(1 + below(5));
    } else {
      options.hidden = 1;  // with which nothing is guessed
    }
    options.n_top = 3;
    options.prompt_logprobs = below(6) == 0;
    options.keep = below(4) == 0;
    options.seed = random_();
    options.repetition_penalty = below(5) == 0 ? 1.2 : 0;
    switch (below(3)) {
      case 0:
        options.sample = 1;
        options.top_k = 7;
        options.min_p = 0.05f;
        break;
      case 1:
        options.sample = 1;
        options.temperature = 1.4f;
        options.top_p = 0.95f;
        break;
      default:
        break;
    }
    return options;
  }

  // Some beginnings are those of others.
  Ids next_prompt() {
    Ids ids = random_prompt(&random_, 1 + below(below(4) == 0 ? 120 : 20), kSequencesVocabSize);
    if (below(2) == 0) {
      const Ids& system = systems_[below(systems_.size())];
      ids.insert(ids.begin(), system.begin(), system.begin() + 1 + below(system.size()));
    }
    return ids;
  }

  void add(Growing* growing) {
    Entry entry = {0, next_prompt(), random_options()};
    entry.number = growing->add(entry.prompt, entry.options);
    entries_.push_back(entry);
  }

  void fork(Growing* growing) {
    const Entry& from = entries_[below(entries_.size())];
    Ids ids = from.prompt;
    const Ids new_ids = growing->ids(from.number);
    ids.insert(ids.end(), new_ids.begin(), new_ids.end());
    ids.resize(1 + below(ids.size()));
    const Ids more = random_prompt(&random_, below(5), kSequencesVocabSize);
    Entry entry = {0, ids, random_options()};
    entry.number = growing->fork(from.number, std::ssize(ids), more, entry.options);
    entry.prompt.insert(entry.prompt.end(), more.begin(), more.end());
    entries_.push_back(entry);
  }

  void rewind(Growing* growing) {
    Entry& entry = entries_[below(entries_.size())];
    const headlane_sequence_facts facts = growing->facts(entry.number);
    // Not to where it is: then its last token, too, goes through the layers.
    const int64_t length = facts.n_prompt + facts.n_new;
    if (length == 1) return;
    const auto n = static_cast<int64_t>(1 + below(static_cast<size_t>(length - 1)));
    const headlane_status status = headlane_sequences_rewind(growing->get(), entry.number, n);
    if (status != HEADLANE_OK) {
      const bool too_far =
          std::string(headlane_error()).find("can go back to") != std::string::npos;
      expect_status(status, HEADLANE_INVALID_ARGUMENT,
                    too_far ? "layers with a window" : "has ended, and its keys and values");
    } else if (n < facts.n_prompt) {
      entry.prompt.resize(static_cast<size_t>(n));
    }
  }

  void remove(Growing* growing) {
    const size_t i = below(entries_.size());
    check(headlane_sequences_remove(growing->get(), entries_[i].number));
    entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(i));
  }

  void change(Growing* growing) {
    const size_t what = below(10);
    if (what < 4 || entries_.empty()) return add(growing);
    if (what < 6) return fork(growing);
    if (what < 8) return rewind(growing);
    remove(growing);
  }

  void expect_all_as_alone(headlane_model* model, const Growing& growing) {
    for (const Entry& entry : entries_) {
      headlane_sequence_options alone = entry.options;
      alone.speculate = 0;
      EXPECT_EQ(growing.grown(entry.number, entry.options),
                grown_alone(model, entry.prompt, alone, GetParam().cache))
          << entry.number << ", a prompt of " << entry.prompt.size();
    }
  }

  std::mt19937 random_{5};
  std::vector<Ids> systems_ = {random_prompt(&random_, 90, kSequencesVocabSize),
                               random_prompt(&random_, 40, kSequencesVocabSize)};
  std::vector<Entry> entries_;
  const ModelHandle model_ =
      open_model(language_model_file(GetParam().model, GetParam().precision));
};

TEST_P(SequencesTraffic, EachSequenceIsAsAlone) {
  for (const int64_t step_tokens : {6, 33, 512}) {
    entries_.clear();
    headlane_sequences_options sizes = sequences_options(6, 8000);
    sizes.cache = GetParam().cache;
    sizes.max_step_tokens = step_tokens;
    sizes.n_threads = static_cast<int32_t>(1 + below(3));
    Growing growing(model_.get(), sizes);
    for (int i = 0; i < 60; ++i) {
      if (below(2) == 0) change(&growing);
      growing.step();
    }
    // Room for those that wait: kept ones hold places.
    for (int64_t i = 0; growing.step() > 0; ++i) {
      if (i % 20 == 19 && entries_.size() > 1) remove(&growing);
    }
    // A sequence that had no room, since others were kept, has no answer.
    std::erase_if(entries_, [&](const Entry& entry) {
      return growing.facts(entry.number).status != HEADLANE_OK;
    });
    EXPECT_GE(entries_.size(), 8u);
    expect_all_as_alone(model_.get(), growing);
  }
}

// While one thread takes steps, others add, fork, rewind and remove.
TEST_P(SequencesTraffic, FromOtherThreads) {
  headlane_sequences_options sizes = sequences_options(6, 8000);
  sizes.cache = GetParam().cache;
  sizes.max_step_tokens = 20;
  sizes.n_threads = 2;
  Growing growing(model_.get(), sizes);
  {
    const Stepping stepping(&growing);
    for (int i = 0; i < 60; ++i) {
      change(&growing);
      std::this_thread::yield();
    }
  }
  std::erase_if(entries_, [&](const Entry& entry) {
    return growing.facts(entry.number).status != HEADLANE_OK;
  });
  EXPECT_GE(entries_.size(), 5u);
  expect_all_as_alone(model_.get(), growing);
}

INSTANTIATE_TEST_SUITE_P(
    Models, SequencesTraffic,
    testing::Values(TrafficCase{"llama_3_1", "f32"}, TrafficCase{"llama_3_1", "bf16"},
                    TrafficCase{"llama_3_1", "int8"}, TrafficCase{"qwen2_window", "f32"},
                    TrafficCase{"mistral", "bf16"}, TrafficCase{"gpt2", "int8"},
                    TrafficCase{"falcon_alibi", "f32"}, TrafficCase{"falcon_alibi", "f32", "int8"},
                    TrafficCase{"llama_3_1", "f32", "bf16"},
                    TrafficCase{"llama_3_1", "f32", "int8"},
                    TrafficCase{"qwen2_window", "f32", "int8"},
                    TrafficCase{"mistral", "bf16", "int8"}, TrafficCase{"gpt2", "int8", "f32"},
                    TrafficCase{"gpt2", "bf16", "int8"}, TrafficCase{"gpt2", "f32", "bf16"}),
    testing::PrintToStringParamName());

}  // namespace
}  // namespace headlane::test

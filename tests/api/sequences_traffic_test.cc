// Equal bits: random traffic of sequences that join, leave, are forked and rewound, are saved and
// taken up again, and of which some guess tokens, by their own tokens or by a draft, with chunks
// and threads of any number, beside each sequence alone.
#include <atomic>
#include <random>
#include <thread>

#include "tests/api/sequences.h"

namespace headlane::test {
namespace {

struct TrafficCase {
  const char *model, *precision;
  const char* cache = nullptr;
  const char* draft = nullptr;  // a golden model, in f32
};
std::ostream& operator<<(std::ostream& out, const TrafficCase& of) {
  out << of.model << "_" << of.precision;
  if (of.cache) out << "_cache_" << of.cache;
  if (of.draft) out << "_draft_" << of.draft;
  return out;
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

  SequencesTraffic() {
    const std::string draft = GetParam().draft ? GetParam().draft : "";
    if (!draft.empty()) draft_ = open_model(language_model_file(draft));
  }

  headlane_sequences_options sizes(int64_t step_tokens) const {
    headlane_sequences_options sizes = sequences_options(6, 8000);
    sizes.cache = GetParam().cache;
    sizes.draft = draft_.get();
    sizes.max_step_tokens = step_tokens;
    return sizes;
  }

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

  static Ids tokens(const Growing& growing, const Entry& entry) {
    Ids ids = entry.prompt;
    const Ids new_ids = growing.ids(entry.number);
    ids.insert(ids.end(), new_ids.begin(), new_ids.end());
    return ids;
  }

  // Goes on from the beginning of a sequence, of which `ids` are all tokens.
  void fork_of(Growing* growing, int64_t number, Ids ids) {
    ids.resize(1 + below(ids.size()));
    const Ids more = random_prompt(&random_, below(5), kSequencesVocabSize);
    Entry entry = {0, ids, random_options()};
    entry.number = growing->fork(number, std::ssize(ids), more, entry.options);
    entry.prompt.insert(entry.prompt.end(), more.begin(), more.end());
    entries_.push_back(entry);
  }

  void fork(Growing* growing) {
    const Entry& from = entries_[below(entries_.size())];
    fork_of(growing, from.number, tokens(*growing, from));
  }

  // Empty: nothing of it is in the cache.
  static std::string saved(const Growing& growing, int64_t number) {
    std::string state;
    size_t n = 0;
    headlane_status status = headlane_sequences_save(growing.get(), number, nullptr, 0, &n);
    while (status == HEADLANE_TOO_LARGE || (status == HEADLANE_OK && state.empty())) {
      state.resize(n);  // another thread may take a step between the two calls
      status = headlane_sequences_save(growing.get(), number, state.data(), n, &n);
    }
    if (status != HEADLANE_OK) {
      expect_status(status, HEADLANE_INVALID_ARGUMENT, "has nothing in the cache");
      return "";
    }
    state.resize(n);
    return state;
  }

  // Goes on from what was saved of a sequence.
  void load(Growing* growing) {
    const Entry& from = entries_[below(entries_.size())];
    const std::string state = saved(*growing, from.number);
    if (state.empty()) return;
    int64_t loaded = 0;
    const headlane_status status =
        headlane_sequences_load(growing->get(), state.data(), state.size(), &loaded);
    if (status != HEADLANE_OK) return expect_status(status, HEADLANE_TOO_LARGE, "in 0 more");
    Ids ids = tokens(*growing, from);
    ids.resize(static_cast<size_t>(growing->facts(loaded).n_prompt));
    fork_of(growing, loaded, ids);
    n_loaded_ += 1;
    check(headlane_sequences_remove(growing->get(), loaded));
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
    const size_t what = below(12);
    if (what < 4 || entries_.empty()) return add(growing);
    if (what < 6) return fork(growing);
    if (what < 8) return rewind(growing);
    if (what < 10) return load(growing);
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
  int64_t n_loaded_ = 0;
  const ModelHandle model_ =
      open_model(language_model_file(GetParam().model, GetParam().precision));
  ModelHandle draft_;
};

TEST_P(SequencesTraffic, EachSequenceIsAsAlone) {
  for (const int64_t step_tokens : {6, 33, 512}) {
    entries_.clear();
    headlane_sequences_options options = sizes(step_tokens);
    options.n_threads = static_cast<int32_t>(1 + below(3));
    Growing growing(model_.get(), options);
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
  EXPECT_GT(n_loaded_, 0);
}

// While one thread takes steps, another one adds, forks, rewinds, saves, takes up and removes.
TEST_P(SequencesTraffic, FromOtherThreads) {
  headlane_sequences_options options = sizes(20);
  options.n_threads = 2;
  Growing growing(model_.get(), options);
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
                    TrafficCase{"gpt2", "bf16", "int8"}, TrafficCase{"gpt2", "f32", "bf16"},
                    TrafficCase{"llama_3_1", "f32", nullptr, "llama_3_1"},
                    TrafficCase{"llama_3_1", "int8", "int8", "gpt2"},
                    TrafficCase{"qwen2_window", "bf16", nullptr, "qwen2_window"},
                    TrafficCase{"deepseek_v3", "f32"}, TrafficCase{"deepseek_v3", "bf16"},
                    TrafficCase{"deepseek_v2_groups", "int8"},
                    TrafficCase{"deepseek_v3_all", "f32", "bf16", "deepseek_v2"}),
    testing::PrintToStringParamName());

}  // namespace
}  // namespace headlane::test

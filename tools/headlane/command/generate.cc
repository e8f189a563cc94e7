#include <algorithm>
#include <chrono>
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>

#include "tools/headlane/commands.h"
#include "tools/headlane/options/common_options.h"
#include "tools/headlane/options/constraint_options.h"
#include "tools/headlane/options/sampling_options.h"
#include "tools/headlane/output/json.h"
#include "tools/headlane/output/standard_streams.h"
#include "tools/headlane/text/continuation.h"
#include "tools/headlane/text/token_ids.h"
#include "tools/headlane/text/token_logprobs.h"

namespace tool {
namespace {

struct GenerateOptions {
  RunOptions run;
  Texts texts;
  SamplingOptions sampling;
  ConstraintOptions constraint;
  int64_t batch = 8;  // prompts that are gone on from together
  int64_t beams = 0;
  int64_t speculate = 0;  // tokens that are guessed; 0: none, or a few where there is a draft
  std::string draft;      // a model that guesses; "": prompts and answers do
  std::vector<std::string> stops;
  bool ids = false;      // lines are token ids, in and out
  int64_t logprobs = 0;  // likeliest tokens that are told at each place; 0: nothing is told
  bool as_json = false, echo = false, statistics = false;

  bool guesses() const { return speculate > 0 || !draft.empty(); }

  bool samples(const headlane_model_facts& facts) const {
    return beams == 0 && sampling.samples(facts);
  }
};

struct Prompt {
  std::string text;
  std::vector<int32_t> ids;
};

std::string numbers_of(const std::vector<int32_t>& ids) {
  std::string text;
  for (const int32_t id : ids) text += (text.empty() ? "" : " ") + std::to_string(id);
  return text;
}

headlane::GenerateOptions search_of(const GenerateOptions& options,
                                    const headlane_model_facts& facts) {
  headlane::GenerateOptions search;
  search.n_beams = options.beams;
  options.sampling.write(facts, options.samples(facts), &search);
  return search;
}

// The same, of a sequence that guesses.
headlane::SequenceOptions sequence_of(const GenerateOptions& options,
                                      const headlane_model_facts& facts) {
  constexpr int64_t kOfADraft = 4;
  const headlane::GenerateOptions search = search_of(options, facts);
  headlane::SequenceOptions sequence;
  sequence.max_new_tokens = search.max_new_tokens;
  sequence.sample = search.sample;
  sequence.temperature = search.temperature;
  sequence.top_k = search.top_k;
  sequence.top_p = search.top_p;
  sequence.min_p = search.min_p;
  sequence.seed = search.seed;
  sequence.repetition_penalty = search.repetition_penalty;
  sequence.speculate = options.speculate > 0 ? options.speculate : kOfADraft;
  return sequence;
}

struct GenerateCounts {
  int64_t prompts = 0, prompt_tokens = 0, new_tokens = 0;
  int64_t guessed = 0, guessed_right = 0;
  double seconds = 0;
};

// Goes on from prompts, some at a time, and prints what comes.
class Writer {
 public:
  Writer(const Model& model, const Model* draft, const GenerateOptions& options)
      : model_(model),
        draft_(draft),
        options_(options),
        facts_(model.facts()),
        constraint_(options.constraint.make(model)) {}

  const GenerateCounts& counts() const { return counts_; }

  void add(Prompt prompt) {
    prompts_.push_back(std::move(prompt));
    if (std::ssize(prompts_) == options_.batch) flush();
  }

  void flush() {
    if (prompts_.empty()) return;
    const auto start = std::chrono::steady_clock::now();
    begin();
    options_.guesses() ? guess() : run();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    counts_.seconds += taken.count();
    prompts_.clear();
  }

 private:
  // Text is shown while it grows where it is the only one, and only grows.
  bool streams() const {
    return prompts_.size() == 1 && !options_.as_json && !options_.ids && options_.beams <= 1;
  }

  Generator make_generator() const {
    headlane::GeneratorOptions limits;
    limits.max_sources = std::ssize(prompts_);
    limits.max_source_tokens = 0;
    for (const Prompt& prompt : prompts_) {
      const int64_t length = std::ssize(prompt.ids);
      limits.max_source_tokens += length;
      limits.max_source_len = std::max(limits.max_source_len, length);
    }
    limits.max_beams = options_.samples(facts_) ? 1 : std::max<int64_t>(options_.beams, 1);
    limits.max_new_tokens = options_.sampling.max_new_tokens;
    limits.all_logits = 1;  // room that only searches which need it ever touch
    limits.n_threads = options_.run.n_threads;
    limits.cache = options_.run.cache_or_null();
    return Generator(model_, limits);
  }

  void begin() {
    grown_.clear();
    shown_.clear();
    // Ids without a tokenizer have no text, and nothing to stop at.
    for (const Prompt& prompt : prompts_) {
      if (!options_.ids) grown_.emplace_back(model_, prompt.ids, options_.stops);
    }
    if (streams() && options_.echo) print(prompts_[0].text);
  }

  void run() {
    Generator generator = make_generator();
    headlane::Batch batch;
    std::vector<uint64_t> keys;
    for (const Prompt& prompt : prompts_) {
      batch.add(prompt.ids);
      keys.push_back(static_cast<uint64_t>(counts_.prompts + std::ssize(keys)));
    }
    headlane::GenerateOptions search = search_of(options_, facts_);
    search.keys = keys.data();
    search.constraint = constraint_ ? constraint_->get() : nullptr;
    generator.generate(batch, search, [&](int64_t i, int32_t id, int64_t) { return take(i, id); });
    for (size_t i = 0; i < prompts_.size(); ++i) {
      const headlane::Answer answer = generator.answer(static_cast<int64_t>(i));
      end(i, {answer.ids.begin(), answer.ids.end()}, answer.finish_reason);
    }
    counts_.prompts += std::ssize(prompts_);
  }

  headlane::Sequences make_sequences() const {
    const int64_t most_new = options_.sampling.max_new_tokens > 0 ? options_.sampling.max_new_tokens
                                                                  : facts_.max_new_tokens;
    headlane::SequencesOptions limits;
    limits.max_sequences = std::ssize(prompts_);
    for (const Prompt& prompt : prompts_) {
      const int64_t length = std::min(std::ssize(prompt.ids) + most_new, facts_.max_positions);
      limits.max_tokens += length;
      limits.max_len = std::max(limits.max_len, length);
    }
    limits.all_logits = 1;
    limits.n_threads = options_.run.n_threads;
    limits.cache = options_.run.cache_or_null();
    limits.draft = draft_ ? draft_->get() : nullptr;
    return headlane::Sequences(model_, limits);
  }

  // The same by sequences that guess.
  void guess() {
    struct Told {
      Writer* writer;
      int64_t i;
    };
    headlane::Sequences sequences = make_sequences();
    headlane::SequenceOptions options = sequence_of(options_, facts_);
    options.constraint = constraint_ ? constraint_->get() : nullptr;
    options.on_token = [](void* user, const headlane_sequence_token* token) {
      const Told& told = *static_cast<const Told*>(user);
      return token->id < 0 ? HEADLANE_GO_ON : told.writer->take(told.i, token->id);
    };
    std::vector<Told> told;
    std::vector<int64_t> numbers;
    for (int64_t i = 0; i < std::ssize(prompts_); ++i) told.push_back({this, i});
    for (size_t i = 0; i < prompts_.size(); ++i) {
      options.user = &told[i];
      options.key = static_cast<uint64_t>(counts_.prompts) + i;
      numbers.push_back(sequences.add(prompts_[i].ids, options));
    }
    while (sequences.step() > 0) {
    }
    for (size_t i = 0; i < prompts_.size(); ++i) {
      const headlane::SequenceFacts facts = sequences.facts(numbers[i]);
      if (facts.status != HEADLANE_OK) throw std::runtime_error(facts.message);
      counts_.guessed += facts.n_guessed;
      counts_.guessed_right += facts.n_guessed_right;
      end(i, sequences.ids(numbers[i]), facts.finish_reason);
    }
    counts_.prompts += std::ssize(prompts_);
  }

  headlane_next take(int64_t i, int32_t id) {
    return grown_.empty() ? HEADLANE_GO_ON : take(&grown_[static_cast<size_t>(i)], id);
  }

  void end(size_t i, const std::vector<int32_t>& ids, const char* finish_reason) {
    print_answer(prompts_[i], ids, finish_reason);
    counts_.prompt_tokens += std::ssize(prompts_[i].ids);
    counts_.new_tokens += std::ssize(ids);
  }

  headlane_next take(Continuation* text, int32_t id) {
    if (options_.beams > 1) return HEADLANE_GO_ON;  // another beam may win
    const bool goes_on = text->add(id);
    if (streams()) show(text->has_stopped() ? text->text() : text->settled());
    return goes_on ? HEADLANE_GO_ON : HEADLANE_STOP_SOURCE;
  }

  void show(const std::string& text) {
    if (text.size() <= shown_.size() || !text.starts_with(shown_)) return;
    print(text.substr(shown_.size()));
    shown_ = text;
  }

  void print_answer(const Prompt& prompt, const std::vector<int32_t>& ids,
                    const char* finish_reason) {
    std::string text;
    bool has_stopped = false;
    if (!options_.ids) {
      Continuation whole(model_, prompt.ids, options_.stops);
      for (const int32_t id : ids) {
        if (!whole.add(id)) break;
      }
      text = whole.text();
      has_stopped = whole.has_stopped();
    }
    if (options_.as_json) {
      print_json(prompt, ids, text, has_stopped ? "stop" : finish_reason);
    } else if (options_.ids) {
      print(numbers_of(ids) + "\n");
    } else if (streams()) {
      show(text);
      print("\n");
    } else {
      print((options_.echo ? prompt.text : "") + text + "\n");
    }
  }

  void print_json(const Prompt& prompt, const std::vector<int32_t>& ids, const std::string& text,
                  const char* finish_reason) const {
    Json object = Json::object();
    if (!options_.ids) object.set("prompt", prompt.text, "text", text);
    object.set("ids", std::vector<int64_t>(ids.begin(), ids.end()), "finish_reason", finish_reason);
    if (options_.logprobs > 0) {
      object.set("logprobs",
                 token_logprobs(model_, prompt.ids, ids, options_.logprobs, options_.run));
    }
    print(object.dump() + "\n");
  }

  const Model& model_;
  const Model* draft_;  // or null
  const GenerateOptions& options_;
  headlane::ModelFacts facts_;
  std::optional<headlane::Constraint> constraint_;
  std::vector<Prompt> prompts_;
  std::vector<Continuation> grown_;  // of each prompt; with ids, none
  std::string shown_;
  GenerateCounts counts_;
};

void check_model(const GenerateOptions& options, const headlane_model_facts& facts) {
  check_language_model(facts, options.run.model_path);
  if (!options.ids && facts.has_tokenizer == 0) {
    throw std::runtime_error(options.run.model_path +
                             ": has no tokenizer; --ids takes lines of token ids");
  }
}

// A prompt is never cut: what came after half of it would answer something else.
void check_prompt(const Prompt& prompt, const headlane_model_facts& facts,
                  const std::string& where) {
  const int64_t n = std::ssize(prompt.ids);
  if (n == 0) throw std::runtime_error(where + ": the prompt is empty");
  if (n < facts.max_positions) return;
  throw std::runtime_error(where + ": the prompt has " + std::to_string(n) +
                           " tokens, and the model has room for " +
                           std::to_string(facts.max_positions) + ", its answer's included");
}

// The prompts that the words of the command line are, or the file that the only one names: with
// --ids, a word that is no number.
Texts prompts_of(const GenerateOptions& options) {
  Texts texts = options.texts;
  std::vector<std::string>& words = texts.of_command_line;
  if (!options.ids || words.size() != 1 || words[0].empty()) return texts;
  const std::string& word = words[0];
  const size_t digits = word.find_first_not_of("+-0123456789");
  if (digits == std::string::npos || word.find_first_of(" \t\r") != std::string::npos) return texts;
  texts.file = word;
  words.clear();
  return texts;
}

Model open_draft(const GenerateOptions& options) {
  RunOptions run = options.run;
  run.model_path = options.draft;
  run.precision.clear();  // its own
  return open_model(run);
}

void generate(const GenerateOptions& options) {
  const Model model = open_model(options.run);
  const headlane::ModelFacts facts = model.facts();
  check_model(options, facts);
  std::optional<Model> draft;
  if (!options.draft.empty()) draft.emplace(open_draft(options));
  Writer writer(model, draft ? &*draft : nullptr, options);
  int64_t n = 0;
  for_each_text(prompts_of(options), [&](const std::string& text, int64_t) {
    const std::string where = "prompt " + std::to_string(++n);
    Prompt prompt{text, {}};
    if (options.ids) {
      prompt.ids = parse_ids(text, where);
      check_ids(prompt.ids, facts, where);
    } else {
      prompt.ids = tokenize_behind("", model, text, std::numeric_limits<int32_t>::max());
    }
    check_prompt(prompt, facts, where);
    writer.add(std::move(prompt));
  });
  writer.flush();
  if (!options.statistics) return;
  const GenerateCounts& counts = writer.counts();
  std::fprintf(stderr, "%lld prompts of %lld tokens, %lld new tokens, %.3f s, %.1f new tokens/s\n",
               static_cast<long long>(counts.prompts), static_cast<long long>(counts.prompt_tokens),
               static_cast<long long>(counts.new_tokens), counts.seconds,
               static_cast<double>(counts.new_tokens) / std::max(counts.seconds, 1e-9));
  if (!options.guesses()) return;
  std::fprintf(stderr, "%lld of %lld guesses were right\n",
               static_cast<long long>(counts.guessed_right),
               static_cast<long long>(counts.guessed));
}

void add_search(Command* command, GenerateOptions* options) {
  add_max_new_tokens(command, &options->sampling);
  const Option* beams = command->integer("--beams", &options->beams, 1, kMostCount,
                                         "How many beams; 1: the likeliest token each time");
  command->integer("--speculate", &options->speculate, 1, 256,
                   "Guess so many tokens in a step, from what came after the last ones before; "
                   "answers are the same");
  command->file("--draft", &options->draft,
                "A smaller model of the same tokens, which guesses; 4 tokens in a step without "
                "--speculate");
  add_sampling(command, &options->sampling, beams);
  add_constraint(command, &options->constraint);
}

}  // namespace

void declare_generate(Command* command) {
  const auto options = std::make_shared<GenerateOptions>();
  add_model_and_machine(command, &options->run);
  add_cache(command, &options->run);
  command->each("--stop", &options->stops, "A text that an answer ends before; may be given again")
      ->not_empty();
  const Option* words = command->texts("PROMPT", &options->texts.of_command_line,
                                       "The prompts; without any, -i or standard input");
  command
      ->file("-i,--input", &options->texts.file, "A file of prompts, one a line; -: standard input")
      ->excludes(words);
  add_search(command, options.get());
  command
      ->integer("--batch", &options->batch, 1, int64_t{1} << 16,
                "How many prompts are gone on from together")
      ->default_is(std::to_string(options->batch));
  command->flag("--ids", &options->ids,
                "Read and print token ids instead of texts; the only word may be a file of them");
  const Option* json =
      command->flag("--json", &options->as_json, "Print JSON, one object for each prompt");
  command
      ->integer("--logprobs", &options->logprobs, 1, 1000,
                "In JSON, how likely each token was, and the K likeliest at its place")
      ->needs(json);
  command->flag("--echo", &options->echo, "Print the prompt before its answer");
  command->flag("--stats", &options->statistics, "Say how long it took (standard error)");
  command->run = [options] {
    if (options->beams > 1 && options->constraint.is_given()) {
      throw UsageError("a search by beams obeys no --schema or --regex; leave out --beams");
    }
    if (options->beams > 1 && options->guesses()) {
      throw UsageError(
          "a search by beams guesses no tokens; leave out --beams, or --speculate and "
          "--draft");
    }
    generate(*options);
  };
}

}  // namespace tool

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <limits>
#include <memory>

#include "tools/headlane/commands.h"
#include "tools/headlane/options/common_options.h"
#include "tools/headlane/output/json.h"
#include "tools/headlane/output/json_number.h"
#include "tools/headlane/output/labels.h"
#include "tools/headlane/output/progress.h"
#include "tools/headlane/output/standard_streams.h"
#include "tools/headlane/text/languages.h"
#include "tools/headlane/text/token_ids.h"
#include "tools/headlane/text/translator.h"

namespace tool {
namespace {

struct TranslateOptions {
  RunOptions run;
  Texts texts;
  SearchChoice search;
  std::string source_language, target_language;  // "": not said
  int64_t batch = 32;                            // sources that are translated together
  bool ids = false;                              // lines are token ids, in and out
  bool as_json = false, scores = false;
  bool stream = false;      // print tokens as they come
  bool statistics = false;  // print how long it took
};

// An answer is one line, whatever its tokens spell.
std::string text_of(const Model& model, const std::vector<int32_t>& ids) {
  std::string text = model.detokenize(ids);
  for (char& c : text) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return text;
}

std::string numbers_of(const std::vector<int32_t>& ids, const char* between) {
  std::string text;
  for (const int32_t id : ids) {
    if (!text.empty()) text += between;
    text += std::to_string(id);
  }
  return text;
}

// Prints answers in the form that the user chose.
class Printer {
 public:
  Printer(const Model& model, const TranslateOptions& options)
      : model_(model),
        options_(options),
        n_lines_(static_cast<size_t>(std::max<int64_t>(options.search.n_best, 1))) {}

  void answers(const Source& source, const std::vector<Answer>& answers) {
    if (options_.stream) {
      end_stream(answers);
    } else {
      print(options_.as_json ? json(source, answers) : lines(answers));
    }
  }

  // Prints what is new, since the last token, of an answer that is printed while it grows.
  void token(int32_t id) {
    grown_.push_back(id);
    const std::string text = shown_text(grown_);
    // The first bytes of a character read as U+FFFD until the last one has come.
    if (text.ends_with("\xef\xbf\xbd") || !text.starts_with(shown_)) return;
    print(text.substr(shown_.size()));
    shown_ = text;
  }

 private:
  std::string shown_text(const std::vector<int32_t>& ids) const {
    return options_.ids ? numbers_of(ids, " ") : text_of(model_, ids);
  }

  void end_stream(const std::vector<Answer>& answers) {
    const std::string text = answers.empty() ? "" : shown_text(answers[0].ids);
    print((text.starts_with(shown_) ? text.substr(shown_.size()) : "\n" + text) + "\n");
    grown_.clear();
    shown_.clear();
  }

  // As many for each source, so that lines can be counted.
  std::string lines(const std::vector<Answer>& answers) const {
    std::string out;
    for (size_t i = 0; i < n_lines_; ++i) {
      if (i < answers.size()) {
        char score[48] = "";
        if (options_.scores) {
          std::snprintf(score, sizeof score, "%.4f\t", static_cast<double>(answers[i].score));
        }
        out += score + shown_text(answers[i].ids);
      }
      out += '\n';
    }
    return out;
  }

  std::string json(const Source& source, const std::vector<Answer>& answers) const {
    const auto quoted = [](const std::string& text) { return Json(text).dump(); };
    std::string out = options_.ids ? "{\"ids\":[" + numbers_of(source.ids, ",") + "]"
                                   : "{\"text\":" + quoted(source.text);
    out += ",\"answers\":[";
    for (size_t i = 0; i < answers.size(); ++i) {
      out += i > 0 ? ",{" : "{";
      if (!options_.ids) out += "\"text\":" + quoted(text_of(model_, answers[i].ids)) + ",";
      out += "\"score\":";
      append_json_number(answers[i].score, &out);
      out += ",\"ids\":[" + numbers_of(answers[i].ids, ",") + "]}";
    }
    return out + "]}\n";
  }

  const Model& model_;
  const TranslateOptions& options_;
  size_t n_lines_;
  std::vector<int32_t> grown_;
  std::string shown_;
};

void check_model(const TranslateOptions& options, const headlane_model_facts& facts) {
  const std::string& path = options.run.model_path;
  if (facts.has_decoder != 0 && facts.n_layers == 0) {
    throw std::runtime_error(path + ": is a language model; headlane generate runs it");
  }
  if (facts.has_decoder == 0) {
    throw std::runtime_error(path + ": the model has no decoder, so it cannot translate");
  }
  if (!options.ids && facts.has_tokenizer == 0) {
    throw std::runtime_error(path + ": has no tokenizer; --ids takes lines of token ids");
  }
  if (options.search.max_length > facts.max_target_len) {
    throw std::runtime_error("--max-length is " + std::to_string(options.search.max_length) +
                             ", but the model's targets have at most " +
                             std::to_string(facts.max_target_len) + " tokens");
  }
}

struct TranslateCounts {
  int64_t sources = 0, cut = 0, source_tokens = 0, target_tokens = 0;
};

void print_statistics(const TranslateCounts& n, double seconds_to_open, double seconds) {
  const auto per_second = [&](int64_t count) {
    return seconds > 0 ? static_cast<double>(count) / seconds : 0.0;
  };
  std::fprintf(stderr, "model opened in %.3f s\n", seconds_to_open);
  std::fprintf(stderr,
               "%lld sources of %lld tokens, %lld target tokens, %.3f s, %.1f sources/s, %.1f "
               "target tokens/s\n",
               static_cast<long long>(n.sources), static_cast<long long>(n.source_tokens),
               static_cast<long long>(n.target_tokens), seconds, per_second(n.sources),
               per_second(n.target_tokens));
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  return taken.count();
}

void translate(const TranslateOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const Model model = open_model(options.run);
  const double seconds_to_open = seconds_since(start);
  const headlane::ModelFacts facts = model.facts();
  check_model(options, facts);
  const LanguageChoice languages =
      choose_languages(model, options.source_language, options.target_language);
  SearchChoice search = options.search;
  search.first_id = languages.first_id;
  if (options.stream) search.beams = 1;

  TranslateCounts counts;
  Printer printer(model, options);
  Translator::OnToken on_token;
  if (options.stream) on_token = [&](int32_t id) { printer.token(id); };
  const int64_t max_len = options.ids ? facts.max_positions : length_limit(facts, options.run);
  const bool reads_terminal = from_standard_input(options.texts) && isatty(STDIN_FILENO) != 0;
  Translator translator(model, options.run, search, max_len,
                        reads_terminal || options.stream ? 1 : options.batch, on_token,
                        [&](const Source& source, const std::vector<Answer>& answers) {
                          if (!answers.empty()) counts.target_tokens += std::ssize(answers[0].ids);
                          printer.answers(source, answers);
                        });
  const auto begin = std::chrono::steady_clock::now();
  const bool shown = isatty(STDERR_FILENO) != 0 && isatty(STDOUT_FILENO) == 0 && !reads_terminal;
  Progress progress(shown, input_bytes(options.texts));
  for_each_text(options.texts, [&](const std::string& text, int64_t bytes) {
    Source source{text, {}};
    bool was_cut = false;
    if (options.ids) {
      const std::string where = "line " + std::to_string(counts.sources + 1);
      source.ids = parse_ids(text, where);
      check_ids(source.ids, facts, where);
    } else {
      source.ids = tokenize_source(model, text, languages, max_len, &was_cut);
    }
    counts.source_tokens += std::ssize(source.ids);
    counts.cut += was_cut ? 1 : 0;
    progress.update(++counts.sources, bytes);
    translator.add(std::move(source));
  });
  translator.flush();
  if (counts.cut > 0) {
    std::fprintf(stderr, "headlane: %lld of %lld texts had more than %lld tokens and were cut\n",
                 static_cast<long long>(counts.cut), static_cast<long long>(counts.sources),
                 static_cast<long long>(max_len));
  }
  if (options.statistics) print_statistics(counts, seconds_to_open, seconds_since(begin));
}

// --stream and --sample exclude these options.
struct BeamOptions {
  const Option *beams, *n_best;
};

BeamOptions add_search(Command* command, SearchChoice* search) {
  constexpr Interval kPositive{kRoundsToZero, std::numeric_limits<float>::max(), true};
  const Option* beams = command->integer("--beams", &search->beams, 1, kMostCount,
                                         "How many beams; 1: the likeliest token each time");
  const Option* n_best = command->integer("--n-best", &search->n_best, 1, kMostCount,
                                          "How many answers a text gets, each on a line");
  constexpr double kLargest = std::numeric_limits<double>::max();
  command->real("--length-penalty", &search->length_penalty, {-kLargest, kLargest},
                "Scores are sums of log-probabilities over length to this power");
  command->choice("--early-stopping", &search->early_stopping, {"heuristic", "first", "never"},
                  "When beams end: first: there are as many answers as beams; never: none can "
                  "become better; heuristic: none is thought to");
  const Option* sample =
      command->flag("--sample", &search->sample, "Draw tokens at random")->excludes(beams);
  command->real("--temperature", &search->temperature, kPositive, "Divide logits by this number")
      ->needs(sample);
  command->integer("--top-k", &search->top_k, 1, kMostCount, "Draw from the K likeliest tokens")
      ->needs(sample);
  command
      ->real("--top-p", &search->top_p, {kRoundsToZero, 1, true},
             "Draw from the fewest tokens that have this probability together")
      ->needs(sample);
  command->seed("--seed", &search->seed, "The seed of the random numbers")->needs(sample);
  command->real("--repetition-penalty", &search->repetition_penalty, kPositive,
                "Above 1, tokens that a target has already become less likely");
  command->integer("--min-length", &search->min_length, 1, kMostCount,
                   "The fewest tokens that an answer may have");
  command->integer("--max-length", &search->max_length, 1, kMostCount,
                   "The most tokens that an answer may have");
  return {beams, n_best};
}

}  // namespace

void declare_translate(Command* command) {
  const auto options = std::make_shared<TranslateOptions>();
  add_model_and_machine(command, &options->run);
  add_texts(command, &options->texts);
  add_languages(command, &options->source_language, &options->target_language);
  const BeamOptions search = add_search(command, &options->search);
  command
      ->integer("--batch", &options->batch, 1, int64_t{1} << 16,
                "How many texts are translated together")
      ->default_is(std::to_string(options->batch));
  command->flag("--ids", &options->ids, "Read and print token ids instead of texts");
  const Option* json =
      command->flag("--json", &options->as_json, "Print JSON, one object for each text");
  const Option* scores =
      command->flag("--scores", &options->scores, "Print a score and a tab before each answer")
          ->excludes(json);
  command
      ->flag("--stream", &options->stream,
             "Print tokens as soon as they are chosen, texts one by one, with one beam")
      ->excludes(json)
      ->excludes(scores)
      ->excludes(search.beams)
      ->excludes(search.n_best);
  command->flag("--stats", &options->statistics, "Say how long it took (standard error)");
  command->run = [options] { translate(*options); };
}

}  // namespace tool

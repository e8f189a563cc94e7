// headlane chat: a conversation in the terminal, or in a pipe.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <stdexcept>

#include "tools/headlane/commands.h"
#include "tools/headlane/options/common_options.h"
#include "tools/headlane/options/constraint_options.h"
#include "tools/headlane/options/sampling_options.h"
#include "tools/headlane/output/standard_streams.h"
#include "tools/headlane/text/line_editor.h"
#include "tools/headlane/text/messages.h"
#include "tools/headlane/text/whole_file.h"

namespace tool {
namespace {

using ll = long long;

struct ChatOptions {
  RunOptions run;
  SamplingOptions sampling;
  ConstraintOptions constraint;  // of each answer
  std::string system;
  std::string messages, tools, template_file;  // files
  std::string variables;                       // JSON
  int64_t context = 0;                         // tokens; 0: the model's, at most kContext
  bool text = false, ids = false, no_answer = false;
  bool statistics = false;
};

constexpr int64_t kContext = 8192;

constexpr const char* kHelp =
    "/reset         begin anew\n"
    "/system TEXT   begin anew, under these instructions\n"
    "/save FILE     write the messages to a file\n"
    "/load FILE     go on from the messages of a file\n"
    "/help          show this\n"
    "/quit          end; so does Ctrl-D\n"
    "Ctrl-C ends an answer.\n";

// Turns of a conversation, which share the rows of the cache as far as they begin alike.
class Chat {
 public:
  Chat(const Model& model, const ChatOptions& options)
      : model_(model), options_(options), facts_(model.facts()), messages_(options.system) {
    if (!options.tools.empty()) tools_ = read_whole_file(options.tools);
    if (!options.template_file.empty()) template_ = read_whole_file(options.template_file);
    context_ = options.context > 0 ? std::min(options.context, facts_.max_positions)
                                   : std::min(kContext, facts_.max_positions);
  }

  // What the model is given: checked before it is of use.
  headlane::ChatOptions conversation(const std::string& json) const {
    headlane::ChatOptions chat;
    chat.messages = json.c_str();
    chat.tools = tools_.empty() ? nullptr : tools_.c_str();
    chat.variables = options_.variables.empty() ? nullptr : options_.variables.c_str();
    chat.chat_template = template_.empty() ? nullptr : template_.c_str();
    chat.no_answer = options_.no_answer ? 1 : 0;
    return chat;
  }

  void load(const std::string& path) {
    Messages loaded("");
    loaded.load(path);
    const std::string json = loaded.json();
    model_.write_chat(conversation(json));
    messages_ = loaded;
    forget();
  }
  void save(const std::string& path) const { messages_.save(path); }
  void begin_anew(const std::string& system) {
    system_ = system;
    messages_ = Messages(system);
    forget();
  }
  void begin_anew() { begin_anew(system_.empty() ? options_.system : system_); }

  // Answers what a user says; what went wrong leaves the conversation as it was.
  void answer(const std::string& said) {
    messages_.add("user", said);
    try {
      run();
    } catch (...) {
      messages_.drop_last();
      throw;
    }
    messages_.add("assistant", answer_);
  }

  std::string json() const { return messages_.json(); }

 private:
  void forget() {
    if (sequence_ != 0) sequences_->remove(sequence_);
    sequence_ = 0;
  }

  void make_sequences() {
    headlane::SequencesOptions sizes;
    sizes.max_sequences = 2;
    sizes.max_len = context_;
    sizes.max_tokens = context_;
    sizes.all_logits = 1;  // room that only searches which need it ever touch
    sizes.n_threads = options_.run.n_threads;
    sizes.cache = options_.run.cache_or_null();
    sequences_ = std::make_unique<headlane::Sequences>(model_, sizes);
    constraint_ = options_.constraint.make(model_);
  }

  static headlane_next on_token(void* user, const headlane_sequence_token* token) {
    const std::string text(token->text, token->text_bytes);
    static_cast<Chat*>(user)->answer_ += text;
    try {
      print(text);
    } catch (const std::exception&) {
      return HEADLANE_STOP_ALL;  // close_standard_output says why
    }
    return take_interrupt() ? HEADLANE_STOP_SOURCE : HEADLANE_GO_ON;
  }

  // The turn so far goes into the cache behind what the last one left there.
  void add_turn() {
    const std::string json = messages_.json();
    const std::vector<int32_t> ids = model_.tokenize_chat(conversation(json));
    if (std::ssize(ids) >= context_) {
      throw std::runtime_error("the conversation has " + std::to_string(ids.size()) +
                               " tokens, and there is room for " + std::to_string(context_) +
                               ", an answer included; /reset begins anew");
    }
    headlane::SequenceOptions search;
    options_.sampling.write(facts_, options_.sampling.samples(facts_), &search);
    search.keep = 1;
    search.constraint = constraint_ ? constraint_->get() : nullptr;
    search.on_token = on_token;
    search.user = this;
    const int64_t added = sequences_->add(ids, search);
    // It has its share of the rows by now, or gets none while the other one has them.
    forget();
    sequence_ = added;
  }

  void run() {
    if (sequences_ == nullptr) make_sequences();
    answer_.clear();
    add_turn();
    const auto start = std::chrono::steady_clock::now();
    auto begun = start;
    int64_t n_unfinished = 0;
    do {
      n_unfinished = sequences_->step();
      if (sequences_->facts(sequence_).n_new <= 1) begun = std::chrono::steady_clock::now();
      if (n_unfinished > 0 && take_interrupt()) {  // its prompt is still being read
        forget();
        throw std::runtime_error("the answer was ended before it began");
      }
    } while (n_unfinished > 0);
    print("\n");
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begun;
    const headlane::SequenceFacts facts = sequences_->facts(sequence_);
    check_end(facts);
    if (options_.statistics) print_statistics(facts, taken.count(), begun - start);
  }

  static void check_end(const headlane_sequence_facts& facts) {
    if (facts.status != HEADLANE_OK) throw std::runtime_error(facts.message);
  }

  void print_statistics(const headlane_sequence_facts& facts, double seconds,
                        std::chrono::duration<double> first) const {
    std::fprintf(stderr,
                 "[%lld tokens, %.1f tokens/s; %lld of %lld tokens of the prompt read in %.2f s; "
                 "%lld of %lld tokens of context]\n",
                 ll{facts.n_new}, static_cast<double>(facts.n_new - 1) / std::max(seconds, 1e-9),
                 ll{facts.n_prompt - facts.n_shared}, ll{facts.n_prompt}, first.count(),
                 ll{facts.n_prompt + facts.n_new}, ll{context_});
  }

  const Model& model_;
  const ChatOptions& options_;
  headlane::ModelFacts facts_;
  int64_t context_ = 0;
  std::string tools_, template_, system_, answer_;
  Messages messages_;
  std::unique_ptr<headlane::Sequences> sequences_;
  std::optional<headlane::Constraint> constraint_;
  int64_t sequence_ = 0;  // of the last turn, which is kept; 0: none
};

// One of the words that begin with "/". False: the conversation ends.
bool obey(const std::string& line, Chat* chat) {
  const size_t end = std::min(line.find(' '), line.size());
  const std::string word = line.substr(0, end);
  const size_t rest = std::min(line.find_first_not_of(' ', end), line.size());
  const std::string argument = line.substr(rest);
  if (word == "/quit") return false;
  if (word == "/reset" && argument.empty()) {
    chat->begin_anew();
  } else if (word == "/system") {
    chat->begin_anew(argument);
  } else if (word == "/save" && !argument.empty()) {
    chat->save(argument);
  } else if (word == "/load" && !argument.empty()) {
    chat->load(argument);
  } else {
    print(kHelp);
  }
  return true;
}

// Each line is a turn. In a pipe a mistake ends the command; a user may go on after one.
void talk(Chat* chat, LineEditor* editor) {
  catch_interrupts();
  while (const std::optional<std::string> line = editor->read("> ")) {
    if (line->empty()) continue;
    try {
      if (!line->starts_with('/')) {
        const HeldKeys held(*editor);
        chat->answer(*line);
      } else if (!obey(*line, chat)) {
        return;
      }
    } catch (const std::exception& error) {
      if (!editor->is_terminal()) throw;
      std::fprintf(stderr, "%s\n", error.what());
    }
  }
  if (editor->is_terminal()) print("\n");
}

void print_ids(const std::vector<int32_t>& ids) {
  std::string line;
  for (const int32_t id : ids) line += (line.empty() ? "" : " ") + std::to_string(id);
  print(line + "\n");
}

void chat(const ChatOptions& given) {
  ChatOptions options = given;
  const Model model =
      options.text || options.ids ? open_sizes(options.run) : open_model(options.run);
  const headlane::ModelFacts facts = model.facts();
  check_language_model(facts, options.run.model_path);
  LineEditor editor;
  options.statistics = options.statistics || editor.is_terminal();
  Chat conversation(model, options);
  if (!options.messages.empty()) conversation.load(options.messages);
  const std::string json = conversation.json();
  if (options.ids) return print_ids(model.tokenize_chat(conversation.conversation(json)));
  if (options.text) return print(model.write_chat(conversation.conversation(json)));
  if (facts.n_chat_templates == 0 && options.template_file.empty()) {
    throw std::runtime_error(
        options.run.model_path +
        ": has no chat template, so it holds no conversation; --template gives it one");
  }
  if (editor.is_terminal()) print("/help shows what there is beside talking.\n");
  talk(&conversation, &editor);
}

}  // namespace

void declare_chat(Command* command) {
  const auto options = std::make_shared<ChatOptions>();
  add_model_and_machine(command, &options->run);
  add_cache(command, &options->run);
  const Option* system =
      command->text("--system", &options->system, "Instructions that stand before all turns");
  Option* messages =
      command->file("--messages", &options->messages, "A file of messages, JSON, to go on from");
  messages->excludes(system);
  command->file("--tools", &options->tools, "A file of JSON that describes functions");
  command->text("--variables", &options->variables,
                "A JSON object of further names that the model's template knows");
  command->file("--template", &options->template_file,
                "A file with a chat template, in the place of the model's");
  command->integer("--context", &options->context, 16, kMostCount,
                   "The most tokens of a conversation");
  add_max_new_tokens(command, &options->sampling);
  add_sampling(command, &options->sampling, nullptr);
  add_constraint(command, &options->constraint);
  const Option* text =
      command->flag("--text", &options->text, "Print the messages as the model's text, and end");
  command->flag("--ids", &options->ids, "Print the messages as token ids, and end")->excludes(text);
  command->flag("--no-answer", &options->no_answer,
                "Leave out the beginning of an answer behind the messages");
  command->flag("--stats", &options->statistics,
                "Say how long each answer took (standard error); a terminal always shows it");
  command->run = [options] { chat(*options); };
}

}  // namespace tool

// headlane_generator_generate, headlane_generator_encode and headlane_generator_step.
#include <map>

#include "tests/fuzz/ragged_models.h"

namespace headlane::fuzz {
namespace {

constexpr int64_t kSources = 3, kSourceTokens = 24, kSourceLen = 10, kBeams = 4, kNewTokens = 6;
constexpr int64_t kPrefix = 3;

class OpenGenerator {
 public:
  OpenGenerator(const char* folder, const char* precision, bool all_logits,
                const char* cache = nullptr)
      : model_(folder, precision), all_logits_(all_logits) {
    headlane_generator_options options = HEADLANE_INIT(headlane_generator_options);
    options.max_sources = kSources;
    options.max_source_tokens = kSourceTokens;
    options.max_source_len = kSourceLen;
    options.max_beams = kBeams;
    options.max_new_tokens = kNewTokens;
    options.max_prefix = kPrefix;
    options.all_logits = all_logits;
    options.n_threads = 1;
    options.cache = cache;
    size_t bytes = 0;
    if (headlane_generator_bytes(model_.get(), &options, &bytes) != HEADLANE_OK) {
      finding(folder, headlane_error());
    }
    block_ = std::make_unique<Block>(bytes);
    options.memory = block_->data();
    options.memory_bytes = bytes;
    if (headlane_generator_create(model_.get(), &options, &generator_) != HEADLANE_OK) {
      finding(folder, headlane_error());
    }
  }
  OpenGenerator(const OpenGenerator&) = delete;
  OpenGenerator& operator=(const OpenGenerator&) = delete;
  ~OpenGenerator() { headlane_generator_destroy(generator_); }

  headlane_generator* get() const { return generator_; }
  const headlane_model_facts& facts() const { return model_.facts(); }
  bool all_logits() const { return all_logits_; }

 private:
  OpenModel model_;
  std::unique_ptr<Block> block_;
  headlane_generator* generator_ = nullptr;
  bool all_logits_;
};

const OpenGenerator& any_generator(Input* input) {
  static const OpenGenerator generators[] = {{"encoder_decoder/m2m_100", "f32", false},
                                             {"encoder_decoder/t5_v1_1", "int8", true},
                                             {"encoder_decoder/marian_separate", "bf16", true},
                                             {"encoder_decoder/m2m_100", "f32", true, "bf16"},
                                             {"encoder_decoder/t5_v1_1", "f32", true, "int8"}};
  return generators[input->byte() % std::size(generators)];
}

// An id of a vocabulary, or rarely one that is not.
int32_t any_id(Input* input, int64_t vocab_size) {
  if (input->one_in(40)) return input->one_of({-1, INT32_MIN, INT32_MAX});
  return static_cast<int32_t>(input->between(0, vocab_size - (input->one_in(40) ? 0 : 1)));
}

struct Sources {
  Rows rows;
  std::vector<int32_t> ids;
  headlane_batch batch{};
};

void set_sources(Input* input, const headlane_model_facts& facts, Sources* sources) {
  const int64_t n =
      input->one_in(8) ? input->between(0, kSources + 1) : input->between(1, kSources);
  sources->rows = any_rows(input, n, true, false, kSourceLen + 1);
  sources->ids.resize(sources->rows.total());
  for (int32_t& id : sources->ids) id = any_id(input, facts.vocab_size);
  if (input->one_in(16)) {
    int64_t& offset = sources->rows.offsets[input->byte() % sources->rows.offsets.size()];
    offset = input->one_of<int64_t>({-1, 0, 1, INT64_MIN, INT64_MAX});
    sources->ids.resize(kSourceTokens);  // as many as any accepted offset reaches
  }
  sources->batch = {.struct_size = sizeof(headlane_batch),
                    .n_seqs = n,
                    .offsets = sources->rows.offsets.data(),
                    .ids = sources->ids.data()};
}

// Every field of the options, in and out of range.
struct Options {
  headlane_generate_options options = HEADLANE_INIT(headlane_generate_options);
  int32_t first_id = 0;
  std::vector<int32_t> end_ids, suppressed_ids, prefix_ids;
  std::vector<int64_t> prefix_offsets;
  std::vector<uint64_t> keys;
};

headlane_next stop_sometimes(void* user, int64_t source, int32_t id, int64_t n_tokens) {
  Random* random = static_cast<Random*>(user);
  if (source < 0 || id < 0 || n_tokens < 1) finding("on_token", "is told nonsense");
  const uint64_t next = random->below(12);
  return next == 0 ? HEADLANE_STOP_ALL : next < 3 ? HEADLANE_STOP_SOURCE : HEADLANE_GO_ON;
}

void set_numbers(Input* input, headlane_generate_options* o) {
  o->n_beams = input->one_in(20) ? input->number<int64_t>() : input->between(0, kBeams + 1);
  o->n_best = input->one_in(20) ? input->number<int64_t>() : input->between(0, kBeams);
  o->length_penalty = input->one_of(
      {0.0, 0.0, 1.0, -2.0, HEADLANE_NO_LENGTH_PENALTY, 4.0, 1e300, static_cast<double>(NAN)});
  const int stopping = static_cast<int>(input->between(0, input->one_in(20) ? 9 : 3));
  std::memcpy(&o->early_stopping, &stopping, sizeof stopping);
  o->sample = input->one_in(3);
  if (o->sample) o->n_beams = input->one_of<int64_t>({0, 1, 1, 2});
  o->temperature = input->one_of({0.0f, 1.0f, 1e-30f, 1e30f, -1.0f, NAN});
  o->top_k = input->one_in(20) ? input->number<int64_t>() : input->between(0, 20);
  o->min_p = input->one_of({0.0, 0.1, 1.0, 1e-300, 2.0, static_cast<double>(NAN)});
  o->top_p = input->one_of({0.0f, 0.5f, 1.0f, 1e-30f, 2.0f, NAN});
  o->seed = input->number<uint64_t>();
  o->repetition_penalty = input->one_of({0.0, 0.0, 1.0, 1.3, 1e-30, 1e30, -1.0});
  o->min_new_tokens = input->between(0, kNewTokens);
  o->max_new_tokens = input->one_in(20) ? input->number<int64_t>() : input->between(0, kNewTokens);
}

void set_lists(Input* input, const headlane_model_facts& facts, int64_t n, Options* options) {
  headlane_generate_options& o = options->options;
  const int64_t vocab_size = facts.decoder_vocab_size;
  if (input->one_in(4)) {
    options->first_id = input->flag() ? -1 : any_id(input, vocab_size);
    o.first_id = &options->first_id;
  }
  for (auto* list : {&options->end_ids, &options->suppressed_ids}) {
    if (!input->one_in(4)) continue;
    list->resize(input->between(0, input->one_in(8) ? vocab_size : 4));
    for (int32_t& id : *list) id = any_id(input, vocab_size);
    const bool ends = list == &options->end_ids;
    (ends ? o.end_ids : o.suppressed_ids) = list->data();
    (ends ? o.n_end_ids : o.n_suppressed_ids) =
        input->one_in(20) ? wrong_count(input) : static_cast<int64_t>(list->size());
  }
  if (input->one_in(4)) {
    options->prefix_offsets.push_back(input->one_in(20) ? 1 : 0);
    for (int64_t i = 0; i < n; ++i) {
      options->prefix_offsets.push_back(options->prefix_offsets.back() +
                                        input->between(0, kPrefix + (input->one_in(20) ? 1 : 0)));
    }
    options->prefix_ids.resize(options->prefix_offsets.back());
    for (int32_t& id : options->prefix_ids) id = any_id(input, vocab_size);
    o.prefix_offsets = options->prefix_offsets.data();
    o.prefix_ids = options->prefix_ids.data();
  }
  if (input->one_in(4)) {
    options->keys.assign(n, input->number<uint64_t>());
    o.keys = options->keys.data();
  }
}

void check_answers(const OpenGenerator& generator, int64_t n_sources) {
  for (int64_t source = 0; source < n_sources; ++source) {
    headlane_answer answer = HEADLANE_INIT(headlane_answer);
    for (int64_t rank = 0; rank == 0 || rank < answer.n_answers; ++rank) {
      if (!is_ok(headlane_generator_get_answer(generator.get(), source, rank, &answer),
                 {HEADLANE_INVALID_ARGUMENT}, "get_answer")) {
        break;
      }
      if (answer.n_ids > kNewTokens + kPrefix) finding("answer", "is longer than it may be");
      for (int64_t i = 0; i < answer.n_ids; ++i) {
        if (answer.ids[i] < 0 || answer.ids[i] >= generator.facts().decoder_vocab_size) {
          finding("answer", "has an id that is no token");
        }
      }
    }
  }
}

// A fixed request, whose answer must always be the same.
void check_reference(const OpenGenerator& generator) {
  static std::map<const OpenGenerator*, Reference> references;
  references[&generator].check(
      [&] {
        const int64_t offsets[] = {0, 3, 7};
        const int32_t ids[] = {3, 4, 5, 6, 7, 8, 9};
        headlane_batch sources{
            .struct_size = sizeof sources, .n_seqs = 2, .offsets = offsets, .ids = ids};
        is_ok(headlane_generator_generate(generator.get(), &sources, nullptr), {},
              "generate the reference");
        headlane_answer answer = HEADLANE_INIT(headlane_answer);
        is_ok(headlane_generator_get_answer(generator.get(), 1, 0, &answer), {}, "get_answer");
        std::vector<float> result{answer.score};
        for (int64_t i = 0; i < answer.n_ids; ++i) {
          result.push_back(static_cast<float>(answer.ids[i]));
        }
        return result;
      },
      "generate");
}

}  // namespace

void run_generate(Input* input) {
  const OpenGenerator& generator = any_generator(input);
  if (input->one_in(4)) check_reference(generator);
  Sources sources;
  set_sources(input, generator.facts(), &sources);
  Options options;
  if (input->flag()) set_numbers(input, &options.options);
  if (input->flag()) set_lists(input, generator.facts(), sources.rows.n_seqs, &options);
  Random random(input->number<uint32_t>());
  if (input->one_in(4)) {
    options.options.on_token = stop_sometimes;
    options.options.user = &random;
  }
  const headlane_status status =
      headlane_generator_generate(generator.get(), &sources.batch, &options.options);
  expect(status, true, "generate");
  if (status == HEADLANE_OK) {
    check_answers(generator, sources.rows.n_seqs);
  } else {
    check_reference(generator);
  }
}

namespace {

struct Step {
  std::vector<int32_t> ids, sources, parents, best_ids;
  std::vector<float> logits, hidden, best_logits, log_sum_exp;
  headlane_step step = HEADLANE_INIT(headlane_step);
};

void set_step(Input* input, const OpenGenerator& generator, int64_t n_sources, int64_t last_rows,
              Step* s) {
  const headlane_model_facts& facts = generator.facts();
  const int64_t n = input->one_in(20) ? input->between(0, kSources * kBeams + 1)
                                      : input->between(1, kSources * kBeams);
  headlane_step& step = s->step;
  step.n_rows = n;
  s->ids.resize(n);
  s->sources.resize(n);
  s->parents.resize(n);
  for (int64_t r = 0; r < n; ++r) {
    s->ids[r] = any_id(input, facts.decoder_vocab_size);
    s->sources[r] = input->one_in(60) ? -1 : static_cast<int32_t>(input->between(0, n_sources));
    if (s->sources[r] == n_sources && !input->one_in(20)) s->sources[r] = 0;
    s->parents[r] = static_cast<int32_t>(input->between(0, last_rows)) - 1;
    if (input->one_in(60)) s->parents[r] = input->one_of({-2, INT32_MAX, INT32_MIN});
  }
  step.ids = s->ids.data();
  step.sources = s->sources.data();
  if (!input->one_in(4)) step.parents = s->parents.data();
  step.k = input->one_in(20) ? input->number<int64_t>() : input->between(0, 8);
  const int64_t k = step.k >= 0 && step.k <= facts.decoder_vocab_size ? step.k : 0;
  const auto want = [&](auto* buffer, int64_t size, auto** field) {
    buffer->resize(size);
    if (input->flag()) *field = buffer->data();
  };
  if (generator.all_logits() || input->one_in(8)) {
    want(&s->logits, n * facts.decoder_vocab_size, &step.logits);
  }
  want(&s->hidden, n * facts.d_model, &step.hidden);
  if (k == 0 && !input->one_in(8)) return;
  want(&s->best_ids, n * k, &step.best_ids);
  want(&s->best_logits, n * k, &step.best_logits);
  want(&s->log_sum_exp, n, &step.log_sum_exp);
}

}  // namespace

void run_step(Input* input) {
  const OpenGenerator& generator = any_generator(input);
  Sources sources;
  set_sources(input, generator.facts(), &sources);
  std::vector<float> hidden(static_cast<int64_t>(sources.ids.size()) * generator.facts().d_model);
  headlane_outputs outputs{.struct_size = sizeof outputs, .hidden = hidden.data()};
  const headlane_status encoded = headlane_generator_encode(generator.get(), &sources.batch,
                                                            input->flag() ? &outputs : nullptr);
  expect(encoded, true, "generator_encode");
  int64_t last_rows = 0;
  for (int64_t n = input->between(1, kNewTokens + kPrefix + 1); n > 0; --n) {
    Step step;
    set_step(input, generator, sources.rows.n_seqs, last_rows, &step);
    const headlane_status status = headlane_generator_step(generator.get(), &step.step);
    expect(status, true, "generator_step");
    if (status == HEADLANE_OK) last_rows = step.step.n_rows;
    if (input->rest().empty()) break;
  }
  if (input->one_in(4)) check_reference(generator);
}

}  // namespace headlane::fuzz

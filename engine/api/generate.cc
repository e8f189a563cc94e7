// The C API's generation: sources in, targets out, at once or step by step.
#include <cmath>
#include <cstring>

#include "engine/api/attention_options.h"
#include "engine/api/c_api.h"
#include "engine/api/constraint.h"
#include "engine/api/mask.h"
#include "engine/api/options.h"
#include "engine/generate/generator.h"

using headlane::fail;
using headlane::Status;
using namespace headlane::c_api;  // NOLINT(google-build-using-namespace): what this file is of

struct headlane_generator {
  headlane::Generator generator;
  const headlane_model* model;
};

namespace {

using ll = long long;
using headlane::GeneratorLimits;
using headlane::LayerMaps;
using headlane::ModelConfig;
using headlane::Request;
using headlane::SearchOptions;

static_assert(static_cast<int>(headlane::EarlyStopping::kHeuristic) + 1 ==
              HEADLANE_EARLY_STOPPING_HEURISTIC);
static_assert(static_cast<int>(headlane::EarlyStopping::kFirst) + 1 ==
              HEADLANE_EARLY_STOPPING_FIRST);
static_assert(static_cast<int>(headlane::EarlyStopping::kNever) + 1 ==
              HEADLANE_EARLY_STOPPING_NEVER);

GeneratorLimits limits_of(const headlane_model* model, const headlane_generator_options& options,
                          const WorkOptions& work) {
  return generator_limits(*model->model, {.max_sources = options.max_sources,
                                          .max_source_tokens = options.max_source_tokens,
                                          .max_source_len = options.max_source_len,
                                          .max_beams = options.max_beams,
                                          .max_new_tokens = options.max_new_tokens,
                                          .max_prefix = options.max_prefix,
                                          .max_candidates = options.max_candidates,
                                          .all_logits = options.all_logits != 0,
                                          .n_threads = work.threads.count,
                                          .precision = work.precision,
                                          .cache = options.cache ? options.cache : ""});
}

headlane::TokenBatch batch_of(const headlane_batch& in) {
  if (in.n_left_out != 0) {
    fail(Status::kInvalidArgument,
         "batch.n_left_out is %lld; it must be 0, since nothing is pooled", ll{in.n_left_out});
  }
  return {in.n_seqs, in.offsets, in.ids, in.type_ids};
}

std::span<const int32_t> ids_of(const char* name, const int32_t* ids, int64_t n) {
  if (n < 0) fail(Status::kInvalidArgument, "n_%s is %lld; it must be 0 or more", name, ll{n});
  if (n > 0 && ids == nullptr) {
    fail(Status::kInvalidArgument, "n_%s is %lld, but %s is null", name, ll{n}, name);
  }
  return {ids, static_cast<size_t>(n)};
}

SearchOptions search_of(const headlane_generate_options& in, const ModelConfig& config,
                        const GeneratorLimits& limits) {
  SearchOptions search = default_search(config, limits);
  if (in.n_beams != 0) search.n_beams = in.n_beams;
  if (in.n_best != 0) search.n_best = in.n_best;
  if (in.length_penalty != 0) search.length_penalty = in.length_penalty;
  const auto stopping =
      read_enum("early_stopping", in.early_stopping, HEADLANE_EARLY_STOPPING_NEVER);
  if (stopping != HEADLANE_EARLY_STOPPING_DEFAULT) {
    search.early_stopping = static_cast<headlane::EarlyStopping>(static_cast<int>(stopping) - 1);
  }
  search.sample = in.sample != 0;
  if (search.sample && in.n_beams == 0) search.n_beams = 1;
  if (in.temperature != 0) search.temperature = in.temperature;
  search.top_k = in.top_k;
  if (in.top_p != 0) search.top_p = in.top_p;
  search.min_p = static_cast<float>(in.min_p);
  search.seed = in.seed;
  if (in.repetition_penalty != 0) search.repetition_penalty = in.repetition_penalty;
  if (in.max_new_tokens != 0) {
    const int64_t room = limits.max_new_tokens;
    if (in.max_new_tokens > room) {
      fail(Status::kTooLarge,
           "max_new_tokens is %lld, but the generator was created for at most %lld",
           ll{in.max_new_tokens}, ll{room});
    }
    search.max_new_tokens = in.max_new_tokens;
    search.min_new_tokens = std::min(search.min_new_tokens, search.max_new_tokens);
  }
  if (in.min_new_tokens != 0) search.min_new_tokens = in.min_new_tokens;
  if (in.first_id) search.forced_first_id = *in.first_id;
  const auto end_ids = ids_of("end_ids", in.end_ids, in.n_end_ids);
  if (in.end_ids) search.end_ids = end_ids;
  const auto suppressed_ids = ids_of("suppressed_ids", in.suppressed_ids, in.n_suppressed_ids);
  if (in.suppressed_ids) search.suppressed_ids = suppressed_ids;
  return search;
}

// The caller's callback, and what it is given.
struct Listener {
  headlane_on_token on_token;
  void* user;
};

headlane::Next call(void* listener, int64_t source, int32_t id, int64_t n_tokens) {
  const auto* to = static_cast<const Listener*>(listener);
  return next_of(to->on_token(to->user, source, id, n_tokens));
}

void check_step(const headlane_step& step) {
  if (step.n_rows > 0) {
    require(step.ids, "step.ids");
    require(step.sources, "step.sources");
  }
  if (step.k > 0 && step.best_ids == nullptr && step.best_logits == nullptr &&
      step.log_sum_exp == nullptr) {
    fail(Status::kInvalidArgument,
         "step.k is %lld, so best_ids, best_logits or log_sum_exp must be set; all are null",
         ll{step.k});
  }
  if (step.k == 0 && (step.best_ids || step.best_logits || step.log_sum_exp)) {
    fail(Status::kInvalidArgument,
         "step.k is 0, so best_ids, best_logits and log_sum_exp must be null; set k to get them");
  }
}

void write_next(const headlane_step& step, int64_t row, const headlane::RowScores& next,
                int64_t vocab_size) {
  for (int64_t i = 0; i < step.k; ++i) {
    if (step.best_ids) step.best_ids[row * step.k + i] = next.best[i].id;
    if (step.best_logits) step.best_logits[row * step.k + i] = next.best[i].logit;
  }
  if (step.k > 0 && step.log_sum_exp) {
    step.log_sum_exp[row] = next.top.largest + std::log(next.top.sum);
  }
  if (step.logits) {
    std::memcpy(step.logits + row * vocab_size, next.all,
                static_cast<size_t>(vocab_size) * sizeof(float));
  }
}

}  // namespace

headlane_status headlane_generator_bytes(const headlane_model* model,
                                         const headlane_generator_options* options, size_t* out) {
  return guarded([&] {
    require(model, "model");
    require(out, "out");
    const auto read = read_struct(options, "headlane_generator_options");
    *out =
        headlane::Generator::bytes(*model->model, limits_of(model, read, read_work_options(read)));
  });
}

headlane_status headlane_generator_create(headlane_model* model,
                                          const headlane_generator_options* options,
                                          headlane_generator** out) {
  return guarded([&] {
    require(model, "model");
    require(out, "out");
    const auto read = read_struct(options, "headlane_generator_options");
    const WorkOptions work = read_work_options(read);
    const GeneratorLimits limits = limits_of(model, read, work);
    work.check_memory(headlane::Generator::bytes(*model->model, limits));
    *out = new headlane_generator{
        headlane::Generator(*model->model, limits, work.memory, work.threads.pool), model};
    model->model->log().info(
        "generator: %lld sources, %lld targets of %lld tokens at once, %lld %s, products in %s",
        ll{limits.decoder.encoder.max_seqs}, ll{limits.decoder.step.run.max_seqs},
        ll{limits.decoder.step.max_len}, ll{limits.decoder.encoder.n_threads}, work.threads.name(),
        name_of(limits.decoder.encoder.precision));
  });
}

headlane_status headlane_generator_set_cancelled(headlane_generator* generator, int32_t cancelled) {
  return guarded([&] {
    require(generator, "generator");
    generator->generator.decoder().set_cancelled(cancelled != 0);
  });
}

void headlane_generator_destroy(headlane_generator* generator) { delete generator; }

headlane_status headlane_generator_generate(headlane_generator* generator,
                                            const headlane_batch* sources,
                                            const headlane_generate_options* options) {
  return guarded([&] {
    require(generator, "generator");
    require(sources, "sources");
    const auto read = read_struct(options, "headlane_generate_options");
    headlane::Generator& g = generator->generator;
    Listener listener = {read.on_token, read.user};
    Request request;
    request.sources = batch_of(read_struct(sources, "headlane_batch"));
    request.prefix_offsets = read.prefix_offsets;
    request.prefix_ids = read.prefix_ids;
    if (read.prefix_offsets) require(read.prefix_ids, "prefix_ids");
    request.keys = read.keys;
    request.search = search_of(read, g.model().config(), g.limits());
    request.fill_mask =
        read_mask_or_constraint(read.mask_tokens, read.mask_user, read.constraint,
                                request.search.end_ids, &request.search, *generator->model);
    if (read.on_token) {
      request.on_token = call;
      request.user = &listener;
    }
    g.generate(request);
  });
}

headlane_status headlane_generator_get_answer(const headlane_generator* generator, int64_t source,
                                              int64_t rank, headlane_answer* out) {
  return guarded([&] {
    require(generator, "generator");
    const headlane::Generator& g = generator->generator;
    if (source < 0 || source >= g.n_sources()) {
      fail(Status::kInvalidArgument, "source is %lld, but the last call answered %lld sources",
           ll{source}, ll{g.n_sources()});
    }
    if (rank < 0 || rank >= g.n_answers(source)) {
      fail(Status::kInvalidArgument, "rank is %lld, but source %lld has %lld answers", ll{rank},
           ll{source}, ll{g.n_answers(source)});
    }
    const headlane::Answer answer = g.answer(source, rank);
    headlane_answer facts{};
    facts.n_answers = g.n_answers(source);
    facts.ids = answer.ids.data();
    facts.n_ids = static_cast<int64_t>(answer.ids.size());
    facts.score = answer.score;
    facts.finish_reason = name_of(answer.finish);
    write_struct(facts, out, "headlane_answer");
  });
}

headlane_status headlane_generator_encode(headlane_generator* generator,
                                          const headlane_batch* sources,
                                          const headlane_outputs* outputs) {
  return guarded([&] {
    require(generator, "generator");
    require(sources, "sources");
    const auto out = read_struct(outputs, "headlane_outputs");
    headlane::Generator& g = generator->generator;
    if (out.pooled) {
      fail(Status::kUnsupported, "outputs.pooled must be null: the model has no pooling");
    }
    if (out.scores) {
      fail(Status::kUnsupported, "outputs.scores must be null: the model is no classifier");
    }
    const headlane::StackConfig& config = g.model().config().encoder;
    const LayerMaps maps = read_maps(out.attention, config.n_layers, config.attention.n_heads);
    g.encode(batch_of(read_struct(sources, "headlane_batch")), out.hidden,
             out.attention ? &maps : nullptr);
  });
}

headlane_status headlane_generator_step(headlane_generator* generator, const headlane_step* step) {
  return guarded([&] {
    require(generator, "generator");
    require(step, "step");
    const auto read = read_struct(step, "headlane_step");
    check_step(read);
    headlane::Generator& g = generator->generator;
    const headlane::StackConfig& config = g.model().config().decoder;
    const LayerMaps self =
        read_maps(read.self_attention, config.n_layers, config.attention.n_heads);
    const LayerMaps cross = read_maps(read.cross_attention, config.n_layers, config.cross.n_heads);
    headlane::StepBatch batch;
    batch.n_rows = read.n_rows;
    batch.ids = read.ids;
    batch.sources = read.sources;
    batch.parents = read.parents;
    batch.k = read.k;
    batch.all_logits = read.logits != nullptr;
    batch.hidden = read.hidden;
    batch.self_maps = read.self_attention ? &self : nullptr;
    batch.cross_maps = read.cross_attention ? &cross : nullptr;
    g.decoder().step(batch);
    for (int64_t row = 0; row < read.n_rows; ++row) {
      write_next(read, row, g.decoder().next(row), config.vocab_size);
    }
  });
}

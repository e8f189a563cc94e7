// The C API's sequences: many of them at once, which join and leave between steps.
#include "engine/generate/sequences.h"

#include <algorithm>
#include <climits>

#include "engine/api/c_api.h"
#include "engine/api/constraint.h"
#include "engine/api/mask.h"
#include "engine/api/options.h"
#include "engine/api/sequences_handle.h"
#include "engine/generate/sequence_request.h"

using headlane::fail;
using headlane::Sequence;
using headlane::SequenceRequest;
using headlane::Sequences;
using headlane::SequencesLimits;
using headlane::Status;
using namespace headlane::c_api;  // NOLINT(google-build-using-namespace): what this file is of

namespace {

using ll = long long;

static_assert(static_cast<int>(headlane::SequenceState::kWaiting) == HEADLANE_SEQUENCE_WAITING);
static_assert(static_cast<int>(headlane::SequenceState::kPrompt) == HEADLANE_SEQUENCE_PROMPT);
static_assert(static_cast<int>(headlane::SequenceState::kRunning) == HEADLANE_SEQUENCE_RUNNING);
static_assert(static_cast<int>(headlane::SequenceState::kEnded) == HEADLANE_SEQUENCE_ENDED);

SequencesLimits limits_of(const headlane_model* model, const headlane_sequences_options& options,
                          const WorkOptions& work) {
  return sequences_limits(*model->model,
                          {.max_sequences = options.max_sequences,
                           .max_tokens = options.max_tokens,
                           .max_len = options.max_len,
                           .max_step_tokens = options.max_step_tokens,
                           .max_candidates = options.max_candidates,
                           .all_logits = options.all_logits != 0,
                           .hidden = options.hidden != 0,
                           .n_threads = work.threads.count,
                           .precision = work.precision,
                           .cache = options.cache ? options.cache : "",
                           .draft = options.draft ? options.draft->model.get() : nullptr});
}

void check_array(const char* name, const void* array, int64_t n) {
  if (n < 0) fail(Status::kInvalidArgument, "n_%s is %lld; it must be 0 or more", name, ll{n});
  if (n > 0 && array == nullptr) {
    fail(Status::kInvalidArgument, "n_%s is %lld, but %s is null", name, ll{n}, name);
  }
}

void read_search(const headlane_sequence_options& in, SequenceRequest* request) {
  headlane::SearchOptions& search = request->search;
  request->generates = in.max_new_tokens != HEADLANE_NO_NEW_TOKENS;
  if (in.max_new_tokens != 0 && request->generates) search.max_new_tokens = in.max_new_tokens;
  search.min_new_tokens = in.min_new_tokens != 0
                              ? in.min_new_tokens
                              : std::min(search.min_new_tokens, search.max_new_tokens);
  search.sample = in.sample != 0;
  if (in.temperature != 0) search.temperature = in.temperature;
  search.top_k = in.top_k;
  if (in.top_p != 0) search.top_p = in.top_p;
  search.min_p = in.min_p;
  search.seed = in.seed;
  if (in.repetition_penalty != 0) search.repetition_penalty = in.repetition_penalty;
}

void read_lists(const headlane_sequence_options& in, SequenceRequest* request) {
  check_array("end_ids", in.end_ids, in.n_end_ids);
  if (in.end_ids) request->end_ids.assign(in.end_ids, in.end_ids + in.n_end_ids);
  check_array("stops", in.stops, in.n_stops);
  for (int64_t i = 0; i < in.n_stops; ++i) {
    require(in.stops[i], "a text of stops");
    request->stops.emplace_back(in.stops[i]);
  }
  check_array("bias", in.bias_ids, in.n_bias);
  check_array("bias", in.biases, in.n_bias);
  for (int64_t i = 0; i < in.n_bias; ++i) request->bias.push_back({in.bias_ids[i], in.biases[i]});
}

SequenceRequest request_of(const headlane_sequence_options* options,
                           const headlane_sequences& handle) {
  const auto in = read_struct(options, "headlane_sequence_options");
  SequenceRequest request = headlane::default_request(handle.sequences.model().config());
  read_search(in, &request);
  read_lists(in, &request);
  request.logprobs = in.logprobs != 0 || in.prompt_logprobs != 0;
  request.prompt_logprobs = in.prompt_logprobs != 0;
  request.n_top = in.n_top;
  if (request.n_top > 0 && !request.logprobs) {
    fail(Status::kInvalidArgument, "n_top is %lld, but neither logprobs nor prompt_logprobs is set",
         ll{in.n_top});
  }
  request.hidden = in.hidden != 0;
  request.room = in.room;
  request.key = in.key;
  request.keeps = in.keep != 0;
  request.speculate = in.speculate;
  request.fill_mask = read_mask_or_constraint(in.mask_tokens, in.mask_user, in.constraint,
                                              request.end_ids, &request.search, *handle.model);
  request.listener = reinterpret_cast<void (*)()>(in.on_token);
  request.user = in.user;
  return request;
}

headlane::Next tell(const headlane::SequenceEvent& event) {
  const SequenceRequest& request = event.sequence->request;
  const headlane_sequence_token token = {
      .struct_size = sizeof token,
      .sequence = event.sequence->number,
      .n_new = event.n_new,
      .id = event.id,
      .logprob = event.logprob,
      .top_ids = event.top_ids.data(),
      .top_logprobs = event.top_values.data(),
      .n_top = static_cast<int64_t>(event.top_ids.size()),
      .text = event.text.data(),
      .text_bytes = event.text.size(),
      .finish_reason = event.finish ? name_of(*event.finish) : nullptr,
  };
  return next_of(
      reinterpret_cast<headlane_on_sequence_token>(request.listener)(request.user, &token));
}

headlane_sequence_facts facts_of(const Sequences& sequences, const Sequence& sequence) {
  headlane_sequence_facts facts{};
  facts.state = static_cast<headlane_sequence_state>(sequence.state());
  facts.status = static_cast<headlane_status>(sequence.status);
  facts.message = sequence.finish ? sequence.message.c_str() : "";
  facts.finish_reason = sequence.finish ? name_of(*sequence.finish) : nullptr;
  facts.n_prompt = sequence.n_prompt;
  facts.n_new = sequence.n_new();
  facts.n_computed = sequence.n_computed;
  facts.n_shared = sequence.n_shared;
  facts.text_bytes = static_cast<int64_t>(sequence.text.shown().size());
  facts.n_logprobs = std::ssize(sequence.logprobs.values);
  facts.least_tokens = sequences.least_tokens(sequence);
  facts.n_guessed = sequence.n_guessed;
  facts.n_guessed_right = sequence.n_guessed_right;
  return facts;
}

void check_places(const Sequence& sequence, int64_t first, int64_t n) {
  const int64_t n_places = std::ssize(sequence.logprobs.values);
  if (!sequence.request.logprobs) {
    fail(Status::kInvalidArgument,
         "sequence %lld was added with neither logprobs nor prompt_logprobs", ll{sequence.number});
  }
  if (first >= 0 && n >= 0 && first <= n_places && n <= n_places - first) return;
  fail(Status::kInvalidArgument,
       "first is %lld and n is %lld; sequence %lld has log-probabilities of %lld places", ll{first},
       ll{n}, ll{sequence.number}, ll{n_places});
}

SequenceRequest request_of_ids(const int32_t* ids, int64_t n_ids,
                               const headlane_sequence_options* options,
                               const headlane_sequences& sequences) {
  check_array("ids", ids, n_ids);
  SequenceRequest request = request_of(options, sequences);
  request.ids.assign(ids, ids + n_ids);
  return request;
}

}  // namespace

headlane_status headlane_sequences_bytes(const headlane_model* model,
                                         const headlane_sequences_options* options, size_t* out) {
  return guarded([&] {
    require(model, "model");
    require(out, "out");
    const auto read = read_struct(options, "headlane_sequences_options");
    *out = Sequences::bytes(*model->model, limits_of(model, read, read_work_options(read)));
  });
}

headlane_status headlane_sequences_create(headlane_model* model,
                                          const headlane_sequences_options* options,
                                          headlane_sequences** out) {
  return guarded([&] {
    require(model, "model");
    require(out, "out");
    const auto read = read_struct(options, "headlane_sequences_options");
    const WorkOptions work = read_work_options(read);
    const SequencesLimits limits = limits_of(model, read, work);
    work.check_memory(Sequences::bytes(*model->model, limits));
    *out = new headlane_sequences{{*model->model, limits, work.memory, work.threads.pool}, model};
    model->model->log().info("sequences: %lld at once, %lld tokens, %lld %s, products in %s",
                             ll{limits.step.max_sequences}, ll{limits.n_rows()},
                             ll{limits.step.run.n_threads}, work.threads.name(),
                             name_of(limits.step.run.precision));
  });
}

void headlane_sequences_destroy(headlane_sequences* sequences) { delete sequences; }

headlane_status headlane_sequences_set_cancelled(headlane_sequences* sequences, int32_t cancelled) {
  return guarded([&] {
    require(sequences, "sequences");
    sequences->sequences.set_cancelled(cancelled != 0);
  });
}

headlane_status headlane_sequences_add(headlane_sequences* sequences, const int32_t* ids,
                                       int64_t n_ids, const headlane_sequence_options* options,
                                       int64_t* sequence) {
  return guarded([&] {
    require(sequences, "sequences");
    require(sequence, "sequence");
    *sequence = sequences->sequences.add(request_of_ids(ids, n_ids, options, *sequences));
  });
}

headlane_status headlane_sequences_add_text(headlane_sequences* sequences, const char* text,
                                            size_t text_bytes,
                                            const headlane_sequence_options* options,
                                            int64_t* sequence) {
  return guarded([&] {
    require(sequences, "sequences");
    require(sequence, "sequence");
    if (text_bytes > 0) require(text, "text");
    SequenceRequest request = request_of(options, *sequences);
    headlane::TextOptions uncut;
    uncut.max_len = INT32_MAX;
    const headlane::TextTokens tokens(sequences->sequences.model(), uncut);
    tokens.append({text_bytes > 0 ? text : "", text_bytes}, &request.ids);
    *sequence = sequences->sequences.add(std::move(request));
  });
}

headlane_status headlane_sequences_fork(headlane_sequences* sequences, int64_t from,
                                        int64_t n_tokens, const int32_t* ids, int64_t n_ids,
                                        const headlane_sequence_options* options,
                                        int64_t* sequence) {
  return guarded([&] {
    require(sequences, "sequences");
    require(sequence, "sequence");
    *sequence =
        sequences->sequences.fork(from, n_tokens, request_of_ids(ids, n_ids, options, *sequences));
  });
}

headlane_status headlane_sequences_rewind(headlane_sequences* sequences, int64_t sequence,
                                          int64_t n_tokens) {
  return guarded([&] {
    require(sequences, "sequences");
    sequences->sequences.rewind(sequence, n_tokens);
  });
}

headlane_status headlane_sequences_remove(headlane_sequences* sequences, int64_t sequence) {
  return guarded([&] {
    require(sequences, "sequences");
    sequences->sequences.remove(sequence);
  });
}

headlane_status headlane_sequences_step(headlane_sequences* sequences, int64_t* n_unfinished) {
  return guarded([&] {
    require(sequences, "sequences");
    const int64_t n = sequences->sequences.step(tell);
    if (n_unfinished) *n_unfinished = n;
  });
}

headlane_status headlane_sequences_get(const headlane_sequences* sequences, int64_t sequence,
                                       headlane_sequence_facts* out) {
  return guarded([&] {
    require(sequences, "sequences");
    headlane_sequence_facts facts{};
    const Sequences& all = sequences->sequences;
    all.read(sequence, [&](const Sequence& of) { facts = facts_of(all, of); });
    write_struct(facts, out, "headlane_sequence_facts");
  });
}

headlane_status headlane_sequences_get_ids(const headlane_sequences* sequences, int64_t sequence,
                                           int32_t* ids, int64_t capacity, int64_t* n_ids) {
  return guarded([&] {
    require(sequences, "sequences");
    require(n_ids, "n_ids");
    check_room(ids, "ids", capacity);
    sequences->sequences.read(sequence, [&](const Sequence& of) {
      const std::span<const int32_t> all = of.ids;
      write_results(all.subspan(static_cast<size_t>(of.n_prompt)), "ids", ids, capacity, n_ids);
    });
  });
}

headlane_status headlane_sequences_get_text(const headlane_sequences* sequences, int64_t sequence,
                                            char* text, int64_t capacity, int64_t* n_bytes) {
  return guarded([&] {
    require(sequences, "sequences");
    require(n_bytes, "n_bytes");
    check_room(text, "text", capacity);
    tokenizer_of(sequences->sequences.model());
    sequences->sequences.read(sequence, [&](const Sequence& of) {
      write_results<char>(of.text.shown(), "bytes", text, capacity, n_bytes);
    });
  });
}

headlane_status headlane_sequences_get_logprobs(const headlane_sequences* sequences,
                                                int64_t sequence, int64_t first, int64_t n,
                                                float* logprobs, int32_t* top_ids,
                                                float* top_logprobs) {
  return guarded([&] {
    require(sequences, "sequences");
    sequences->sequences.read(sequence, [&](const Sequence& of) {
      check_places(of, first, n);
      const headlane::TokenLogprobs& from = of.logprobs;
      const int64_t n_top = of.request.n_top;
      if (logprobs) std::copy_n(from.values.begin() + first, n, logprobs);
      if (top_ids) std::copy_n(from.top_ids.begin() + first * n_top, n * n_top, top_ids);
      if (top_logprobs) {
        std::copy_n(from.top_values.begin() + first * n_top, n * n_top, top_logprobs);
      }
    });
  });
}

headlane_status headlane_sequences_get_hidden(const headlane_sequences* sequences, int64_t sequence,
                                              float* hidden) {
  return guarded([&] {
    require(sequences, "sequences");
    require(hidden, "hidden");
    sequences->sequences.read(sequence, [&](const Sequence& of) {
      if (!of.request.hidden || of.n_computed < of.n_prompt) {
        fail(Status::kInvalidArgument, "sequence %lld has no hidden state: %s", ll{of.number},
             of.request.hidden ? "its prompt has not been computed yet"
                               : "it was added without hidden");
      }
      std::ranges::copy(of.hidden, hidden);
    });
  });
}

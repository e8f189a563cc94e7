#include "engine/api/constraint.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/api/c_api.h"
#include "engine/api/mask.h"
#include "engine/constraint/pattern.h"
#include "engine/constraint/schema.h"

using headlane::Constraint;
using headlane::fail;
using headlane::Status;
using headlane::TokenTrie;
using namespace headlane::c_api;  // NOLINT(google-build-using-namespace): what this file is of

namespace {

using ll = long long;

std::shared_ptr<const TokenTrie> make_trie(const headlane::Model& model) {
  const headlane::Tokenizer* tokenizer = model.tokenizer();
  if (tokenizer == nullptr || !model.config().has_decoder()) {
    fail(Status::kUnsupported, "%s: a constraint needs a model with a decoder and a tokenizer",
         model.container().path().c_str());
  }
  const int64_t vocab_size = model.config().decoder.vocab_size;
  std::vector<std::string> tokens(static_cast<size_t>(vocab_size));
  const int64_t n = std::min(vocab_size, tokenizer->target_vocab_size());
  for (int64_t id = 0; id < n; ++id) {
    if (tokenizer->token_bytes(static_cast<int32_t>(id), &tokens[static_cast<size_t>(id)]))
      continue;
    fail(Status::kUnsupported,
         "%s: what a token of this tokenizer adds to a text depends on the tokens beside it, so no "
         "constraint can be made of it",
         model.container().path().c_str());
  }
  // Tokens that the model's makers do not let come, or let end an answer, are of no text.
  const headlane::GenerationDefaults& generation = model.config().generation;
  for (const std::vector<int32_t>& ids : {generation.suppressed_ids, generation.end_ids}) {
    for (const int32_t id : ids) tokens[static_cast<size_t>(id)].clear();
  }
  return std::make_shared<const TokenTrie>(std::move(tokens));
}

// The trie of a model is made once, with the first of its constraints.
std::shared_ptr<const TokenTrie> trie_of(const headlane_model& model) {
  const std::lock_guard lock(model.trie_mutex);
  if (model.trie == nullptr) model.trie = make_trie(*model.model);
  return model.trie;
}

}  // namespace

namespace headlane::c_api {

FillMask read_mask_or_constraint(headlane_mask_tokens mask_tokens, void* user,
                                 const headlane_constraint* constraint,
                                 std::span<const int32_t> end_ids, headlane::SearchOptions* search,
                                 const headlane_model& model) {
  if (constraint == nullptr) {
    return read_mask(mask_tokens, user, model.model->config().decoder.vocab_size);
  }
  if (mask_tokens != nullptr) {
    fail(Status::kInvalidArgument, "both mask_tokens and constraint are set; it must be one");
  }
  if (&constraint->constraint->trie() != trie_of(model).get()) {
    fail(Status::kInvalidArgument, "the constraint was made for another model");
  }
  search->forced_last_id = -1;
  // A language model's answers go on from a prompt, and begin with no token of the model's.
  const int32_t first_id = model.model->config().is_language_model() ? -1 : search->forced_first_id;
  if (first_id >= 0 && std::ranges::find(end_ids, first_id) != end_ids.end()) {
    fail(Status::kUnsupported,
         "targets begin with the token %d (first_id), which is one of end_ids, and would end the "
         "text before it is whole",
         first_id);
  }
  return [constraint = constraint->constraint, memory = std::make_shared<Constraint::Memory>(),
          first_id,
          ends = std::vector<int32_t>(end_ids.begin(), end_ids.end())](const MaskRequest& request) {
    auto ids = request.ids.last(static_cast<size_t>(request.n_new));
    // Without a prefix, what came is behind the decoder's start alone, and begins with first_id.
    const bool has_prefix = std::ssize(request.ids) > 1 + request.n_new;
    if (first_id >= 0 && !has_prefix && !ids.empty()) ids = ids.subspan(1);
    const bool may_end = constraint->allow_next(ids, request.mask, memory.get());
    for (const int32_t id : ends) {
      const uint32_t bit = uint32_t{1} << (static_cast<uint32_t>(id) % 32);
      uint32_t& word = request.mask[static_cast<size_t>(id) / 32];
      word = may_end ? word | bit : word & ~bit;
    }
    if (!may_end && is_empty(request.mask)) {
      fail(Status::kUnsupported,
           "the text can go on by tokens of end_ids alone, and these would end it before it is "
           "whole");
    }
    return Next::kGoOn;
  };
}

}  // namespace headlane::c_api

headlane_status headlane_constraint_create(const headlane_model* model,
                                           const headlane_constraint_options* options,
                                           headlane_constraint** out) {
  return guarded([&] {
    require(model, "model");
    require(out, "out");
    const auto read = read_struct(options, "headlane_constraint_options");
    if ((read.schema != nullptr) == (read.regex != nullptr)) {
      fail(Status::kInvalidArgument, "%s of schema and regex is set; it must be one",
           read.schema ? "each" : "none");
    }
    headlane::Expressions expressions;
    const headlane::ExpressionId root =
        read.schema ? headlane::parse_schema({read.schema, read.schema_bytes}, &expressions)
                    : headlane::parse_pattern({read.regex, read.regex_bytes}, {},
                                              "the regular expression", &expressions);
    *out = new headlane_constraint{
        std::make_shared<const Constraint>(trie_of(*model), expressions, root)};
  });
}

void headlane_constraint_destroy(headlane_constraint* constraint) { delete constraint; }

headlane_status headlane_constraint_get_mask(const headlane_constraint* constraint,
                                             const int32_t* ids, int64_t n_ids, uint32_t* mask,
                                             int32_t* may_end) {
  return guarded([&] {
    require(constraint, "constraint");
    require(mask, "mask");
    if (n_ids < 0) {
      fail(Status::kInvalidArgument, "n_ids is %lld; it must be 0 or more", ll{n_ids});
    }
    if (n_ids > 0) require(ids, "ids");
    const Constraint& of = *constraint->constraint;
    const int64_t vocab_size = of.trie().vocab_size();
    for (int64_t i = 0; i < n_ids; ++i) {
      if (ids[i] >= 0 && ids[i] < vocab_size) continue;
      fail(Status::kInvalidArgument, "ids[%lld] is %d; ids are from 0 to %lld", ll{i}, ids[i],
           ll{vocab_size - 1});
    }
    const std::span<uint32_t> words(mask, static_cast<size_t>(headlane::mask_words(vocab_size)));
    std::ranges::fill(words, 0U);
    Constraint::Memory memory;
    const bool ends = of.allow_next({ids, static_cast<size_t>(n_ids)}, words, &memory);
    if (may_end) *may_end = ends ? 1 : 0;
  });
}

// Of a model with a decoder: what its encoder, its decoder and the decoder on the encoder's output
// look at while it translates.
#include <algorithm>

#include "tools/headlane/attention_run.h"
#include "tools/headlane/labels.h"
#include "tools/headlane/languages.h"
#include "tools/headlane/texts.h"

namespace tool {
namespace {

using Ids = std::vector<int32_t>;

template <typename TokenText>
std::vector<std::string> spellings(const headlane_model* model, const Ids& ids,
                                   TokenText token_text) {
  std::vector<std::string> tokens;
  for (const int32_t id : ids) {
    const char* text = nullptr;
    size_t text_bytes = 0;
    check(token_text(model, id, &text, &text_bytes));
    tokens.push_back(valid_utf8({text, text_bytes}));
  }
  return tokens;
}

// The target that the user gave, as the decoder is given it.
Ids tokenize_target(const headlane_model* model, const std::string& text,
                    const headlane_model_facts& facts, const LanguageChoice& languages) {
  headlane_tokenize_options options = HEADLANE_INIT(headlane_tokenize_options);
  options.as_target = 1;
  options.max_len = facts.max_target_len;
  Ids ids(static_cast<size_t>(facts.max_target_len));
  int64_t n_ids = 0;
  check(headlane_model_tokenize(model, text.data(), text.size(), &options, ids.data(),
                                facts.max_target_len, &n_ids));
  ids.resize(static_cast<size_t>(n_ids));
  const int32_t first = languages.first_id.value_or(facts.forced_first_id);
  if (first >= 0) ids.insert(ids.begin(), first);
  if (std::ssize(ids) >= facts.max_target_len) {
    throw std::runtime_error("--target has too many tokens; the model's targets have at most " +
                             std::to_string(facts.max_target_len) + ", its start and end included");
  }
  return ids;
}

struct Translation {
  headlane_batch source;
  Generator generator;
  Ids inputs;  // of the decoder: its start, and the target without its end
};

Generator create_generator(headlane_model* model, const RunOptions& run, int64_t source_len,
                           int64_t target_len) {
  headlane_generator_options options = HEADLANE_INIT(headlane_generator_options);
  options.max_sources = options.max_beams = 1;
  options.max_source_tokens = options.max_source_len = source_len;
  options.max_new_tokens = target_len;
  options.all_logits = 1;  // room that only searches which need it ever touch
  options.n_threads = run.n_threads;
  headlane_generator* generator = nullptr;
  check(headlane_generator_create(model, &options, &generator));
  return Generator(generator);
}

// The likeliest token each time.
Ids translate_greedily(headlane_generator* generator, const headlane_batch& source,
                       const LanguageChoice& languages) {
  headlane_generate_options options = HEADLANE_INIT(headlane_generate_options);
  options.n_beams = 1;
  if (languages.first_id) options.first_id = &*languages.first_id;
  check(headlane_generator_generate(generator, &source, &options));
  headlane_answer answer = HEADLANE_INIT(headlane_answer);
  check(headlane_generator_get_answer(generator, 0, 0, &answer));
  // The last one, mostly its end, is what came out, and was never put in.
  return {answer.ids, answer.ids + std::max<int64_t>(answer.n_ids - 1, 0)};
}

// Encodes, then gives the decoder one token after the other; each step fills a row of the maps that
// are wanted (null: not).
void run_steps(headlane_generator* generator, const headlane_batch& source, const Ids& inputs,
               const headlane_attention_maps* encoder, const headlane_attention_maps* decoder,
               const headlane_attention_maps* cross) {
  const headlane_outputs outputs{.struct_size = sizeof outputs, .attention = encoder};
  check(headlane_generator_encode(generator, &source, encoder ? &outputs : nullptr));
  const int32_t the_source = 0;
  int32_t parent = -1;
  for (const int32_t id : inputs) {
    headlane_step step = HEADLANE_INIT(headlane_step);
    step.n_rows = 1;
    step.ids = &id;
    step.sources = &the_source;
    step.parents = &parent;
    step.self_attention = decoder;
    step.cross_attention = cross;
    check(headlane_generator_step(generator, &step));
    parent = 0;
  }
}

}  // namespace

void run_translation(headlane_model* model, const AttentionOptions& options, AttentionMaps* maps) {
  const headlane_model_facts facts = facts_of(model);
  const LanguageChoice languages =
      choose_languages(model, options.source_language, options.target_language);
  const auto wants = [&](const char* part) { return options.part.empty() || options.part == part; };
  AttentionPart encoder, decoder, cross;
  if (wants("encoder")) {
    encoder = selected_part(options, "encoder", "the encoder", facts.n_layers, facts.n_heads);
  }
  for (AttentionPart* part : {&decoder, &cross}) {
    const char* name = part == &cross ? "cross" : "decoder";
    if (!wants(name)) continue;
    *part =
        selected_part(options, name, "the decoder", facts.n_decoder_layers, facts.n_decoder_heads);
  }

  bool was_cut = false;
  const Ids ids =
      tokenize_source(model, options.text, languages, length_limit(facts, options.run), &was_cut);
  if (ids.empty()) throw std::runtime_error("the text has no tokens");
  Ids target;
  if (!options.target.empty()) target = tokenize_target(model, options.target, facts, languages);
  const auto n = static_cast<int64_t>(ids.size());
  const Generator generator =
      create_generator(model, options.run, n, options.target.empty() ? 0 : std::ssize(target) + 1);
  const int64_t offsets[] = {0, n};
  const headlane_batch source{
      .struct_size = sizeof source, .n_seqs = 1, .offsets = offsets, .ids = ids.data()};
  if (options.target.empty()) target = translate_greedily(generator.get(), source, languages);
  maps->target = valid_utf8(options.target.empty() ? detokenize(model, target) : options.target);
  Ids inputs = {facts.start_id};
  inputs.insert(inputs.end(), target.begin(), target.end());

  encoder.rows = encoder.columns = cross.columns = spellings(model, ids, headlane_model_get_token);
  decoder.rows = decoder.columns = cross.rows =
      spellings(model, inputs, headlane_model_get_target_token);
  const headlane_attention_maps rooms[] = {room_for(&encoder), room_for(&decoder),
                                           room_for(&cross)};
  run_steps(generator.get(), source, inputs, wants("encoder") ? &rooms[0] : nullptr,
            wants("decoder") ? &rooms[1] : nullptr, wants("cross") ? &rooms[2] : nullptr);
  for (AttentionPart* part : {&encoder, &decoder, &cross}) {
    if (!part->name.empty()) maps->parts.push_back(std::move(*part));
  }
}

}  // namespace tool

// In a model with a decoder: what its encoder, its decoder and the decoder on the encoder's output
// look at while it translates.
#include <functional>
#include <span>
#include <string_view>

#include "tools/headlane/attention/attention_run.h"
#include "tools/headlane/output/labels.h"
#include "tools/headlane/text/languages.h"
#include "tools/headlane/text/texts.h"

namespace tool {
namespace {

using Ids = std::vector<int32_t>;

std::vector<std::string> spellings(const Ids& ids,
                                   const std::function<std::string_view(int32_t)>& token_text) {
  std::vector<std::string> tokens;
  for (const int32_t id : ids) tokens.push_back(valid_utf8(std::string(token_text(id))));
  return tokens;
}

// The target that the user gave, as the decoder is given it.
Ids tokenize_target(const Model& model, const std::string& text, const headlane_model_facts& facts,
                    const LanguageChoice& languages) {
  headlane::TokenizeOptions options;
  options.as_target = 1;
  options.max_len = facts.max_target_len;
  Ids ids = model.tokenize(text, options);
  const int32_t first = languages.first_id.value_or(facts.forced_first_id);
  if (first >= 0) ids.insert(ids.begin(), first);
  if (std::ssize(ids) >= facts.max_target_len) {
    throw std::runtime_error("--target has too many tokens; the model's targets have at most " +
                             std::to_string(facts.max_target_len) + ", its start and end included");
  }
  return ids;
}

Generator create_generator(const Model& model, const RunOptions& run, int64_t source_len,
                           int64_t target_len) {
  headlane::GeneratorOptions options;
  options.max_sources = options.max_beams = 1;
  options.max_source_tokens = options.max_source_len = source_len;
  options.max_new_tokens = target_len;
  options.all_logits = 1;  // room that only searches which need it ever touch
  options.n_threads = run.n_threads;
  return Generator(model, options);
}

// The likeliest token each time.
Ids translate_greedily(Generator* generator, const Batch& source, const LanguageChoice& languages) {
  headlane::GenerateOptions options;
  options.n_beams = 1;
  if (languages.first_id) options.first_id = &*languages.first_id;
  generator->generate(source, options);
  const std::span<const int32_t> ids = generator->answer(0).ids;
  // The last one, mostly its end, is what came out, and was never put in.
  return {ids.begin(), ids.end() - (ids.empty() ? 0 : 1)};
}

// Encodes, then gives the decoder one token after the other; each step fills a row of the maps that
// are wanted (null: not).
void run_steps(Generator* generator, const Batch& source, const Ids& inputs,
               const headlane_attention_maps* encoder, const headlane_attention_maps* decoder,
               const headlane_attention_maps* cross) {
  headlane::Outputs outputs;
  outputs.attention = encoder;
  generator->encode(source, outputs);
  const int32_t the_source = 0;
  int32_t parent = -1;
  for (const int32_t id : inputs) {
    headlane::Step step;
    step.n_rows = 1;
    step.ids = &id;
    step.sources = &the_source;
    step.parents = &parent;
    step.self_attention = decoder;
    step.cross_attention = cross;
    generator->step(step);
    parent = 0;
  }
}

}  // namespace

void run_translation(const Model& model, const AttentionOptions& options, AttentionMaps* maps) {
  const headlane::ModelFacts facts = model.facts();
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
  Generator generator =
      create_generator(model, options.run, n, options.target.empty() ? 0 : std::ssize(target) + 1);
  Batch source;
  source.add(ids);
  if (options.target.empty()) target = translate_greedily(&generator, source, languages);
  maps->target = valid_utf8(options.target.empty() ? model.detokenize(target) : options.target);
  Ids inputs = {facts.start_id};
  inputs.insert(inputs.end(), target.begin(), target.end());

  encoder.rows = encoder.columns = cross.columns =
      spellings(ids, [&](int32_t id) { return model.token_text(id); });
  decoder.rows = decoder.columns = cross.rows =
      spellings(inputs, [&](int32_t id) { return model.target_token_text(id); });
  const headlane_attention_maps rooms[] = {room_for(&encoder), room_for(&decoder),
                                           room_for(&cross)};
  run_steps(&generator, source, inputs, wants("encoder") ? &rooms[0] : nullptr,
            wants("decoder") ? &rooms[1] : nullptr, wants("cross") ? &rooms[2] : nullptr);
  for (AttentionPart* part : {&encoder, &decoder, &cross}) {
    if (!part->name.empty()) maps->parts.push_back(std::move(*part));
  }
}

}  // namespace tool

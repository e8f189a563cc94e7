#include "tools/headlane/attention/attention_run.h"

#include <filesystem>

#include "tools/headlane/output/labels.h"
#include "tools/headlane/text/texts.h"

namespace tool {
namespace {

struct Range {
  int64_t first, n;
};

// All `n_there` of them, or the one that was asked for.
Range selected(int64_t asked, int64_t n_there, const std::string& what, const std::string& owner) {
  if (asked < 0) return {0, n_there};
  if (asked < n_there) return {asked, 1};
  throw std::runtime_error(
      "--" + what + " is " + std::to_string(asked) + ", " + owner + " has " +
      (n_there == 1 ? what + " 0 only" : what + "s 0 to " + std::to_string(n_there - 1)));
}

// The probabilities of a model that has only an encoder.
AttentionPart run_encoder(const Model& model, const AttentionOptions& options) {
  const headlane::ModelFacts facts = model.facts();
  AttentionPart part = selected_part(options, "", "the model", facts.n_layers, facts.n_heads);
  const std::vector<int32_t> ids = tokenize_behind(prompt_of(model, options.run), model,
                                                   options.text, length_limit(facts, options.run));
  if (ids.empty()) throw std::runtime_error("the text has no tokens");
  for (const int32_t id : ids) {
    part.rows.push_back(valid_utf8(std::string(model.token_text(id))));
  }
  part.columns = part.rows;
  const auto n = static_cast<int64_t>(ids.size());
  RunOptions one_text = options.run;
  one_text.batch_tokens = n;
  const headlane_attention_maps wanted = room_for(&part);
  headlane::Outputs outputs;
  outputs.attention = &wanted;
  create_session(model, one_text, n).encode(Batch().add(ids).get(), outputs);
  return part;
}

}  // namespace

AttentionPart selected_part(const AttentionOptions& options, const std::string& name,
                            const std::string& owner, int64_t n_layers, int64_t n_heads) {
  const Range layers = selected(options.layer, n_layers, "layer", owner);
  const Range heads = selected(options.head, n_heads, "head", owner);
  AttentionPart part;
  part.name = name;
  part.first_layer = layers.first;
  part.n_layers = layers.n;
  part.first_head = heads.first;
  part.n_heads = heads.n;
  return part;
}

headlane_attention_maps room_for(AttentionPart* part) {
  const auto columns = static_cast<int64_t>(part->columns.size());
  const int64_t size = static_cast<int64_t>(part->rows.size()) * columns;
  part->probabilities.assign(static_cast<size_t>(part->n_layers * part->n_heads * size), 0);
  headlane::AttentionMaps room;
  room.data = part->probabilities.data();
  room.layer_stride = part->n_heads * size;
  room.seq_stride = room.layer_stride;  // of one sequence: never stepped by
  room.head_stride = size;
  room.query_stride = columns;
  room.first_layer = part->first_layer;
  room.n_layers = part->n_layers;
  room.first_head = part->first_head;
  room.n_heads = part->n_heads;
  return room;
}

AttentionMaps attention_maps(const AttentionOptions& options) {
  const Model model = open_model(options.run);
  AttentionMaps maps;
  maps.model = valid_utf8(std::filesystem::path(options.run.model_path).filename().string());
  maps.text = valid_utf8(options.text);
  if (model.facts().has_decoder != 0 && model.facts().n_layers == 0) {
    throw std::runtime_error(options.run.model_path +
                             ": is a language model, whose attention is not shown yet");
  }
  if (model.facts().has_decoder != 0) {
    if (options.run.prompt || !options.run.prompt_name.empty()) {
      throw std::runtime_error(
          options.run.model_path +
          ": the model translates and has no prompts; put the prompt into the text");
    }
    run_translation(model, options, &maps);
    return maps;
  }
  if (!options.part.empty() || !options.target.empty() || !options.source_language.empty() ||
      !options.target_language.empty()) {
    throw std::runtime_error(
        options.run.model_path +
        ": the model has no decoder, so --part, --target and languages do not apply");
  }
  maps.parts.push_back(run_encoder(model, options));
  return maps;
}

}  // namespace tool

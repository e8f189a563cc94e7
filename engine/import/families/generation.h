// generation_config.json: what transformers' generate() does unless it is asked otherwise.
#pragma once

#include <string>

#include "engine/base/log.h"
#include "engine/file/json.h"
#include "engine/import/families/class_defaults.h"
#include "engine/spec/config.h"

namespace headlane {

// From `dir`/generation_config.json, or, as before there were such files, from config.json, which
// `config` is, with the `defaults` of its class; config.json itself also says what roles tokens
// have where the former does not. `model` has everything but the result. Throws Error: kUnsupported
// naming the field that has generate() do what Headlane does not; kBadFile; kIo.
//
// Honoured: decoder_start_token_id (else bos_token_id), eos_token_id, pad_token_id,
// forced_bos_token_id, forced_eos_token_id, bad_words_ids of one token each, suppress_tokens,
// max_new_tokens, max_length, min_new_tokens, min_length, num_beams, length_penalty,
// early_stopping, repetition_penalty, renormalize_logits; of language models do_sample,
// temperature, top_k, top_p, min_p too. Not used: what else only samples (typical_p, ...), caches,
// forms of output, speculation, and fields unknown; num_return_sequences, of which `log` is told.
GenerationDefaults read_generation_defaults(const std::string& dir, const Json& config,
                                            ClassDefaults defaults, const std::string& config_path,
                                            const ModelConfig& model, const Log& log);

}  // namespace headlane

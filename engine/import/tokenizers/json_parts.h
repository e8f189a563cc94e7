// The parts of a tokenizer.json that all models share. Everything throws Error naming the field at
// fault.
#pragma once

#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/tokenizers/tokenizer_files.h"

namespace headlane {

// The "type" of an object such as "normalizer"; "null" for null.
std::string type_of(const Json& file, const char* key, const std::string& where);

// The field "pair" of a spec, as BERT and RoBERTa have it, from the ids of two tokens.
Json bert_pair(const Json& cls, const Json& sep);
Json roberta_pair(const Json& cls, const Json& sep);

// The field "pair" where tokenizer.json has another one than the class of the folder's tokenizer.
inline constexpr const char* kTwoPairs =
    "its tokenizer.json has another template \"pair\" than the class of its tokenizer: "
    "transformers "
    "4 obeys the first and transformers 5 the second. If tokenizer.json is right, set "
    "\"tokenizer_class\" to \"PreTrainedTokenizerFast\" in tokenizer_config.json and convert the "
    "folder again";

// A spec's "pair" with all types 0.
Json untyped(Json pair);

// Settles the types of a spec's "pair", by whether transformers gives them to the model.
void settle_types(const TokenizerFiles& files, Json* spec);

// Sets "ids_before" and "ids_after" of the spec, the special tokens around one text, and "pair",
// how two texts are one sequence or why they cannot be, from "post_processor".
void read_post_processor(const Json& file, const std::string& path, Json* spec);

// The elements of "added_tokens", by their ids.
std::vector<NamedToken> read_added_tokens(const Json& file, const std::string& path);

// Sets "truncation_side" of the spec if texts that are too long lose their beginnings. `file` is a
// tokenizer.json, or null.
void read_truncation_side(const TokenizerFiles& files, const Json& file, const std::string& path,
                          Json* spec);

}  // namespace headlane

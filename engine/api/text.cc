// The C API's texts: ids of them, and back.
#include <algorithm>
#include <cstring>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "engine/api/c_api.h"
#include "engine/file/json_fields.h"

using headlane::fail;
using headlane::Status;
using headlane::TextOptions;
using headlane::TextTokens;
using headlane::Tokenizer;
using namespace headlane::c_api;  // NOLINT(google-build-using-namespace): what this file is of

namespace {

const Tokenizer& tokenizer_of(const headlane_model* model) {
  require(model, "model");
  return tokenizer_of(*model->model);
}

std::string_view read_text(const char* text, size_t text_bytes) {
  if (text_bytes > 0) require(text, "text");
  return {text_bytes > 0 ? text : "", text_bytes};
}

void check_id(int32_t id, int64_t vocab_size) {
  if (id < 0 || id >= vocab_size) {
    fail(Status::kInvalidArgument, "id is %d; it must be from 0 to %lld", id,
         static_cast<long long>(vocab_size - 1));
  }
}

}  // namespace

headlane::TextOptions headlane::c_api::read_text_options(const headlane_tokenize_options* options) {
  const auto read = read_struct(options, "headlane_tokenize_options");
  TextOptions result;
  result.max_len = read.max_len;
  result.languages = {read.source_language ? read.source_language : "",
                      read.target_language ? read.target_language : ""};
  result.as_target = read.as_target != 0;
  result.prompt = read.prompt ? read.prompt : "";
  result.truncation = static_cast<headlane::Truncation>(
      read_enum("truncation", read.truncation, HEADLANE_ONLY_SECOND));
  return result;
}

headlane_status headlane_model_tokenize(const headlane_model* model, const char* text,
                                        size_t text_bytes, const headlane_tokenize_options* options,
                                        int32_t* ids, int64_t capacity, int64_t* n_ids) {
  return guarded([&] {
    const TextOptions read = read_text_options(options);
    const std::string_view whole = read_text(text, text_bytes);
    require(n_ids, "n_ids");
    check_room(ids, "ids", capacity);
    require(model, "model");
    std::vector<int32_t> tokens;
    TextTokens(*model->model, read).append(whole, &tokens);
    write_results<int32_t>(tokens, "tokens", ids, capacity, n_ids);
  });
}

headlane_status headlane_model_tokenize_pair(const headlane_model* model, const char* text,
                                             size_t text_bytes, const char* second,
                                             size_t second_bytes,
                                             const headlane_tokenize_options* options, int32_t* ids,
                                             int32_t* type_ids, int64_t capacity, int64_t* n_ids) {
  return guarded([&] {
    const TextOptions read = read_text_options(options);
    const std::string_view whole = read_text(text, text_bytes);
    const std::string_view other = read_text(second, second_bytes);
    require(n_ids, "n_ids");
    check_room(ids, "ids", capacity);
    require(model, "model");
    std::vector<int32_t> tokens, types;
    TextTokens(*model->model, read, true).append_pair(whole, other, &tokens, &types);
    write_results<int32_t>(tokens, "tokens", ids, capacity, n_ids);
    if (capacity > 0 && type_ids != nullptr) std::copy(types.begin(), types.end(), type_ids);
  });
}

headlane_status headlane_model_detokenize(const headlane_model* model, const int32_t* ids,
                                          int64_t n_ids, char* text, int64_t capacity,
                                          int64_t* n_bytes) {
  return guarded([&] {
    require(n_bytes, "n_bytes");
    check_room(text, "text", capacity);
    if (n_ids < 0) {
      fail(Status::kInvalidArgument, "n_ids is %lld; it must be 0 or more",
           static_cast<long long>(n_ids));
    }
    if (n_ids > 0) require(ids, "ids");
    const Tokenizer& tokenizer = tokenizer_of(model);
    for (int64_t i = 0; i < n_ids; ++i) check_id(ids[i], tokenizer.target_vocab_size());
    const std::string decoded = tokenizer.decode({ids, static_cast<size_t>(n_ids)});
    write_results<char>(decoded, "bytes", text, capacity, n_bytes);
  });
}

headlane_status headlane_model_get_token(const headlane_model* model, int32_t id, const char** text,
                                         size_t* text_bytes) {
  return guarded([&] {
    require(text, "text");
    require(text_bytes, "text_bytes");
    const Tokenizer& tokenizer = tokenizer_of(model);
    check_id(id, tokenizer.vocab_size());
    const std::string_view token = tokenizer.token(id);
    *text = token.data();
    *text_bytes = token.size();
  });
}

headlane_status headlane_model_get_target_token(const headlane_model* model, int32_t id,
                                                const char** text, size_t* text_bytes) {
  return guarded([&] {
    require(text, "text");
    require(text_bytes, "text_bytes");
    const Tokenizer& tokenizer = tokenizer_of(model);
    check_id(id, tokenizer.target_vocab_size());
    const std::string_view token = tokenizer.target_token(id);
    *text = token.data();
    *text_bytes = token.size();
  });
}

headlane_status headlane_model_get_language(const headlane_model* model, int64_t i,
                                            headlane_language_facts* out) {
  return guarded([&] {
    const Tokenizer& tokenizer = tokenizer_of(model);
    const std::vector<std::string_view> languages = tokenizer.languages();
    if (i < 0 || i >= std::ssize(languages)) {
      fail(Status::kInvalidArgument, "language index i is %lld; the model has %zu languages",
           static_cast<long long>(i), languages.size());
    }
    headlane_language_facts facts{};
    const std::string_view name = languages[static_cast<size_t>(i)];
    facts.name = name.data();
    facts.name_bytes = name.size();
    facts.id = tokenizer.language_id(name);
    facts.begins_target = tokenizer.language_use() == headlane::LanguageUse::kSource ? 1 : 0;
    write_struct(facts, out, "headlane_language_facts");
  });
}

headlane_status headlane_model_find_token(const headlane_model* model, const char* text,
                                          size_t text_bytes, int32_t* id) {
  return guarded([&] {
    require(id, "id");
    const std::string_view token = read_text(text, text_bytes);
    const Tokenizer& tokenizer = tokenizer_of(model);
    const int32_t found = token.empty() ? -1 : tokenizer.find(token);
    if (found < 0) {
      fail(Status::kInvalidArgument, "the model has no token \"%s\"",
           headlane::printable(token).c_str());
    }
    *id = found;
  });
}

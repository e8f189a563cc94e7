#include "tests/fuzz/one_model.h"

#include <algorithm>
#include <vector>

namespace headlane::fuzz {
namespace {

// Sessions that a few tokens do not need are not made: how much memory a valid model wants is its
// own affair, and known before.
constexpr size_t kMostSessionBytes = size_t{64} << 20;
constexpr int64_t kTokens = 7;
constexpr int64_t kOffsets[] = {0, 1, 1, 4, kTokens};  // of the batch's sequences, one empty
constexpr int64_t kSeqs = 4;

using std::literals::operator""sv;
constexpr auto kTexts = {
    ""sv, "the a  b.\tHello, World! don't"sv,
    "\xe4\xbd\xa0\xe5\xa5\xbd Caf\xc3\xa9 e\xcc\x81 \xf0\x9f\x98\x80>>fra<< </s>"sv,
    "[CLS] [SEP]\xff\xfe\0 ##ing \xc0\x80 \xed\xa0\x80 __en__ zho_Hans"sv};

// A run of a valid model on a valid batch may say these: a file may be shorter than the batch.
constexpr auto kOfRuns = {HEADLANE_INVALID_ARGUMENT, HEADLANE_UNSUPPORTED, HEADLANE_TOO_LARGE};

headlane_model_facts facts_of(const headlane_model* model) {
  headlane_model_facts facts{};
  facts.struct_size = sizeof facts;
  is_ok(headlane_model_get_facts(model, &facts), {}, "model_get_facts");
  return facts;
}

void look_at_tensors(const headlane_model* model, int64_t n_tensors) {
  for (int64_t i = 0; i <= std::min<int64_t>(n_tensors, 1000); ++i) {
    headlane_tensor_facts tensor{};
    tensor.struct_size = sizeof tensor;
    const bool ok = is_ok(headlane_model_get_tensor(model, i, &tensor), {HEADLANE_INVALID_ARGUMENT},
                          "model_get_tensor");
    if (ok != (i < n_tensors)) finding("model_get_tensor", "wrong number of tensors");
  }
}

// The ids that a text has, in a buffer of just that size.
void detokenize(const headlane_model* model, const std::vector<int32_t>& ids) {
  const auto errors = {HEADLANE_INVALID_ARGUMENT, HEADLANE_UNSUPPORTED};
  int64_t n_bytes = 0;
  const auto n_ids = static_cast<int64_t>(ids.size());
  if (!is_ok(headlane_model_detokenize(model, ids.data(), n_ids, nullptr, 0, &n_bytes), errors,
             "detokenize")) {
    return;
  }
  if (n_bytes == 0) return;
  std::vector<char> text(n_bytes);
  if (!is_ok(headlane_model_detokenize(model, ids.data(), n_ids, text.data(), n_bytes, &n_bytes),
             {}, "detokenize")) {
    finding("detokenize", "refused what it had counted");
  }
}

void tokenize(const headlane_model* model, std::string_view text,
              const headlane_tokenize_options& options) {
  const auto errors = {HEADLANE_INVALID_ARGUMENT, HEADLANE_UNSUPPORTED};
  int64_t n = 0;
  if (!is_ok(headlane_model_tokenize(model, text.data(), text.size(), &options, nullptr, 0, &n),
             errors, "tokenize")) {
    return;
  }
  std::vector<int32_t> ids(n);
  if (n > 0) {
    is_ok(headlane_model_tokenize(model, text.data(), text.size(), &options, ids.data(), n, &n), {},
          "tokenize");
  }
  detokenize(model, ids);
}

void use_tokenizer(const headlane_model* model, const headlane_model_facts& facts) {
  headlane_language_facts language{};
  language.struct_size = sizeof language;
  if (facts.n_languages > 0) {
    is_ok(headlane_model_get_language(model, facts.n_languages - 1, &language), {}, "get_language");
  }
  const std::string name(language.name ? language.name : "", language.name_bytes);
  for (const std::string_view text : kTexts) {
    headlane_tokenize_options options = HEADLANE_INIT(headlane_tokenize_options);
    tokenize(model, text, options);
    options.as_target = 1;
    tokenize(model, text, options);
    options.as_target = 0;
    options.source_language = options.target_language = name.c_str();
    options.max_len = 3;
    tokenize(model, text, options);
  }
  std::vector<int32_t> ids;
  for (int32_t id = -1; id < 40; ++id) {
    const char* text = nullptr;
    size_t n = 0;
    is_ok(headlane_model_get_token(model, id, &text, &n), {HEADLANE_INVALID_ARGUMENT},
          "token_text");
    if (is_ok(headlane_model_get_target_token(model, id, &text, &n),
              {HEADLANE_INVALID_ARGUMENT, HEADLANE_UNSUPPORTED}, "target_token_text")) {
      ids.push_back(id);
    }
    const std::string spelling(text ? text : "", text ? n : 0);  // reads all of it
    int32_t found = 0;
    is_ok(headlane_model_find_token(model, spelling.data(), spelling.size(), &found),
          {HEADLANE_INVALID_ARGUMENT, HEADLANE_UNSUPPORTED}, "token_id");
  }
  detokenize(model, ids);
}

std::vector<int32_t> ids_below(int64_t vocab_size) {
  std::vector<int32_t> ids(kTokens);
  for (int64_t i = 0; i < kTokens; ++i) {
    ids[i] = static_cast<int32_t>(vocab_size > 0 ? i * 5 % vocab_size : 0);
  }
  return ids;
}

void encode(headlane_session* session, const headlane_model_facts& facts) {
  const std::vector<int32_t> ids = ids_below(facts.vocab_size);
  std::vector<float> hidden(kTokens * facts.d_model), pooled(kSeqs * facts.d_model);
  headlane_batch batch{
      .struct_size = sizeof batch, .n_seqs = kSeqs, .offsets = kOffsets, .ids = ids.data()};
  headlane_outputs outputs{.struct_size = sizeof outputs, .hidden = hidden.data()};
  if (std::string_view(facts.pooling) != "none") outputs.pooled = pooled.data();
  is_ok(headlane_session_encode(session, &batch, &outputs), kOfRuns, "encode");
}

void forward(headlane_session* session, const headlane_model_facts& facts, bool cross) {
  std::vector<float> x(kTokens * facts.d_model, 0.5f), out(kTokens * facts.d_model);
  std::vector<float> key(kTokens * facts.kdim, 0.25f), value(kTokens * facts.vdim, -1.0f);
  headlane_forward_batch batch = HEADLANE_INIT(headlane_forward_batch);
  batch.n_seqs = kSeqs;
  batch.q_offsets = kOffsets;
  batch.x.data = x.data();
  batch.out.data = out.data();
  if (cross) {
    batch.kv_offsets = kOffsets;
    batch.key.data = key.data();
    if (facts.n_decoder_layers == 0) batch.value.data = value.data();
  }
  is_ok(headlane_session_forward(session, &batch), kOfRuns, "forward");
}

void use_session(headlane_model* model, const headlane_model_facts& facts, const char* precision) {
  const bool layers = facts.vocab_size == 0;  // rows of the caller's come in
  for (const int32_t cross : {0, 1}) {
    if (!layers && cross != 0) return;
    headlane_session_options options = HEADLANE_INIT(headlane_session_options);
    options.max_tokens = kTokens;
    options.n_threads = 1;
    options.cross_attention = cross;
    options.precision = precision;
    size_t bytes = 0;
    const auto errors = {HEADLANE_UNSUPPORTED, HEADLANE_TOO_LARGE, HEADLANE_INVALID_ARGUMENT};
    if (!is_ok(headlane_session_bytes(model, &options, &bytes), errors, "session_bytes")) continue;
    if (bytes > kMostSessionBytes) continue;
    headlane_session* session = nullptr;
    if (!is_ok(headlane_session_create(model, &options, &session), {}, "session_create")) {
      finding("session_create", "refused what session_bytes had not");
    }
    layers ? forward(session, facts, cross != 0) : encode(session, facts);
    headlane_session_destroy(session);
  }
}

void generate(headlane_generator* generator, const headlane_model_facts& facts) {
  const std::vector<int32_t> ids = ids_below(facts.vocab_size);
  const int64_t offsets[] = {0, 3, kTokens};
  headlane_batch sources{
      .struct_size = sizeof sources, .n_seqs = 2, .offsets = offsets, .ids = ids.data()};
  headlane_generate_options options = HEADLANE_INIT(headlane_generate_options);
  if (!is_ok(headlane_generator_generate(generator, &sources, &options), kOfRuns, "generate"))
    return;
  headlane_answer answer = HEADLANE_INIT(headlane_answer);
  for (const int64_t source : {0, 1}) {
    if (!is_ok(headlane_generator_get_answer(generator, source, 0, &answer), {}, "get_answer") ||
        std::any_of(answer.ids, answer.ids + answer.n_ids,
                    [&](int32_t id) { return id < 0 || id >= facts.decoder_vocab_size; })) {
      finding("get_answer", "an id that is no token");
    }
  }
}

void use_generator(headlane_model* model, const headlane_model_facts& facts,
                   const char* precision) {
  headlane_generator_options options = HEADLANE_INIT(headlane_generator_options);
  options.max_sources = 2;
  options.max_source_tokens = kTokens;
  options.max_source_len = std::min(kTokens, facts.max_positions);
  options.max_new_tokens = std::min<int64_t>(5, facts.max_new_tokens);
  options.n_threads = 1;
  options.precision = precision;
  size_t bytes = 0;
  const auto errors = {HEADLANE_UNSUPPORTED, HEADLANE_TOO_LARGE, HEADLANE_INVALID_ARGUMENT};
  if (!is_ok(headlane_generator_bytes(model, &options, &bytes), errors, "generator_bytes")) return;
  if (bytes > kMostSessionBytes) return;
  headlane_generator* generator = nullptr;
  if (!is_ok(headlane_generator_create(model, &options, &generator), {}, "generator_create")) {
    finding("generator_create", "refused what generator_bytes had not");
  }
  generate(generator, facts);
  headlane_generator_destroy(generator);
}

}  // namespace

void use_model_file(Bytes bytes) {
  static MemoryFile file;
  file.write(bytes);
  // Bytes after the last tensor are not read, so an input chooses its precision by its length.
  const char* const precisions[] = {nullptr, "f32", "bf16", "int8"};
  const char* const precision = precisions[bytes.size() % 4];
  headlane_model_options options = HEADLANE_INIT(headlane_model_options);
  if (bytes.size() / 4 % 4 == 3) options.isa = "ref";
  headlane_model* model = nullptr;
  if (!is_ok(headlane_model_open(file.path().c_str(), &options, &model),
             {HEADLANE_BAD_FILE, HEADLANE_UNSUPPORTED}, "model_open")) {
    return;
  }
  const headlane_model_facts facts = facts_of(model);
  look_at_tensors(model, facts.n_tensors);
  if (facts.has_tokenizer != 0) use_tokenizer(model, facts);
  use_session(model, facts, precision);
  if (facts.has_decoder != 0) use_generator(model, facts, precision);
  headlane_model_destroy(model);
}

}  // namespace headlane::fuzz

/** @file
 * C++: models and their text; conversion.
 */
#ifndef HEADLANE_MODEL_HPP_
#define HEADLANE_MODEL_HPP_

#include <concepts>
#include <ctime>
#include <headlane/batch.hpp>
#include <headlane/error.hpp>
#include <initializer_list>
#include <memory>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace headlane {
inline namespace v0 {

/** Texts: a range of anything that a std::string_view can be made of, or a list in braces. */
template <typename Range>
concept Texts = std::ranges::input_range<const Range> &&
    std::convertible_to<std::ranges::range_reference_t<const Range>, std::string_view>;

/** Two texts as one sequence. */
struct TokenPair {
  std::vector<int32_t> ids;      /**< special tokens included */
  std::vector<int32_t> type_ids; /**< as many: 0 in the first text, 1 in the second */
};

/** headlane_model: weights, config and tokenizer. Any number of threads may use it at once. */
class Model {
 public:
  /** Opens a .headlane file.
   * @param path of the file
   * @param options see headlane_model_options
   * @throw Error for each error of headlane_model_open */
  explicit Model(const std::string& path, const headlane_model_options& options = ModelOptions()) {
    headlane_model* made = nullptr;
    check(headlane_model_open(path.c_str(), &options, &made));
    model_ = {made, headlane_model_destroy};
  }

  /** Takes over a model that C's functions made.
   * @param made ends with this, or with the last session or generator of it */
  explicit Model(headlane_model* made) : model_(made, headlane_model_destroy) {}

  /** A model of one attention layer, from weights at hand.
   * @param layer and all that it points to may go afterwards
   * @param options see headlane_model_options
   * @return a model whose sessions run by Session::forward
   * @throw Error for each error of headlane_model_create_layer */
  static Model layer(const headlane_layer_options& layer,
                     const headlane_model_options& options = ModelOptions()) {
    headlane_model* made = nullptr;
    check(headlane_model_create_layer(&layer, &options, &made));
    return Model(made);
  }

  // A model can be moved but not copied, although sessions share it: a caller who passes it on must
  // say so.
  /** The other one's model. */
  Model(Model&&) noexcept = default;
  /** The other one's model; this one's ends, unless sessions have it.
   * @return itself */
  Model& operator=(Model&&) noexcept = default;

  /** What the model is.
   * @return see headlane_model_facts
   * @throw Error if this was moved from */
  ModelFacts facts() const {
    ModelFacts found;
    check(headlane_model_get_facts(get(), &found));
    return found;
  }

  /** What the model is, as JSON.
   * @return see headlane_model_get_json
   * @throw Error if this was moved from */
  std::string json() const {
    std::string text;
    int64_t n_bytes = 0;
    headlane_status status = headlane_model_get_json(get(), nullptr, 0, &n_bytes);
    // Another thread may make it longer between two calls.
    for (bool fits = false; status == HEADLANE_OK && !fits;) {
      text.resize(static_cast<size_t>(n_bytes));
      status = headlane_model_get_json(get(), text.data(), n_bytes, &n_bytes);
      fits = status == HEADLANE_OK;
      if (status == HEADLANE_TOO_LARGE) status = HEADLANE_OK;
    }
    check(status);
    text.resize(static_cast<size_t>(n_bytes));
    return text;
  }

  /** One tensor of the file.
   * @param i which one, below facts().n_tensors
   * @return see headlane_tensor_facts
   * @throw Error if there is none */
  TensorFacts tensor(int64_t i) const {
    TensorFacts found;
    check(headlane_model_get_tensor(get(), i, &found));
    return found;
  }

  /** One of the languages that the tokenizer has tokens for.
   * @param i which one, below facts().n_languages
   * @return see headlane_language_facts
   * @throw Error if there is none */
  LanguageFacts language(int64_t i) const {
    LanguageFacts found;
    check(headlane_model_get_language(get(), i, &found));
    return found;
  }

  /** One of the prompts of the model.
   * @param i which one, below facts().n_prompts
   * @return see headlane_prompt_facts
   * @throw Error if there is none */
  PromptFacts prompt(int64_t i) const {
    PromptFacts found;
    check(headlane_model_get_prompt(get(), i, &found));
    return found;
  }

  /** The prompt of a name.
   * @param name "query", "document", or another that the model has
   * @return null-terminated, as long as the model: give it as headlane_tokenize_options.prompt
   * @throw Error for each error of headlane_model_find_prompt */
  const char* find_prompt(const std::string& name) const {
    const char* text = nullptr;
    check(headlane_model_find_prompt(get(), name.c_str(), &text));
    return text;
  }

  /** One of the labels of a classifier.
   * @param i which one, below facts().n_labels
   * @return see headlane_label_facts
   * @throw Error if there is none */
  LabelFacts label(int64_t i) const {
    LabelFacts found;
    check(headlane_model_get_label(get(), i, &found));
    return found;
  }

  /** The kernels that were chosen for this machine: lines "slot: implementation".
   * @return as long as the model; "" if this was moved from */
  std::string_view kernels() const {
    const char* text = headlane_model_kernels(get());
    return text == nullptr ? std::string_view() : text;
  }

  /** Token ids of a text, special tokens included; without the model's default prompt, unless
   * options say so.
   * @param text UTF-8 of any content
   * @param options see headlane_tokenize_options
   * @return at most max_len of the options
   * @throw Error for each error of headlane_model_tokenize */
  std::vector<int32_t> tokenize(
      std::string_view text, const headlane_tokenize_options& options = TokenizeOptions()) const {
    // Mostly there is a token for every four bytes or so: one call is enough then.
    std::vector<int32_t> ids(text.size() / 2 + 8);
    int64_t n_ids = 0;
    const auto into = [&] {
      return headlane_model_tokenize(get(), text.data(), text.size(), &options, ids.data(),
                                     static_cast<int64_t>(ids.size()), &n_ids);
    };
    headlane_status status = into();
    if (status == HEADLANE_TOO_LARGE) {
      ids.resize(static_cast<size_t>(n_ids));
      status = into();
    }
    check(status);
    ids.resize(static_cast<size_t>(n_ids));
    return ids;
  }

  /** Token ids of two texts as one sequence, for Batch::add.
   * @param first UTF-8 of any content, as second
   * @param second the other text
   * @param options see headlane_tokenize_options
   * @return at most max_len of the options
   * @throw Error for each error of headlane_model_tokenize_pair */
  TokenPair tokenize_pair(std::string_view first, std::string_view second,
                          const headlane_tokenize_options& options = TokenizeOptions()) const {
    int64_t n_ids = 0;
    const auto into = [&](TokenPair* pair) {
      check(headlane_model_tokenize_pair(
          get(), first.data(), first.size(), second.data(), second.size(), &options,
          pair->ids.data(), pair->type_ids.data(), static_cast<int64_t>(pair->ids.size()), &n_ids));
    };
    TokenPair pair;
    into(&pair);
    pair.ids.resize(static_cast<size_t>(n_ids));
    pair.type_ids.resize(pair.ids.size());
    into(&pair);
    return pair;
  }

  /** Texts as a batch.
   * @param texts any number
   * @param options see headlane_tokenize_options
   * @return a sequence for each text
   * @throw Error for each error of headlane_model_tokenize */
  template <Texts Range = std::initializer_list<std::string_view>>
  Batch tokenize_all(const Range& texts,
                     const headlane_tokenize_options& options = TokenizeOptions()) const {
    Batch batch;
    for (const std::string_view text : texts) batch.add(tokenize(text, options));
    return batch;
  }

  /** The text of a conversation, by the model's chat template.
   * @param options see headlane_chat_options
   * @return UTF-8
   * @throw Error for each error of headlane_model_write_chat */
  std::string write_chat(const headlane_chat_options& options) const {
    const headlane_chat_options timed = at_one_time(options);
    int64_t n_bytes = 0;
    check(headlane_model_write_chat(get(), &timed, nullptr, 0, &n_bytes));
    std::string text(static_cast<size_t>(n_bytes), '\0');
    check(headlane_model_write_chat(get(), &timed, text.data(), n_bytes, &n_bytes));
    return text;
  }

  /** The token ids of a conversation, whose messages never become special tokens.
   * @param options see headlane_chat_options
   * @return one or more, mostly
   * @throw Error for each error of headlane_model_tokenize_chat */
  std::vector<int32_t> tokenize_chat(const headlane_chat_options& options) const {
    const headlane_chat_options timed = at_one_time(options);
    int64_t n_ids = 0;
    check(headlane_model_tokenize_chat(get(), &timed, nullptr, 0, &n_ids));
    std::vector<int32_t> ids(static_cast<size_t>(n_ids));
    check(headlane_model_tokenize_chat(get(), &timed, ids.data(), n_ids, &n_ids));
    return ids;
  }

  /** The text of ids, without special tokens.
   * @param ids of targets, where these have a vocabulary of their own
   * @return UTF-8
   * @throw Error for each error of headlane_model_detokenize */
  std::string detokenize(std::span<const int32_t> ids) const {
    const auto n_ids = static_cast<int64_t>(ids.size());
    int64_t n_bytes = 0;
    check(headlane_model_detokenize(get(), ids.data(), n_ids, nullptr, 0, &n_bytes));
    std::string text(static_cast<size_t>(n_bytes), '\0');
    check(headlane_model_detokenize(get(), ids.data(), n_ids, text.data(), n_bytes, &n_bytes));
    return text;
  }

  /** The spelling of one token.
   * @param id below facts().vocab_size
   * @return as long as the model
   * @throw Error for each error of headlane_model_get_token */
  std::string_view token_text(int32_t id) const {
    const char* text = nullptr;
    size_t n_bytes = 0;
    check(headlane_model_get_token(get(), id, &text, &n_bytes));
    return {text, n_bytes};
  }

  /** The spelling of one token of targets.
   * @param id below facts().decoder_vocab_size
   * @return as long as the model
   * @throw Error for each error of headlane_model_get_target_token */
  std::string_view target_token_text(int32_t id) const {
    const char* text = nullptr;
    size_t n_bytes = 0;
    check(headlane_model_get_target_token(get(), id, &text, &n_bytes));
    return {text, n_bytes};
  }

  /** The id of the token that is spelled so.
   * @param text "</s>", "zho_Hans"
   * @return its id
   * @throw Error if there is none */
  int32_t token_id(std::string_view text) const {
    int32_t id = 0;
    check(headlane_model_find_token(get(), text.data(), text.size(), &id));
    return id;
  }

  /** The model as the C API takes it.
   * @return as long as this, or a session or generator of it, lives; null if this was moved from */
  headlane_model* get() const noexcept { return model_.get(); }

 private:
  friend class Session;
  friend class Generator;
  friend class Sequences;

  // The clock is read once, since one call asks how long the other one's result is.
  static headlane_chat_options at_one_time(headlane_chat_options options) {
    if (options.now == 0) options.now = static_cast<int64_t>(std::time(nullptr));
    return options;
  }

  std::shared_ptr<headlane_model> model_;
};

/** The instruction set that models get which are opened now.
 * @param isa as in headlane_model_options; "": the fastest there is
 * @return "ref", "avx2", ...; valid for ever
 * @throw Error for each error of headlane_isa */
inline const char* isa(const std::string& isa = "") {
  const char* name = nullptr;
  check(headlane_isa(isa.empty() ? nullptr : isa.c_str(), &name));
  return name;
}

/** Writes one .headlane file.
 * @param path of a Hugging Face model folder, or the state dict of a PyTorch module
 * @param out_path of the file to write
 * @param options see headlane_convert_options
 * @throw Error for each error of headlane_convert */
inline void convert(const std::string& path, const std::string& out_path,
                    const headlane_convert_options& options = ConvertOptions()) {
  check(headlane_convert(path.c_str(), out_path.c_str(), &options));
}

/** Writes a .headlane file anew, with its weights packed as machines read them too.
 * @param path of a .headlane file
 * @param out_path of the file to write; it may be `path`
 * @param options see headlane_pack_options
 * @throw Error for each error of headlane_pack */
inline void pack(const std::string& path, const std::string& out_path,
                 const headlane_pack_options& options = PackOptions()) {
  check(headlane_pack(path.c_str(), out_path.c_str(), &options));
}

}  // namespace v0
}  // namespace headlane

#endif  // HEADLANE_MODEL_HPP_

/** @file
 * C++: generators, which answer sources with targets.
 */
#ifndef HEADLANE_GENERATOR_HPP_
#define HEADLANE_GENERATOR_HPP_

#include <concepts>
#include <exception>
#include <headlane/batch.hpp>
#include <headlane/error.hpp>
#include <headlane/model.hpp>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

namespace headlane {
inline namespace v0 {

/** An answer to a source. */
struct Answer {
  std::span<const int32_t> ids; /**< valid until the generator is used again */
  float score = 0;              /**< as in headlane_answer */
  const char* finish_reason;    /**< likewise */
};

/** A function that Generator::generate calls for each token: with the source, the token's id, and
 * how many tokens have come; its result is void or headlane_next. */
template <typename Function>
concept OnToken = std::invocable<Function&, int64_t, int32_t, int64_t>;

/** headlane_generator: sources in, targets out. One thread at a time may use it. */
class Generator {
 public:
  /** Takes memory and threads.
   * @param model with a decoder; kept by the generator
   * @param options see headlane_generator_options
   * @throw Error for each error of headlane_generator_create */
  explicit Generator(const Model& model,
                     const headlane_generator_options& options = GeneratorOptions()) {
    headlane_generator* made = nullptr;
    check(headlane_generator_create(model.get(), &options, &made));
    generator_ = {made, Destroy{model.model_}};
  }

  /** The exact size of the block in which a generator would work.
   * @param model with a decoder
   * @param options see headlane_generator_options
   * @return bytes
   * @throw Error for each error of headlane_generator_bytes */
  static size_t bytes(const Model& model,
                      const headlane_generator_options& options = GeneratorOptions()) {
    size_t n_bytes = 0;
    check(headlane_generator_bytes(model.get(), &options, &n_bytes));
    return n_bytes;
  }

  /** Answers each source of a batch.
   * @param sources none may be empty
   * @param options see headlane_generate_options
   * @throw Error for each error of headlane_generator_generate */
  void generate(const Batch& sources,
                const headlane_generate_options& options = GenerateOptions()) {
    const headlane_batch batch = sources.get();
    check(headlane_generator_generate(get(), &batch, &options));
  }

  /** Answers each source of a batch, and tells each token as soon as it is chosen.
   * @param sources none may be empty
   * @param options see headlane_generate_options; its on_token and user are not looked at
   * @param on_token called on this thread; what it throws stops all, and is thrown on from here
   * @throw Error for each error of headlane_generator_generate; and whatever on_token throws */
  template <OnToken Function>
  void generate(const Batch& sources, const headlane_generate_options& options,
                Function&& on_token) {
    using Listening = Listener<std::remove_reference_t<Function>>;
    Listening listener{on_token, nullptr};
    headlane_generate_options with = options;
    with.on_token = Listening::call;
    with.user = &listener;
    const headlane_batch batch = sources.get();
    const headlane_status status = headlane_generator_generate(get(), &batch, &with);
    if (listener.thrown) std::rethrow_exception(listener.thrown);
    check(status);
  }

  /** How many answers a source of the last generate has.
   * @param source which source of the batch
   * @return 1 or more
   * @throw Error if there is no such source */
  int64_t n_answers(int64_t source) const { return get_answer(source, 0).n_answers; }

  /** One answer of the last generate.
   * @param source which source of the batch
   * @param rank below n_answers; 0: the best one
   * @return its ids are valid until the generator is used again
   * @throw Error if there is none */
  Answer answer(int64_t source, int64_t rank = 0) const {
    const headlane_answer found = get_answer(source, rank);
    return {{found.ids, static_cast<size_t>(found.n_ids)}, found.score, found.finish_reason};
  }

  /** Encodes sources for the steps that follow.
   * @param sources none may be empty
   * @param outputs of the encoder; its pooled must be null
   * @throw Error for each error of headlane_generator_encode */
  void encode(const Batch& sources, const headlane_outputs& outputs = Outputs()) {
    const headlane_batch batch = sources.get();
    check(headlane_generator_encode(get(), &batch, &outputs));
  }

  /** One step of the decoder.
   * @param step the next token of each target, and what is wanted
   * @throw Error for each error of headlane_generator_step */
  void step(const headlane_step& step) { check(headlane_generator_step(get(), &step)); }

  /** Ends the call that is under way, and later calls until it is set to false again. Any thread
   * may call it at any time, also while another thread is inside a call.
   * @param cancelled true: calls throw an Error of HEADLANE_CANCELLED
   * @throw Error if this was moved from */
  void set_cancelled(bool cancelled) {
    check(headlane_generator_set_cancelled(get(), cancelled ? 1 : 0));
  }

  /** The generator as the C API takes it.
   * @return as long as this lives; null if it was moved from */
  headlane_generator* get() const noexcept { return generator_.get(); }

 private:
  // The generator keeps the model until it ends itself.
  struct Destroy {
    std::shared_ptr<headlane_model> model;
    void operator()(headlane_generator* generator) const { headlane_generator_destroy(generator); }
  };

  // Exceptions must not pass through the library: what the function throws is kept until C
  // returned.
  template <typename Function>
  struct Listener {
    Function& on_token;
    std::exception_ptr thrown;

    static headlane_next call(void* user, int64_t source, int32_t id, int64_t n_tokens) noexcept {
      auto* self = static_cast<Listener*>(user);
      try {
        if constexpr (std::is_void_v<decltype(self->on_token(source, id, n_tokens))>) {
          self->on_token(source, id, n_tokens);
          return HEADLANE_GO_ON;
        } else {
          return self->on_token(source, id, n_tokens);
        }
      } catch (...) {
        self->thrown = std::current_exception();
        return HEADLANE_STOP_ALL;
      }
    }
  };

  headlane_answer get_answer(int64_t source, int64_t rank) const {
    headlane_answer answer = HEADLANE_INIT(headlane_answer);
    check(headlane_generator_get_answer(get(), source, rank, &answer));
    return answer;
  }

  std::unique_ptr<headlane_generator, Destroy> generator_;
};

}  // namespace v0
}  // namespace headlane

#endif  // HEADLANE_GENERATOR_HPP_

/** @file
 * C++: the exception, and C's structs with their size set.
 */
#ifndef HEADLANE_ERROR_HPP_
#define HEADLANE_ERROR_HPP_

#include <headlane/headlane.h>

#include <stdexcept>
#include <string>

/** Headlane for C++; see headlane.hpp. */
namespace headlane {
/** The version of these classes; see headlane.hpp. */
inline namespace v0 {

/** Every call here throws it if the C API refuses the call, or if arguments do not fit together.
 * Calls may also throw std::bad_alloc. */
class Error : public std::runtime_error {
 public:
  /** Makes an error of a kind that the C API has.
   * @param status not HEADLANE_OK
   * @param message which what() will be */
  Error(headlane_status status, const std::string& message)
      : std::runtime_error(message), status_(status) {}

  /** The kind of the error; what() is the sentence.
   * @return not HEADLANE_OK */
  headlane_status status() const noexcept { return status_; }

 private:
  headlane_status status_;
};

/** Turns a status into an exception, for calls of the C API on what get() returns.
 * @param status of a call that this thread has just made
 * @throw Error with headlane_error(), unless the status is HEADLANE_OK */
inline void check(headlane_status status) {
  if (status != HEADLANE_OK) throw Error(status, headlane_error());
}

/** One of C's structs with struct_size set and every other field at its default. */
template <typename Struct>
struct Sized : Struct {
  /** Every field at its default. */
  Sized() : Struct{} { this->struct_size = sizeof(Struct); }
};

using ThreadPool = Sized<headlane_thread_pool>;               /**< of options that have a pool */
using ModelOptions = Sized<headlane_model_options>;           /**< of Model */
using ModelFacts = Sized<headlane_model_facts>;               /**< of Model::facts */
using TensorFacts = Sized<headlane_tensor_facts>;             /**< of Model::tensor */
using LanguageFacts = Sized<headlane_language_facts>;         /**< of Model::language */
using PromptFacts = Sized<headlane_prompt_facts>;             /**< of Model::prompt */
using TokenizeOptions = Sized<headlane_tokenize_options>;     /**< of Model::tokenize */
using ChatOptions = Sized<headlane_chat_options>;             /**< of Model::tokenize_chat */
using TextArray = Sized<headlane_texts>;                      /**< of Session::embed */
using EmbedOptions = Sized<headlane_embed_options>;           /**< of Session::embed */
using LabelFacts = Sized<headlane_label_facts>;               /**< of Model::label */
using ClassifyOptions = Sized<headlane_classify_options>;     /**< of Session::classify and rank */
using ZeroShotOptions = Sized<headlane_zero_shot_options>;    /**< of Session::zero_shot */
using SessionOptions = Sized<headlane_session_options>;       /**< of Session */
using Outputs = Sized<headlane_outputs>;                      /**< of Session::encode */
using AttentionMaps = Sized<headlane_attention_maps>;         /**< of Outputs and others */
using PassFacts = Sized<headlane_pass_facts>;                 /**< of Session::pass */
using PassSpan = Sized<headlane_pass_span>;                   /**< of Session::span */
using GeneratorOptions = Sized<headlane_generator_options>;   /**< of Generator */
using GenerateOptions = Sized<headlane_generate_options>;     /**< of Generator::generate */
using Step = Sized<headlane_step>;                            /**< of Generator::step */
using SequencesOptions = Sized<headlane_sequences_options>;   /**< of Sequences */
using SequenceOptions = Sized<headlane_sequence_options>;     /**< of Sequences::add and fork */
using SequenceFacts = Sized<headlane_sequence_facts>;         /**< of Sequences::facts */
using ConstraintOptions = Sized<headlane_constraint_options>; /**< of Constraint */
using AttentionOptions = Sized<headlane_attention_options>;   /**< of Attention and LayerOptions */
using AttentionBatch = Sized<headlane_attention_batch>;       /**< of Attention::run */
using Rotary = Sized<headlane_rotary>;                        /**< of AttentionOptions */
using RelativeBias = Sized<headlane_relative_bias>;           /**< of AttentionOptions */
using LayerOptions = Sized<headlane_layer_options>;           /**< of Model::layer */
using ForwardBatch = Sized<headlane_forward_batch>;           /**< of Session::forward */
using ConvertOptions = Sized<headlane_convert_options>;       /**< of convert */
using PackOptions = Sized<headlane_pack_options>;             /**< of pack */

}  // namespace v0
}  // namespace headlane

#endif  // HEADLANE_ERROR_HPP_

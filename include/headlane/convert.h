/** @file
 * Model files from Hugging Face folders, GGUF files and PyTorch modules.
 */
#ifndef HEADLANE_CONVERT_H_
#define HEADLANE_CONVERT_H_

#include <headlane/host.h>
#include <headlane/init.h>
#include <headlane/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How weights are stored. */
typedef struct headlane_convert_options {
  size_t struct_size; /**< sizeof this struct */
  /** What weights of products and the table of words are stored in: "f32", "bf16" (half the bytes),
   * "int8" (a quarter, with a scale for each row), "int8g" (8.5 bits, with a scale for each 32
   * columns), "int6" (7 bits, with a scale for each 16 columns), "int5" and "int4" (6 and 5 bits,
   * with a scale and a minimum for each 32 columns). Everything else stays f32. Null: f32; of a
   * GGUF file, and of a folder that was quantised, each tensor is stored in as many bits as it has
   * there, of 4, 5, 6 or 8. */
  const char* precision;
  /** [n_higher_precision] names of products that stay in bf16 where others are int8 or int8g, and
   * in int8g where others are int6, int5 or int4, such as "encoder.layers.3.attention.qkv"; the
   * file's config keeps them, and they count wherever the file runs in int8. Null: those that
   * measurements chose for the kind of model. */
  const char* const* higher_precision;
  int64_t n_higher_precision; /**< how many */
  /** How the vector of a text is made: "mean" of its hidden states, "cls" (the first), "max",
   * "mean_sqrt_len_tokens" (their sum, divided by the square root of how many they are),
   * "weightedmean" (the i-th weighs i), "lasttoken", or "none": there are no vectors. Null: as the
   * folder's modules.json says; mean where there is no such file, as in sentence-transformers. It
   * is only for models that turn texts into vectors. */
  const char* pooling;
  headlane_log log; /**< told what was assumed where the folder does not say it; null: nobody */
  void* log_user;   /**< handed to log */
} headlane_convert_options;

/** Writes one .headlane file, whole or not at all. The same input gives the same bytes.
 *
 * The state dict of a PyTorch module is a folder with one .safetensors and one .json file, or the
 * .safetensors file with the .json of its name, or config.json, beside it; the names of the tensors
 * tell which module it is. The JSON has the module's arguments: d_model (or embed_dim), nhead (or
 * num_heads), norm_first, activation ("relu", "gelu"), layer_norm_eps (of a final norm too),
 * batch_first, kdim, vdim, add_zero_attn, with PyTorch's defaults; num_layers, num_encoder_layers,
 * num_decoder_layers and dim_feedforward follow from the tensors, and must agree with them if they
 * are given. It may also have causal (true: row i of x sees rows 0 to i alone) and positions, which
 * are added to the input ("none", "sinusoidal", or "learned" from the tensor positions.weight) with
 * max_positions. nn.Transformer adds them to both inputs; learned ones are src_positions.weight and
 * tgt_positions.weight.
 * @param path of a Hugging Face model folder (config.json, model.safetensors or its shards, the
 * tokenizer's files, modules.json, 1_Pooling/config.json, sentence_bert_config.json or its
 * brothers, config_sentence_transformers.json, of encoder-decoders generation_config.json), whose
 * weights may be quantised; of a GGUF file, or of the first of several that are one model; or of
 * the state dict of PyTorch's nn.MultiheadAttention, nn.TransformerEncoder(Layer),
 * nn.TransformerDecoder(Layer) or nn.Transformer
 * @param out_path of the file to write; one that is there is replaced, unless it is a file of the
 * model itself, in the folder that is converted or among the files that are read
 * @param options null: defaults
 * @return INVALID_ARGUMENT, IO, BAD_FILE, UNSUPPORTED, OUT_OF_MEMORY; after these, out_path is as
 * it was before */
HEADLANE_API headlane_status headlane_convert(const char* path, const char* out_path,
                                              const headlane_convert_options* options);

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_CONVERT_H_ */

// The modules of a sentence-transformers folder that work on the vector of a text: Pooling makes
// it, and Dense, LayerNorm, Normalize and Dropout take it from one another. Each has a folder of
// its own with a config.json and perhaps weights.
#pragma once

#include <string>
#include <vector>

#include "engine/import/source/safetensors.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/config.h"

namespace headlane {

// A module of that folder which has weights.
struct SentenceWeights {
  std::string dir;
  size_t step = 0;      // of the head
  int64_t columns = 0;  // of the vectors that the module takes
  bool has_bias = true;
};

// The modules behind the transformer make this of its hidden states.
struct SentenceHead {
  Pooling pooling = Pooling::kNone;
  std::vector<PoolingBeside> beside;
  bool leaves_out_prompt = false;
  std::vector<HeadStep> steps;
  std::vector<SentenceWeights> weights;  // of the steps that have some
};

// Adds what the module `kind` ("Pooling", "Dense", "LayerNorm", "Normalize", "Dropout") in the
// folder `dir` does. Throws Error that names the file and the field: kUnsupported, kBadFile, kIo.
void add_sentence_module(const std::string& kind, const std::string& dir, SentenceHead* head);

// Throws Error(kBadFile) where a module takes vectors of other columns than those before it make,
// which begin with so many.
void check_sentence_columns(const SentenceHead& head, int64_t columns);

// Adds the weights of the modules to the checkpoint. Throws Error as SafetensorsModel, or if a
// module's file has other tensors than the module.
void open_sentence_weights(const SentenceHead& head, SafetensorsModel* checkpoint);

// How the tensors of the head's steps are made from that checkpoint. Throws Error as Recipes.
std::vector<TensorRecipe> sentence_tensors(const SentenceHead& head, const Checkpoint& checkpoint);

}  // namespace headlane

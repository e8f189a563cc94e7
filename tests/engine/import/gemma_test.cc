// Names of the tensors of a Gemma 3 with a part for images, as two versions of transformers save
// them.
#include "engine/import/families/gemma.h"

#include <gtest/gtest.h>

namespace headlane {
namespace {

TEST(Gemma3WithImages, NamesOfTheTextPart) {
  for (const char* name : {"language_model.model.layers.3.mlp.up_proj.weight",
                           "model.language_model.layers.3.mlp.up_proj.weight"}) {
    EXPECT_EQ(gemma3_text_part_name(name), "model.layers.3.mlp.up_proj.weight");
  }
  for (const char* name : {"language_model.lm_head.weight", "lm_head.weight"}) {
    EXPECT_EQ(gemma3_text_part_name(name), "lm_head.weight");
  }
  for (const char* name : {"vision_tower.vision_model.embeddings.patch_embedding.weight",
                           "model.vision_tower.vision_model.post_layernorm.bias",
                           "multi_modal_projector.mm_input_projection_weight",
                           "model.multi_modal_projector.mm_soft_emb_norm.weight"}) {
    EXPECT_EQ(gemma3_text_part_name(name), "");
  }
  // Others stay, and are refused for what they are.
  EXPECT_EQ(gemma3_text_part_name("audio_tower.conv.weight"), "audio_tower.conv.weight");
}

}  // namespace
}  // namespace headlane

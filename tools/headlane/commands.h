// The commands. Each declares, beside its code, the options that it takes and what it runs.
#pragma once

#include "tools/headlane/options/command_line.h"

namespace tool {

void declare_convert(Command* command);
void declare_pack(Command* command);
void declare_info(Command* command);
void declare_translate(Command* command);
void declare_generate(Command* command);
void declare_chat(Command* command);
void declare_perplexity(Command* command);
void declare_embed(Command* command);
void declare_encode(Command* command);
void declare_tokenize(Command* command);
void declare_similarity(Command* command);
void declare_rank(Command* command);
void declare_classify(Command* command);
void declare_attention(Command* command);
void declare_bench(Command* command);

}  // namespace tool

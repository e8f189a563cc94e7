#include "engine/text/word_level.h"

#include "engine/base/error.h"
#include "engine/file/json_fields.h"

namespace headlane {

WordLevel::WordLevel(const Json& spec, const TokenizerTensors& /*tensors*/,
                     const Vocabulary& vocabulary, const std::string& where)
    : vocabulary_(vocabulary), unk_id_(vocabulary.find(json_string(spec, "unk_token", where))) {
  if (unk_id_ >= 0) return;
  fail(Status::kBadFile, "%s field \"unk_token\" is not in the vocabulary", where.c_str());
}

}  // namespace headlane

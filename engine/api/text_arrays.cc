#include "engine/api/text_arrays.h"

namespace headlane::c_api {

using ll = long long;

TextArray read_texts(const headlane_texts* texts, const char* name) {
  require(texts, name);
  const auto read = read_struct(texts, "headlane_texts");
  TextArray array;
  array.n_texts = read.n_texts;
  array.data = read.data;
  array.n_bytes = read.data_bytes;
  array.offsets_32 = read.offsets_32;
  array.offsets_64 = read.offsets_64;
  check_texts(array, name);
  return array;
}

TextArray read_second(const headlane_texts* second, int64_t n_texts) {
  if (second == nullptr) return {};
  const TextArray array = read_texts(second, "second");
  if (array.n_texts == n_texts) return array;
  fail(Status::kInvalidArgument, "second.n_texts is %lld; it must be as texts.n_texts, %lld",
       ll{array.n_texts}, ll{n_texts});
}

TextOptions read_prompted(const headlane_tokenize_options* options, const ModelConfig& config) {
  TextOptions result = read_text_options(options);
  const auto read = read_struct(options, "headlane_tokenize_options");
  if (read.prompt == nullptr) result.prompt = config.prompts.default_text();
  return result;
}

int64_t read_stride(int64_t stride, int64_t n_columns, bool may_be_0, const char* columns) {
  if (stride == 0 && may_be_0) return n_columns;
  if (stride >= n_columns) return stride;
  fail(Status::kInvalidArgument, "stride is %lld; it must be %sat least %lld, %s", ll{stride},
       may_be_0 ? "0, or " : "", ll{n_columns}, columns);
}

}  // namespace headlane::c_api

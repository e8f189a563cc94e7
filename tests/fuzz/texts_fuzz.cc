// Calls of the C API with many texts: vectors, scores of labels, ranks, and labels of the caller's.
// Arrays of texts, pairs, prompts, labels and hypotheses of any bytes, valid or broken in one
// place.
#include <algorithm>

#include "tests/fuzz/ragged_models.h"

namespace headlane::fuzz {
namespace {

// Texts end to end, to the byte, with offsets of 32 or 64 bits.
class TextInput {
 public:
  TextInput(Input* input, int64_t n) {
    std::vector<int64_t> offsets = {0};
    for (int64_t i = 0; i < n; ++i) {
      const int64_t length = input->one_in(6) ? input->between(0, 300) : input->between(0, 12);
      const std::string text = input->text(static_cast<size_t>(length));
      data_.insert(data_.end(), text.begin(), text.end());
      offsets.push_back(static_cast<int64_t>(data_.size()));
    }
    wide_ = offsets;
    narrow_.assign(offsets.begin(), offsets.end());
    uses_wide_ = input->flag();
  }
  int64_t size() const { return static_cast<int64_t>(wide_.size()) - 1; }
  headlane_texts get() const {
    headlane_texts texts = HEADLANE_INIT(headlane_texts);
    texts.n_texts = size();
    texts.data = data_.data();
    texts.data_bytes = static_cast<int64_t>(data_.size());
    if (uses_wide_) texts.offsets_64 = wide_.data();
    if (!uses_wide_) texts.offsets_32 = narrow_.data();
    return texts;
  }
  std::string_view text(int64_t i) const {
    const auto begin = static_cast<size_t>(wide_[i]), end = static_cast<size_t>(wide_[i + 1]);
    return {data_.data() + begin, end - begin};
  }

 private:
  std::vector<char> data_;
  std::vector<int64_t> wide_;
  std::vector<int32_t> narrow_;
  bool uses_wide_ = false;
};

// One thing that no array may have. Returns whether it is broken now.
bool break_texts(Input* input, headlane_texts* texts) {
  static const int64_t kFalling[] = {5, 3, 1};
  switch (input->between(0, 5)) {
    case 0:
      texts->struct_size = input->one_of<size_t>({0, 7, 4097, SIZE_MAX});
      return true;
    case 1:
      texts->n_texts = wrong_count(input);
      return true;
    case 2:
      texts->data_bytes = wrong_count(input);
      return true;
    case 3:
      if (texts->n_texts == 0) return false;
      texts->offsets_32 = nullptr;
      texts->offsets_64 = nullptr;
      return true;
    case 4:
      if (texts->n_texts == 0) return false;
      texts->n_texts = 2;
      texts->offsets_32 = nullptr;
      texts->offsets_64 = kFalling;
      return true;
    default:
      if (texts->data_bytes == 0) return false;
      --texts->data_bytes;
      return true;
  }
}

struct Call {
  Call(Input* input, const OpenSession& session) : texts(input, input->between(0, 7)) {
    prompt = input->text(static_cast<size_t>(input->between(0, 5)));
    tokenize.max_len = input->one_in(8) ? wrong_count(input) : input->between(0, 12);
    tokenize.truncation = static_cast<headlane_truncation>(input->between(0, 3));
    if (input->flag()) tokenize.prompt = prompt.c_str();
    given = texts.get();
    may_succeed = tokenize.max_len >= 0 && !(input->one_in(6) && break_texts(input, &given));
    columns = std::max<int64_t>(session.facts().n_labels, 1);
  }

  TextInput texts;
  headlane_texts given;
  std::string prompt;
  headlane_tokenize_options tokenize = HEADLANE_INIT(headlane_tokenize_options);
  int64_t columns;
  bool may_succeed;
};

// Nothing is written by a call that is refused; what lies between rows is never written.
void check_rows(const std::vector<float>& out, int64_t n, int64_t columns, int64_t stride,
                headlane_status status, const char* call) {
  for (size_t i = 0; i < out.size(); ++i) {
    const bool of_row = static_cast<int64_t>(i) % stride < columns;
    const bool wanted = of_row && static_cast<int64_t>(i) / stride < n && status == HEADLANE_OK;
    if (is_untouched(out[i]) == wanted) finding(call, "wrote too much or too little");
  }
}

struct Rows2D {
  Rows2D(Input* input, int64_t n, int64_t columns)
      : stride(columns + (input->one_in(3) ? input->between(1, 3) : 0)),
        data(static_cast<size_t>(std::max<int64_t>(0, (n - 1) * stride + columns))) {
    if (n == 0) data.clear();
    fill_untouched(&data);
  }
  int64_t stride;
  std::vector<float> data;
};

void run_classify(Input* input, const OpenSession& session, Call* call) {
  const TextInput second(input, call->texts.size());
  headlane_texts array = second.get();
  headlane_classify_options options = HEADLANE_INIT(headlane_classify_options);
  options.outcome = static_cast<headlane_outcome>(input->between(0, 3));
  options.tokenize = &call->tokenize;
  if (input->flag()) options.second = &array;
  Rows2D out(input, call->texts.size(), call->columns);
  const headlane_status status =
      headlane_session_classify(session.get(), &call->given, &options, out.data.data(), out.stride);
  expect(status, call->may_succeed, "classify");
  check_rows(out.data, call->texts.size(), call->columns, out.stride, status, "classify");
}

void run_rank(Input* input, const OpenSession& session, Call* call) {
  headlane_classify_options options = HEADLANE_INIT(headlane_classify_options);
  options.tokenize = &call->tokenize;
  const int64_t n = call->texts.size();
  const int64_t top_k = input->one_in(8) ? wrong_count(input) : input->between(0, 9);
  std::vector<float> scores(static_cast<size_t>(n));
  std::vector<int64_t> order(static_cast<size_t>(std::clamp<int64_t>(top_k, 0, n)), -1);
  fill_untouched(&scores);
  const headlane_status status =
      headlane_session_rank(session.get(), call->prompt.data(), call->prompt.size(), &call->given,
                            &options, scores.data(), order.data(), top_k);
  expect(status, call->may_succeed && top_k >= 0 && session.facts().n_labels == 1, "rank");
  check_rows(scores, n, 1, 1, status, "rank");
  if (status != HEADLANE_OK) return;
  for (size_t i = 0; i < order.size(); ++i) {
    if (order[i] < 0 || order[i] >= n) finding("rank", "a document that is not there");
    if (i > 0 && scores[static_cast<size_t>(order[i])] > scores[static_cast<size_t>(order[i - 1])])
      finding("rank", "out of order");
  }
}

void run_zero_shot(Input* input, const OpenSession& session, Call* call) {
  const TextInput labels(input, input->between(0, 3));
  headlane_texts array = labels.get();
  const std::string hypothesis = input->one_in(3) ? input->text(9) : "about {}";
  headlane_zero_shot_options options = HEADLANE_INIT(headlane_zero_shot_options);
  options.tokenize = &call->tokenize;
  options.hypothesis = input->flag() ? hypothesis.c_str() : nullptr;
  options.multi_label = input->flag() ? 1 : 0;
  const int64_t columns = std::max<int64_t>(labels.size(), 1);
  Rows2D out(input, call->texts.size(), columns);
  const headlane_status status = headlane_session_zero_shot(session.get(), &call->given, &array,
                                                            &options, out.data.data(), out.stride);
  const bool may = call->may_succeed && labels.size() > 0 && session.facts().has_entailment != 0;
  expect(status, may, "zero_shot");
  check_rows(out.data, call->texts.size(), columns, out.stride, status, "zero_shot");
}

void run_embed(Input* input, const OpenSession& session, Call* call) {
  const TextInput second(input, call->texts.size());
  headlane_texts array = second.get();
  headlane_embed_options options = HEADLANE_INIT(headlane_embed_options);
  options.tokenize = &call->tokenize;
  if (input->flag()) options.second = &array;
  if (input->flag()) options.pooling = input->one_of({"cls", "lasttoken", "max", "nothing"});
  options.truncate_dim = input->one_in(3) ? input->between(0, 9) : 0;
  const int64_t all = session.facts().d_model;
  const int64_t columns = options.truncate_dim > 0 ? std::min(options.truncate_dim, all) : all;
  Rows2D out(input, call->texts.size(), columns);
  const headlane_status status =
      headlane_session_embed(session.get(), &call->given, &options, out.data.data(), out.stride);
  expect(status, call->may_succeed && session.facts().n_labels == 0, "embed");
  check_rows(out.data, call->texts.size(), columns, out.stride, status, "embed");
}

// Two texts in one call, which a session must answer the same again.
std::vector<float> reference(const OpenSession& session) {
  const bool scores = session.facts().n_labels > 0;
  const int64_t columns = scores ? session.facts().n_labels : session.facts().d_model;
  std::vector<float> out(static_cast<size_t>(2 * columns));
  const int32_t offsets[] = {0, 7, 10};
  headlane_texts texts = HEADLANE_INIT(headlane_texts);
  texts.n_texts = 2;
  texts.data = "the cat we";
  texts.data_bytes = 10;
  texts.offsets_32 = offsets;
  const headlane_status status =
      scores ? headlane_session_classify(session.get(), &texts, nullptr, out.data(), columns)
             : headlane_session_embed(session.get(), &texts, nullptr, out.data(), columns);
  is_ok(status, {}, "the reference of texts");
  return out;
}

}  // namespace
}  // namespace headlane::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headlane::fuzz;  // NOLINT(google-build-using-namespace): the entry of libFuzzer
  static const OpenSession sessions[] = {{"classify/bert_nli", "f32", false},
                                         {"classify/bert_cross_encoder", "int8", false, 2},
                                         {"classify/roberta_cross_encoder", "bf16", false},
                                         {"classify/camembert_two_labels", "f32", false, 2},
                                         {"bert/head_dim_16_mean_normalize", "f32", false}};
  static Reference references[std::size(sessions)];
  Input input(data, size);
  const size_t which = input.byte() % std::size(sessions);
  const OpenSession& session = sessions[which];
  const auto check = [&] {
    references[which].check([&] { return reference(session); }, "a call with texts");
  };
  check();
  const auto run = input.one_of({run_classify, run_rank, run_zero_shot, run_embed});
  Call call(&input, session);
  run(&input, session, &call);
  check();
  return 0;
}

/* Texts in, translations out, the best two of each. Build: cc translate.c -lheadlane */
#include <headlane/headlane.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(headlane_status status) {
  if (status == HEADLANE_OK) return;
  fprintf(stderr, "%s: %s\n", headlane_status_name(status), headlane_error());
  exit(1);
}

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: translate MODEL TEXT...\n");
    return 2;
  }
  const int64_t n_texts = argc - 2;

  headlane_model* model = NULL; /* shared by any number of generators and threads */
  check(headlane_model_open(argv[1], NULL, &model));
  headlane_model_facts facts = HEADLANE_INIT(headlane_model_facts);
  check(headlane_model_get_facts(model, &facts));

  /* A ragged batch: the ids of all texts end to end, no padding. */
  int32_t* ids = malloc((size_t)(n_texts * facts.max_seq_len) * sizeof *ids);
  int64_t* offsets = calloc((size_t)n_texts + 1, sizeof *offsets);
  for (int64_t i = 0; i < n_texts; ++i) {
    const char* text = argv[i + 2];
    int64_t n_ids = 0;
    check(headlane_model_tokenize(model, text, strlen(text), NULL, ids + offsets[i],
                                  facts.max_seq_len, &n_ids));
    offsets[i + 1] = offsets[i] + n_ids;
  }

  headlane_generator_options limits = HEADLANE_INIT(headlane_generator_options);
  limits.max_sources = n_texts;
  limits.max_source_len = facts.max_seq_len;
  limits.max_source_tokens = n_texts * facts.max_seq_len;
  limits.max_beams = 4;
  size_t bytes = 0;
  check(headlane_generator_bytes(model, &limits, &bytes)); /* exact: no step allocates more */
  headlane_generator* generator = NULL;
  check(headlane_generator_create(model, &limits, &generator));

  const headlane_batch sources = {
      .struct_size = sizeof sources, .n_seqs = n_texts, .offsets = offsets, .ids = ids};
  headlane_generate_options options = HEADLANE_INIT(headlane_generate_options);
  options.n_beams = 4;
  options.n_best = 2;
  check(headlane_generator_generate(generator, &sources, &options));

  printf("%s, %zu bytes of working memory\n", facts.isa, bytes);
  for (int64_t i = 0; i < n_texts; ++i) {
    printf("%s\n", argv[i + 2]);
    for (int64_t rank = 0; rank < 2; ++rank) {
      headlane_answer answer = HEADLANE_INIT(headlane_answer);
      check(headlane_generator_get_answer(generator, i, rank, &answer));
      int64_t n_bytes = 0;
      check(headlane_model_detokenize(model, answer.ids, answer.n_ids, NULL, 0, &n_bytes));
      char* text = malloc((size_t)n_bytes + 1);
      check(headlane_model_detokenize(model, answer.ids, answer.n_ids, text, n_bytes, &n_bytes));
      printf("%8.3f  %.*s\n", (double)answer.score, (int)n_bytes, text);
      free(text);
    }
  }
  headlane_generator_destroy(generator);
  free(offsets);
  free(ids);
  headlane_model_destroy(model);
  return 0;
}

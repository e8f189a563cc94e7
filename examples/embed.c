/* Texts in, vectors out: prints how alike the first text is to each. Build: cc embed.c -lheadlane
 */
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
    fprintf(stderr, "usage: embed MODEL TEXT...\n");
    return 2;
  }
  const int64_t n_texts = argc - 2;

  headlane_model* model = NULL; /* shared by any number of sessions and threads */
  check(headlane_model_open(argv[1], NULL, &model));
  headlane_model_facts facts;
  facts.struct_size = sizeof facts;
  check(headlane_model_get_facts(model, &facts));

  headlane_session_options options = HEADLANE_SESSION_OPTIONS_INIT;
  options.max_tokens = n_texts * facts.max_seq_len;
  size_t bytes = 0;
  check(headlane_session_bytes(model, &options, &bytes)); /* exact: a run allocates nothing more */
  headlane_session* session = NULL;
  check(headlane_session_create(model, &options, &session));

  headlane_tokenize_options tokenize = HEADLANE_TOKENIZE_OPTIONS_INIT;
  tokenize.prompt = facts.default_prompt; /* what the model's makers put before texts; mostly "" */

  /* A ragged batch: the ids of all texts end to end, no padding. */
  int32_t* ids = malloc((size_t)options.max_tokens * sizeof *ids);
  int64_t* offsets = calloc((size_t)n_texts + 1, sizeof *offsets);
  for (int64_t i = 0; i < n_texts; ++i) {
    const char* text = argv[i + 2];
    int64_t n_ids = 0;
    check(headlane_tokenize_with(model, text, strlen(text), &tokenize, ids + offsets[i],
                                 facts.max_seq_len, &n_ids));
    offsets[i + 1] = offsets[i] + n_ids;
  }
  float* vectors = malloc((size_t)(n_texts * facts.d_model) * sizeof *vectors);
  const headlane_batch batch = {sizeof batch, n_texts, offsets, ids, NULL};
  const headlane_outputs outputs = {sizeof outputs, NULL, vectors, NULL};
  check(headlane_encode(session, &batch, &outputs));

  printf("%s, %zu bytes of working memory\n", facts.isa, bytes);
  for (int64_t i = 0; i < n_texts; ++i) { /* vectors have length 1: the dot product is the cosine */
    float cosine = 0;
    for (int64_t d = 0; d < facts.d_model; ++d)
      cosine += vectors[d] * vectors[i * facts.d_model + d];
    printf("%6.3f  %s\n", (double)cosine, argv[i + 2]);
  }
  free(vectors);
  free(offsets);
  free(ids);
  headlane_session_destroy(session);
  headlane_model_close(model);
  return 0;
}

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
  headlane_model_facts facts = HEADLANE_INIT(headlane_model_facts);
  check(headlane_model_get_facts(model, &facts));
  headlane_session* session = NULL; /* with a thread for each CPU */
  check(headlane_session_create(model, NULL, &session));

  /* All texts end to end, as Apache Arrow has them. */
  int64_t* offsets = calloc((size_t)n_texts + 1, sizeof *offsets);
  for (int64_t i = 0; i < n_texts; ++i) offsets[i + 1] = offsets[i] + (int64_t)strlen(argv[i + 2]);
  char* data = malloc((size_t)offsets[n_texts] + 1);
  for (int64_t i = 0; i < n_texts; ++i) strcpy(data + offsets[i], argv[i + 2]);
  headlane_texts texts = HEADLANE_INIT(headlane_texts);
  texts.n_texts = n_texts;
  texts.data = data;
  texts.data_bytes = offsets[n_texts];
  texts.offsets_64 = offsets;

  float* vectors = malloc((size_t)(n_texts * facts.d_model) * sizeof *vectors);
  check(headlane_session_embed(session, &texts, NULL, vectors, facts.d_model));

  for (int64_t i = 0; i < n_texts; ++i) { /* vectors have length 1: the dot product is the cosine */
    float cosine = 0;
    for (int64_t d = 0; d < facts.d_model; ++d)
      cosine += vectors[d] * vectors[i * facts.d_model + d];
    printf("%6.3f  %s\n", (double)cosine, argv[i + 2]);
  }
  free(vectors);
  free(data);
  free(offsets);
  headlane_session_destroy(session);
  headlane_model_destroy(model);
  return 0;
}

/* A session on the threads of the program's OpenMP: Headlane makes none. */
#include <headlane/headlane.h>
#include <headlane/openmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(headlane_status status) {
  if (status == HEADLANE_OK) return;
  fprintf(stderr, "%s\n", headlane_error());
  exit(1);
}

/* The vectors of the texts, on the threads of a pool; null: on the session's own. */
static float* embed(headlane_model* model, const headlane_texts* texts, int64_t d_model,
                    const headlane_thread_pool* pool) {
  headlane_session_options options = HEADLANE_INIT(headlane_session_options);
  options.pool = pool;
  headlane_session* session = NULL;
  check(headlane_session_create(model, &options, &session));
  float* vectors = malloc((size_t)(texts->n_texts * d_model) * sizeof *vectors);
  if (vectors == NULL) exit(1);
  check(headlane_session_embed(session, texts, NULL, vectors, 0));
  headlane_session_destroy(session);
  return vectors;
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: openmp MODEL\n");
    return 2;
  }
  const headlane_thread_pool pool = headlane_openmp_pool(0); /* as many as OpenMP has */
  headlane_model_options model_options = HEADLANE_INIT(headlane_model_options);
  model_options.pool = &pool; /* weights are packed on it */
  headlane_model* model = NULL;
  check(headlane_model_open(argv[1], &model_options, &model));
  headlane_model_facts facts = HEADLANE_INIT(headlane_model_facts);
  check(headlane_model_get_facts(model, &facts));

  const int32_t offsets[] = {0, 6, 18};
  headlane_texts texts = HEADLANE_INIT(headlane_texts);
  texts.n_texts = 2;
  texts.data = "a textanother text";
  texts.data_bytes = 18;
  texts.offsets_32 = offsets;
  float* theirs = embed(model, &texts, facts.d_model, &pool);
  float* own = embed(model, &texts, facts.d_model, NULL);
  const size_t n_bytes = (size_t)(2 * facts.d_model) * sizeof *own;
  const int same = memcmp(theirs, own, n_bytes) == 0;
  printf("on OpenMP's threads: %s\n", same ? "the same bits" : "other bits");
  free(theirs);
  free(own);
  headlane_model_destroy(model);
  return same ? 0 : 1;
}

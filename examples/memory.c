/* What a model and its sessions take, and a session in a block of the program's own.
 * Build: cc memory.c -lheadlane */
#define _POSIX_C_SOURCE 200112L
#include <headlane/headlane.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(headlane_status status) {
  if (status == HEADLANE_OK) return;
  fprintf(stderr, "%s: %s\n", headlane_status_name(status), headlane_error());
  exit(1);
}

/* What of the process is in memory: of no file, and of files. */
static void print_resident(const char* when) {
  FILE* status = fopen("/proc/self/status", "r");
  char line[256];
  printf("%s:\n", when);
  while (status && fgets(line, sizeof line, status)) {
    if (strncmp(line, "RssAnon", 7) == 0 || strncmp(line, "RssFile", 7) == 0) printf("  %s", line);
  }
  if (status) fclose(status);
}

/* The vector of one short sequence, [d_model]. */
static void encode(headlane_session* session, float* vector) {
  const int64_t offsets[] = {0, 3};
  const int32_t ids[] = {1, 2, 3};
  const headlane_batch batch = {
      .struct_size = sizeof batch, .n_seqs = 1, .offsets = offsets, .ids = ids};
  const headlane_outputs outputs = {.struct_size = sizeof outputs, .pooled = vector};
  check(headlane_session_encode(session, &batch, &outputs));
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: memory MODEL\n");
    return 2;
  }
  print_resident("at first");
  headlane_model* model = NULL;
  check(headlane_model_open(argv[1], NULL, &model));
  print_resident("with the model open");
  headlane_model_facts facts = HEADLANE_INIT(headlane_model_facts);
  check(headlane_model_get_facts(model, &facts));
  printf("%10lld bytes of file\n", (long long)facts.file_bytes);
  printf("%10lld bytes of packed weights, in %s\n", (long long)facts.packed_bytes, facts.precision);

  /* Exact, and known before anything is taken. */
  headlane_session_options options = HEADLANE_INIT(headlane_session_options);
  size_t bytes = 0;
  options.n_threads = 1;
  for (options.max_tokens = 512; options.max_tokens <= 8192; options.max_tokens *= 4) {
    check(headlane_session_bytes(model, &options, &bytes));
    printf("%10zu bytes for a session of %lld tokens\n", bytes, (long long)options.max_tokens);
  }

  /* The block may be an arena's, static, or of huge pages. */
  options.max_tokens = 512;
  check(headlane_session_bytes(model, &options, &bytes));
  if (posix_memalign(&options.memory, 64, bytes) != 0) return 1;
  options.memory_bytes = bytes;
  headlane_session *given = NULL, *own = NULL;
  check(headlane_session_create(model, &options, &given));
  options.memory = NULL;
  check(headlane_session_create(model, &options, &own));

  const size_t vector_bytes = (size_t)facts.d_model * sizeof(float);
  float *first = malloc(vector_bytes), *second = malloc(vector_bytes);
  encode(given, first);
  encode(own, second);
  print_resident("after two sessions of 512 tokens ran");
  const int same = memcmp(first, second, vector_bytes) == 0;
  printf("in the program's block: %s\n", same ? "the same bits" : "other bits");
  return same ? 0 : 1;
}

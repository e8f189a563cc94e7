/* Answers to many prompts at once, which all begin with the same instructions.
 * Build: cc sequences.c -lheadlane */
#include <headlane/headlane.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(headlane_status status) {
  if (status == HEADLANE_OK) return;
  fprintf(stderr, "%s: %s\n", headlane_status_name(status), headlane_error());
  exit(1);
}

/* Token by token, as they come: the sequences take turns. */
static headlane_next on_token(void* user, const headlane_sequence_token* token) {
  (void)user;
  printf("%lld: \"%.*s\"%s%s\n", (long long)token->sequence, (int)token->text_bytes, token->text,
         token->finish_reason ? " " : "", token->finish_reason ? token->finish_reason : "");
  return HEADLANE_GO_ON;
}

int main(int argc, char** argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: sequences MODEL INSTRUCTIONS PROMPT...\n");
    return 2;
  }
  headlane_model* model = NULL;
  check(headlane_model_open(argv[1], NULL, &model));

  headlane_sequences_options sizes = HEADLANE_INIT(headlane_sequences_options);
  sizes.max_sequences = 8; /* further ones wait */
  sizes.max_tokens = 2000;
  size_t bytes = 0;
  check(headlane_sequences_bytes(model, &sizes, &bytes)); /* exact */
  headlane_sequences* sequences = NULL;
  check(headlane_sequences_create(model, &sizes, &sequences));

  /* The instructions are computed once, and stay for all prompts that begin with them. */
  headlane_sequence_options keep = HEADLANE_INIT(headlane_sequence_options);
  keep.max_new_tokens = HEADLANE_NO_NEW_TOKENS;
  keep.keep = 1;
  int64_t instructions = 0;
  check(headlane_sequences_add_text(sequences, argv[2], strlen(argv[2]), &keep, &instructions));
  check(headlane_sequences_step(sequences, NULL));

  headlane_sequence_options options = HEADLANE_INIT(headlane_sequence_options);
  options.max_new_tokens = 6;
  options.on_token = on_token;
  int64_t last = 0;
  for (int i = 3; i < argc; ++i) { /* any thread may add some, at any time */
    char* text = malloc(strlen(argv[2]) + strlen(argv[i]) + 1);
    strcpy(text, argv[2]);
    strcat(text, argv[i]);
    check(headlane_sequences_add_text(sequences, text, strlen(text), &options, &last));
    free(text);
  }
  int64_t n_unfinished = 0;
  do {
    check(headlane_sequences_step(sequences, &n_unfinished));
  } while (n_unfinished > 0);

  headlane_sequence_facts facts = HEADLANE_INIT(headlane_sequence_facts);
  check(headlane_sequences_get(sequences, last, &facts));
  printf("of %lld tokens of the last prompt, %lld had been computed before; %zu bytes\n",
         (long long)facts.n_prompt, (long long)facts.n_shared, bytes);
  headlane_sequences_destroy(sequences);
  headlane_model_destroy(model);
  return 0;
}

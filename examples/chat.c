/* A conversation with a language model: each line of standard input is a turn.
 * Build: cc chat.c -lheadlane */
#include <headlane/headlane.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kMostTurns = 100, kMostIds = 4096 };

static void check(headlane_status status) {
  if (status == HEADLANE_OK) return;
  fprintf(stderr, "%s: %s\n", headlane_status_name(status), headlane_error());
  exit(1);
}

/* The answer while it comes: whole characters. */
static headlane_next on_token(void* user, const headlane_sequence_token* token) {
  (void)user;
  printf("%.*s", (int)token->text_bytes, token->text);
  fflush(stdout);
  return HEADLANE_GO_ON;
}

int main(int argc, char** argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: chat MODEL\n");
    return 2;
  }
  headlane_model* model = NULL;
  check(headlane_model_open(argv[1], NULL, &model));
  headlane_sequences_options sizes = HEADLANE_INIT(headlane_sequences_options);
  sizes.max_sequences = 2; /* the turn at hand, and the one before */
  sizes.max_tokens = kMostIds;
  headlane_sequences* sequences = NULL;
  check(headlane_sequences_create(model, &sizes, &sequences));

  const char* roles[kMostTurns];
  const char* contents[kMostTurns];
  headlane_chat_options conversation = HEADLANE_INIT(headlane_chat_options);
  conversation.roles = roles;
  conversation.contents = contents;
  headlane_sequence_options answer = HEADLANE_INIT(headlane_sequence_options);
  answer.max_new_tokens = 40;
  answer.keep = 1; /* the next turn begins as this one */
  answer.on_token = on_token;

  static int32_t ids[kMostIds];
  char line[1000];
  int64_t last = 0;
  while (conversation.n_messages + 2 <= kMostTurns && fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = '\0';
    char* said = malloc(strlen(line) + 1);
    strcpy(said, line);
    roles[conversation.n_messages] = "user";
    contents[conversation.n_messages++] = said;

    /* All messages so far. What they have in common with the last turn is in the cache. */
    int64_t n_ids = 0, sequence = 0, n_unfinished = 0, n_bytes = 0;
    check(headlane_model_tokenize_chat(model, &conversation, ids, kMostIds, &n_ids));
    check(headlane_sequences_add(sequences, ids, n_ids, &answer, &sequence));
    if (last != 0) check(headlane_sequences_remove(sequences, last));
    last = sequence;
    do {
      check(headlane_sequences_step(sequences, &n_unfinished));
    } while (n_unfinished > 0);
    printf("\n");

    check(headlane_sequences_get_text(sequences, sequence, NULL, 0, &n_bytes));
    char* text = calloc((size_t)n_bytes + 1, 1);
    if (n_bytes > 0) {
      check(headlane_sequences_get_text(sequences, sequence, text, n_bytes, &n_bytes));
    }
    roles[conversation.n_messages] = "assistant";
    contents[conversation.n_messages++] = text;
  }

  while (conversation.n_messages > 0) free((void*)contents[--conversation.n_messages]);
  headlane_sequences_destroy(sequences);
  headlane_model_destroy(model);
  return 0;
}

/* A multi-head attention layer from weights of your own: docs/attention.md works it out by hand.
 *
 *     cc -I include examples/layer.c -L build/lib -lheadlane -o layer
 */
#include <headlane/headlane.h>
#include <stdio.h>

#define LN3 1.0986122886681098f
enum { TOKENS = 2, D_MODEL = 4 };

static int fail(const char* what) {
  fprintf(stderr, "%s: %s\n", what, headlane_error());
  return 1;
}

static void print_rows(const char* name, const float* rows) {
  int i;
  printf("%s\n", name);
  for (i = 0; i < TOKENS * D_MODEL; ++i)
    printf("%s%.3f", i % D_MODEL ? " " : i ? "\n  " : "  ", rows[i]);
  printf("\n");
}

int main(void) {
  const float x[TOKENS * D_MODEL] = {1, 0, 0, 1, 0, 1, 1, 0};
  const float w_q[] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
  const float w_k[] = {LN3, 0, 0, 0, 0, LN3, 0, 0, 0, 0, 2 * LN3, 0, 0, 0, 0, 2 * LN3};
  const float w_v[] = {4, 0, 0, 0, 0, 4, 0, 0, 0, 0, 4, 0, 0, 0, 0, 4};
  const float w_o[] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 1, 1, 1, 1};
  float out[TOKENS * D_MODEL], p[2][TOKENS][TOKENS];
  headlane_attention_options heads = HEADLANE_INIT(headlane_attention_options);
  headlane_layer_options layer = HEADLANE_INIT(headlane_layer_options);
  headlane_session_options limits = HEADLANE_INIT(headlane_session_options);
  headlane_forward_batch batch = HEADLANE_INIT(headlane_forward_batch);
  headlane_attention_maps maps = HEADLANE_INIT(headlane_attention_maps);
  headlane_model* model;
  headlane_session* session;
  int head;

  heads.n_heads = 2;
  heads.head_dim = 2;
  heads.scale = 1;
  layer.d_model = D_MODEL;
  layer.attention = &heads;
  layer.q.weight = w_q; /* [n_heads * head_dim, d_model], as nn.Linear has it; biases are null */
  layer.k.weight = w_k;
  layer.v.weight = w_v;
  layer.out.weight = w_o;
  if (headlane_model_create_layer(&layer, NULL, &model))
    return fail("create"); /* packs the weights */

  limits.max_tokens = 64; /* as large as you will need; runs may be smaller, and allocate nothing */
  if (headlane_session_create(model, &limits, &session)) return fail("session");
  batch.n_seqs = 1;
  batch.q_len = TOKENS;
  batch.x.data = x;
  batch.out.data = out;
  maps.data = &p[0][0][0];
  maps.head_stride = TOKENS * TOKENS;
  maps.query_stride = TOKENS;
  batch.maps = &maps;
  if (headlane_session_forward(session, &batch)) return fail("forward");
  for (head = 0; head < 2; ++head) {
    printf("head %d\n  %.3f %.3f\n  %.3f %.3f\n", head, p[head][0][0], p[head][0][1], p[head][1][0],
           p[head][1][1]);
  }
  print_rows("out", out);
  headlane_session_destroy(session);

  /* Cross-attention: the same weights, keys and values from rows of their own. */
  limits.cross_attention = 1;
  if (headlane_session_create(model, &limits, &session)) return fail("session");
  batch.maps = NULL;
  batch.key.data = x + D_MODEL; /* one key: the second row */
  batch.kv_len = 1;
  if (headlane_session_forward(session, &batch)) return fail("forward");
  print_rows("out, seeing the second row alone", out);
  headlane_session_destroy(session);
  headlane_model_destroy(model);
  return 0;
}

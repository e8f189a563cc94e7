/* Attention on your own buffers: docs/attention.md works this example out by hand.
 *
 *     cc -I include examples/attention.c -L build/lib -lheadlane -o attention
 */
#include <headlane/headlane.h>
#include <stdio.h>

#define LN3 1.0986122886681098f

static int fail(const char* what) {
  fprintf(stderr, "%s: %s\n", what, headlane_error());
  return 1;
}

int main(void) {
  /* 2 tokens, 1 head of 4 columns; V has 2. */
  const float q[2 * 4] = {2, 0, 0, 0, 0, 2, 0, 0};
  const float k[2 * 4] = {LN3, 0, 0, 0, 0, LN3, 0, 0};
  const float v[2 * 2] = {4, 8, 0, 4};
  float o[2 * 2];
  headlane_attention_options options = HEADLANE_INIT(headlane_attention_options);
  headlane_attention_batch batch = HEADLANE_INIT(headlane_attention_batch);
  headlane_causal causal;

  options.n_heads = 1;
  options.head_dim = 4; /* so the scale is 1 / sqrt(4) */
  options.v_dim = 2;
  batch.n_seqs = 1;
  batch.q_len = batch.kv_len = 2;
  batch.q.data = q;
  batch.k.data = k;
  batch.v.data = v;
  batch.o.data = o;
  batch.q.token_stride = batch.k.token_stride = 4;
  batch.v.token_stride = batch.o.token_stride = 2;

  for (causal = HEADLANE_CAUSAL_NONE; causal <= HEADLANE_CAUSAL_UPPER_LEFT; ++causal) {
    headlane_attention* attention;
    options.causal = causal;
    if (headlane_attention_create(&options, &attention)) return fail("create");
    if (headlane_attention_run(attention, &batch)) return fail("run");
    headlane_attention_destroy(attention);
    printf("%s\n", causal ? "causal" : "all keys");
    printf("  %.3f %.3f\n  %.3f %.3f\n", o[0], o[1], o[2], o[3]);
  }
  return 0;
}

// Attention in bf16: what it rounds, and a problem's operands in it.
#pragma once

#include <utility>

#include "tests/support/attention_reference.h"
#include "tests/support/narrow.h"

namespace headlane::test {

using kernels::AttentionBf16Args;

// Turned rows, P and O are rounded to bf16; the exponential is right to 7.5e-5
// (attention_bf16-inl.h), and 1e-4 leaves room for its float32 roundings.
inline constexpr Roundings kBf16Roundings = {
    .turned = kBf16Eps, .exponential = 1e-4, .p = kBf16Eps, .o = kBf16Eps};

// A problem's operands in bf16. The problem itself is rounded in place, to be the reference's; what
// a test sets in its args counts.
class NarrowCopy {
 public:
  explicit NarrowCopy(Problem* p)
      : p_(*p), q(p->q.size()), k(p->k.size()), v(p->v.size()), o(p->o.size()) {
    for (const auto& [wide, narrow] : {std::pair{&p->q, &q}, {&p->k, &k}, {&p->v, &v}}) {
      for (int64_t i = 0; i < wide->size(); ++i) {
        (*narrow)[i] = nearest_bf16((*wide)[i]);
        (*wide)[i] = kernels::widen((*narrow)[i]);
      }
    }
  }

  void run(const kernels::Table& kernels) {
    GuardedFloats scratch(kernels.attention_bf16_scratch_floats(p_.args.head_dim, p_.args.v_dim));
    AttentionBf16Args args = narrow_args();
    args.scratch = scratch.data();
    kernels.attention_bf16(args);
  }

  void run_probabilities(const kernels::Table& kernels, float* p, int64_t ldp) {
    GuardedFloats scratch(kernels.attention_bf16_scratch_floats(p_.args.head_dim, p_.args.v_dim));
    AttentionBf16Args args = narrow_args();
    args.scratch = scratch.data();
    args.v = nullptr;
    args.o = nullptr;
    kernels.attention_probabilities_bf16(args, p, ldp);
  }

 private:
  AttentionBf16Args narrow_args() {
    const AttentionF32Args& a = p_.args;
    AttentionBf16Args args;
    args.q_len = a.q_len;
    args.kv_len = a.kv_len;
    args.head_dim = a.head_dim;
    args.v_dim = a.v_dim;
    args.scale = a.scale;
    args.softcap = a.softcap;
    args.q_offset = a.q_offset;
    args.window_left = a.window_left;
    args.window_right = a.window_right;
    args.causal = a.causal;
    args.prefix_len = a.prefix_len;
    args.q = q.data() + (a.q - p_.q.data());
    args.ldq = a.ldq;
    args.k = k.data() + (a.k - p_.k.data());
    args.ldk = a.ldk;
    args.v = v.data() + (a.v - p_.v.data());
    args.ldv = a.ldv;
    args.bias = a.bias;
    args.ld_bias = a.ld_bias;
    args.alibi_slope = a.alibi_slope;
    args.relative_bias = a.relative_bias;
    args.rotary = a.rotary;
    args.rotary_dims = a.rotary_dims;
    args.rotary_interleaved = a.rotary_interleaved;
    args.q_position = a.q_position;
    args.k_position = a.k_position;
    args.mask = a.mask;
    args.ld_mask = a.ld_mask;
    args.sink = a.sink;
    args.o = o.data();
    args.ldo = a.ldo;
    return args;
  }

  Problem& p_;

 public:
  Guarded<Bf16> q, k, v, o;
};

}  // namespace headlane::test

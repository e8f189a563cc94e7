// The C API's promises about runs of a layer: any layout of rows, the same bits in any company,
// exact memory, and sentences about what is wrong.
#include "tests/api/layer.h"

namespace headlane::test {
namespace {

constexpr int64_t kD = 24;

class LayerRun : public AttentionTest {
 protected:
  void SetUp() override {
    AttentionTest::SetUp();
    if (IsSkipped()) return;
    layer_.options.residual = 1;
    layer_.options.norm = HEADLANE_NORM_POST;
    layer_.fill();
    model_ = create_layer(layer_, GetParam());
    session_ = create_session(model_.get(), false, 2);
  }

  // The sequences' outputs, one behind the other, ragged.
  Floats run(const std::vector<Floats>& seqs, headlane_session* session) {
    Floats x, out;
    std::vector<int64_t> offsets = {0};
    for (const Floats& seq : seqs) {
      x.insert(x.end(), seq.begin(), seq.end());
      offsets.push_back(static_cast<int64_t>(x.size()) / kD);
    }
    out.resize(x.size());
    headlane_forward_batch batch = batch_of(x, &out);
    batch.n_seqs = static_cast<int64_t>(seqs.size());
    batch.q_offsets = offsets.data();
    check(headlane_session_forward(session, &batch));
    return out;
  }

  static headlane_forward_batch batch_of(const Floats& x, Floats* out) {
    headlane_forward_batch batch{};
    batch.struct_size = sizeof batch;
    batch.n_seqs = 1;
    batch.q_len = static_cast<int64_t>(x.size()) / kD;
    batch.x.data = x.data();
    batch.out.data = out->data();
    return batch;
  }

  std::vector<Floats> random_seqs(std::initializer_list<int64_t> lengths) {
    std::vector<Floats> seqs;
    for (const int64_t length : lengths) seqs.push_back(layer_.numbers(length * kD, 1));
    return seqs;
  }

  // The call fails so, names what is wrong, and writes nothing.
  void expect_refused(headlane_forward_batch batch, headlane_status status,
                      const std::string& named, headlane_session* session = nullptr) {
    Floats untouched(200 * kD, 7.0f);
    if (batch.out.data) batch.out.data = untouched.data();
    expect_failure(headlane_session_forward(session ? session : session_.get(), &batch), status,
                   named);
    EXPECT_EQ(std::count(untouched.begin(), untouched.end(), 7.0f), 200 * kD) << named;
  }

  Layer layer_{kD, 3, 8};
  ModelHandle model_;
  SessionHandle session_;
};

TEST_P(LayerRun, TheSameBitsInAnyCompany) {
  const std::vector<Floats> seqs = random_seqs({5, 1, 0, 40, 17, 3, 64, 9});
  const Floats together = run(seqs, session_.get());
  const SessionHandle three = create_session(model_.get(), false, 3);
  EXPECT_TRUE(same_bits(together, run(seqs, three.get())));
  Floats alone;
  for (const Floats& seq : seqs) {
    const Floats out = run({seq}, session_.get());
    alone.insert(alone.end(), out.begin(), out.end());
  }
  EXPECT_TRUE(same_bits(together, alone));
}

// Runs long enough to wake other threads: many rows, and few rows of wide layers, whose columns the
// threads share.
TEST_P(LayerRun, TheSameBitsOnAnyNumberOfThreads) {
  for (const auto& [d, n, kv] : {std::array<int64_t, 3>{64, 700, 300}, {320, 60, 90}}) {
    Layer layer(d, 4, d / 4);
    layer.options.residual = 1;
    layer.options.norm = HEADLANE_NORM_PRE;
    const ModelHandle model = create_layer(layer.fill(), GetParam());
    const Floats x = layer.numbers(n * d, 1), key = layer.numbers(kv * d, 1);
    for (const bool cross : {false, true}) {
      Floats results[3];
      for (int threads = 1; threads <= 3; ++threads) {
        Floats& out = results[threads - 1];
        out.resize(x.size());
        headlane_forward_batch batch = HEADLANE_INIT(headlane_forward_batch);
        batch.n_seqs = 1;
        batch.q_len = n;
        batch.x.data = x.data();
        batch.out.data = out.data();
        if (cross) {
          batch.key.data = key.data();
          batch.kv_len = kv;
        }
        const SessionHandle session = create_session(model.get(), cross, threads, 1024);
        check(headlane_session_forward(session.get(), &batch));
      }
      EXPECT_TRUE(same_bits(results[0], results[1])) << d << " " << cross;
      EXPECT_TRUE(same_bits(results[0], results[2])) << d << " " << cross;
    }
  }
}

// Padded rows hold NaN; strides step over more of it; padding of the output becomes 0.
TEST_P(LayerRun, PaddedRowsOnEitherSide) {
  const std::vector<Floats> seqs = random_seqs({5, 1, 0, 7});
  const Floats expected = run(seqs, session_.get());
  const int64_t len = 8, token_stride = kD + 3, seq_stride = len * token_stride + 5;
  const int64_t lengths[] = {5, 1, 0, 7};
  for (const bool left : {false, true}) {
    GuardedFloats x(4 * seq_stride), out(4 * seq_stride);
    const auto first = [&](int64_t b) { return left ? len - lengths[b] : 0; };
    for (int64_t b = 0; b < 4; ++b) {
      for (int64_t t = 0; t < lengths[b]; ++t) {
        std::copy_n(seqs[static_cast<size_t>(b)].data() + t * kD, kD,
                    x.data() + b * seq_stride + (first(b) + t) * token_stride);
      }
    }
    headlane_forward_batch batch{};
    batch.struct_size = sizeof batch;
    batch.n_seqs = 4;
    batch.q_len = len;
    batch.q_lengths = lengths;
    batch.left_padded = left;
    batch.x = {x.data(), seq_stride, token_stride};
    batch.out = {out.data(), seq_stride, token_stride};
    check(headlane_session_forward(session_.get(), &batch));
    const float* right = expected.data();
    for (int64_t b = 0; b < 4; ++b) {
      for (int64_t t = 0; t < len; ++t) {
        const float* row = out.data() + b * seq_stride + t * token_stride;
        const bool real = t >= first(b) && t < first(b) + lengths[b];
        for (int64_t c = 0; c < kD; ++c) ASSERT_EQ(row[c], real ? right[c] : 0.0f) << b << t;
        if (real) right += kD;
        EXPECT_TRUE(std::isnan(row[kD])) << "between rows";
      }
    }
  }
}

// [seq, batch, d_model], as PyTorch has it without batch_first, in place. Rows of whole vectors of
// floats are read and written where they lie, others are copied.
TEST_P(LayerRun, BatchInTheMiddleAndInPlace) {
  for (const auto& [d, len, residual] :
       {std::array<int64_t, 3>{kD, 6, 1}, {32, 6, 1}, {32, 6, 0}, {32, 150, 1}, {32, 150, 0}}) {
    SCOPED_TRACE(std::to_string(d) + " " + std::to_string(len) + " " + std::to_string(residual));
    Layer layer(d, d / 8, 8);
    layer.options.residual = static_cast<int32_t>(residual);
    layer.options.norm = HEADLANE_NORM_POST;
    const ModelHandle model = create_layer(layer.fill(), GetParam());
    const SessionHandle session = create_session(model.get(), false, 2);
    const Floats seqs = layer.numbers(3 * len * d, 1);
    Floats expected(seqs.size()), x(seqs.size());
    headlane_forward_batch batch = batch_of(seqs, &expected);
    batch.n_seqs = 3;
    batch.q_len = len;
    batch.x = {seqs.data(), len * d, d};
    batch.out = {expected.data(), len * d, d};
    check(headlane_session_forward(session.get(), &batch));
    for (int64_t e = 0; e < 3 * len * d; ++e) {
      const int64_t b = e / d % 3, t = e / d / 3;
      x[static_cast<size_t>(e)] = seqs[static_cast<size_t>((b * len + t) * d + e % d)];
    }
    batch.x = {x.data(), d, 3 * d};
    batch.out = {x.data(), d, 3 * d};
    check(headlane_session_forward(session.get(), &batch));
    for (int64_t e = 0; e < 3 * len * d; ++e) {
      const int64_t b = e / d % 3, t = e / d / 3;
      ASSERT_EQ(x[static_cast<size_t>(e)],
                expected[static_cast<size_t>((b * len + t) * d + e % d)]);
    }
  }
}

// A session with rows of their own for keys, given none, attends to x.
TEST_P(LayerRun, CrossAttentionToItself) {
  const std::vector<Floats> seqs = random_seqs({5, 9});
  const SessionHandle cross = create_session(model_.get(), true, 2);
  EXPECT_TRUE(same_bits(run(seqs, session_.get()), run(seqs, cross.get())));
}

TEST_P(LayerRun, NoKeysGiveTheBiasOfTheProjection) {
  const SessionHandle cross = create_session(model_.get(), true);
  const Floats x = layer_.numbers(2 * kD, 1);
  Floats out(x.size());
  headlane_forward_batch batch = batch_of(x, &out);
  batch.key.data = x.data();
  batch.kv_len = 0;
  check(headlane_session_forward(cross.get(), &batch));
  for (const float value : out) EXPECT_TRUE(std::isfinite(value));
}

// NaN in one sequence stays there.
TEST_P(LayerRun, NanStaysInItsSequence) {
  std::vector<Floats> seqs = random_seqs({4, 6, 5});
  const Floats before = run(seqs, session_.get());
  seqs[1][3 * kD + 2] = NAN;
  const Floats after = run(seqs, session_.get());
  for (size_t e = 0; e < before.size(); ++e) {
    const bool its = e >= 4 * kD && e < 10 * kD;
    EXPECT_EQ(std::isnan(after[e]), its) << e;
    if (!its) {
      EXPECT_EQ(after[e], before[e]) << e;
    }
  }
}

TEST_P(LayerRun, MemoryIsExact) {
  headlane_session_options options = HEADLANE_INIT(headlane_session_options);
  options.max_tokens = 64;
  options.n_threads = 2;
  for (const int cross : {0, 1}) {
    options.cross_attention = cross;
    size_t bytes = 0;
    check(headlane_session_bytes(model_.get(), &options, &bytes));
    Guarded<char> memory(static_cast<int64_t>((bytes + 63) / 64 * 64));
    headlane_session_options mine = options;
    mine.memory = memory.data();
    mine.memory_bytes = bytes;
    headlane_session* session = nullptr;
    check(headlane_session_create(model_.get(), &mine, &session));
    const SessionHandle owner(session);
    const std::vector<Floats> seqs = random_seqs({40, 24});
    EXPECT_TRUE(same_bits(run(seqs, session), run(seqs, session_.get())));
    mine.memory_bytes = bytes - 1;
    expect_failure(headlane_session_create(model_.get(), &mine, &session),
                   HEADLANE_INVALID_ARGUMENT, "memory_bytes");
  }
}

TEST_P(LayerRun, WhatIsWrongIsNamed) {
  const Floats x = layer_.numbers(8 * kD, 1);
  Floats out(x.size());
  const headlane_forward_batch good = batch_of(x, &out);
  headlane_forward_batch bad = good;
  bad.x.data = nullptr;
  expect_refused(bad, HEADLANE_INVALID_ARGUMENT, "x.data is null");
  bad = good;
  bad.out.data = nullptr;
  expect_refused(bad, HEADLANE_INVALID_ARGUMENT, "out.data is null");
  bad = good;
  bad.n_seqs = -1;
  expect_refused(bad, HEADLANE_INVALID_ARGUMENT, "n_seqs is -1");
  bad = good;
  bad.q_len = -4;
  expect_refused(bad, HEADLANE_INVALID_ARGUMENT, "q_len is -4");
  bad = good;
  const int64_t lengths[] = {9};
  bad.q_lengths = lengths;
  expect_refused(bad, HEADLANE_INVALID_ARGUMENT, "q_lengths[0] is 9");
  bad = good;
  const int64_t offsets[] = {0, 5, 3};
  bad.n_seqs = 2;
  bad.q_offsets = offsets;
  expect_refused(bad, HEADLANE_INVALID_ARGUMENT, "q_offsets[2] is 3");
  bad = good;
  bad.out.token_stride = kD - 1;
  expect_refused(bad, HEADLANE_INVALID_ARGUMENT, "strides of out overlap");
  bad = good;
  bad.key.data = x.data();
  expect_refused(bad, HEADLANE_INVALID_ARGUMENT, "key is given");
  bad = good;
  bad.kv_len = 4;
  expect_refused(bad, HEADLANE_INVALID_ARGUMENT, "kv_len is given");
  bad = good;
  bad.q_len = 513;
  expect_refused(bad, HEADLANE_TOO_LARGE, "513");
  headlane_attention_maps maps = HEADLANE_INIT(headlane_attention_maps);
  bad = good;
  bad.maps = &maps;
  expect_refused(bad, HEADLANE_INVALID_ARGUMENT, "maps.data");
  maps.data = out.data();
  maps.first_head = 3;
  expect_refused(bad, HEADLANE_INVALID_ARGUMENT, "heads from 3 on");
  maps.first_head = 0;
  maps.first_layer = 1;
  expect_refused(bad, HEADLANE_INVALID_ARGUMENT, "layers from 1 on");
  maps.first_layer = 0;
  maps.query_stride = 8;
  expect_refused(bad, HEADLANE_INVALID_ARGUMENT, "strides of maps overlap");
  maps.head_stride = 64;
  maps.query_stride = 7;
  expect_refused(bad, HEADLANE_INVALID_ARGUMENT, "strides of maps overlap");
  const int64_t one[] = {1};  // whose map is the last row of those that the batch has
  bad.q_lengths = one;
  bad.left_padded = 1;
  maps.query_stride = INT64_MAX;
  expect_refused(bad, HEADLANE_INVALID_ARGUMENT, "no memory is as large");
  const headlane_batch tokens{.struct_size = sizeof tokens, .offsets = offsets};
  const headlane_outputs outputs{.struct_size = sizeof outputs, .hidden = out.data()};
  expect_failure(headlane_session_encode(session_.get(), &tokens, &outputs), HEADLANE_UNSUPPORTED,
                 "headlane_session_forward");
}

// Memory of other sizes than x cannot be x.
TEST_P(LayerRun, MemoryThatIsMissing) {
  Layer layer(kD, 3, 8);
  layer.options.kdim = 10;
  layer.options.vdim = 12;
  const ModelHandle model = create_layer(layer.fill(), GetParam());
  headlane_session_options options = HEADLANE_INIT(headlane_session_options);
  headlane_session* none = nullptr;
  expect_failure(headlane_session_create(model.get(), &options, &none), HEADLANE_INVALID_ARGUMENT,
                 "cross_attention");
  const SessionHandle session = create_session(model.get(), true);
  const Floats x = layer.numbers(8 * kD, 1);
  Floats out(x.size());
  headlane_forward_batch bad = batch_of(x, &out);
  expect_refused(bad, HEADLANE_INVALID_ARGUMENT, "key.data is null, and x", session.get());
  bad.kv_len = 3;
  expect_refused(bad, HEADLANE_INVALID_ARGUMENT, "value.data is null, and key", session.get());
  bad.value.data = x.data();
  expect_refused(bad, HEADLANE_INVALID_ARGUMENT, "key.data is null", session.get());
  bad.key.data = x.data();
  bad.kv_len = 513;
  expect_refused(bad, HEADLANE_TOO_LARGE, "513 keys", session.get());
}

TEST_P(LayerRun, LayersThatCannotBe) {
  const auto refused = [&](const Layer& layer, const std::string& named,
                           headlane_status status = HEADLANE_INVALID_ARGUMENT) {
    headlane_model* model = nullptr;
    expect_failure(headlane_model_create_layer(&layer.options, nullptr, &model), status, named);
    EXPECT_EQ(model, nullptr);
  };
  const auto changed = [&](auto change, const std::string& named) {
    Layer layer(kD, 3, 8);
    layer.fill();
    change(layer);
    refused(layer, named);
  };
  changed([](Layer& l) { l.options.d_model = 0; }, "d_model");
  changed([](Layer& l) { l.options.kdim = -3; }, "kdim");
  changed([](Layer& l) { l.options.attention = nullptr; }, "attention is null");
  changed([](Layer& l) { l.options.q.weight = nullptr; }, "q.weight is null");
  changed([](Layer& l) { l.options.out.weight = nullptr; }, "out.weight is null");
  changed([](Layer& l) { l.options.qkv = l.options.q; }, "qkv is given");
  changed([](Layer& l) { l.options.norm = HEADLANE_NORM_PRE; }, "norm_weight is null");
  changed([](Layer& l) { l.options.norm_weight = l.options.q.weight; }, "norm_weight is given");
  changed([](Layer& l) { l.options.norm_bias = l.options.q.weight; },
          "norm_bias is given, but norm is NONE");
  changed([](Layer& l) { l.options.norm = static_cast<headlane_norm>(3); }, "norm is 3");
  for (const float bad :
       {-1.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    changed([&](Layer& l) { l.options.norm_eps = bad; }, "norm_eps");
  }
  changed([](Layer& l) { l.options.bilinear = l.options.q.weight; }, "bilinear is given");
  changed([](Layer& l) { l.attention.n_heads = 0; }, "n_heads is 0");
  changed([](Layer& l) { l.attention.n_kv_heads = 2; }, "n_kv_heads is 2");
  changed([](Layer& l) { l.attention.head_dim = 257; }, "head_dim is 257");
  changed([](Layer& l) { l.attention.n_threads = 1; }, "n_threads");
  changed([](Layer& l) { l.attention.score = HEADLANE_SCORE_ADDITIVE; }, "additive is null");
  changed([](Layer& l) { l.attention.score = HEADLANE_SCORE_BILINEAR; }, "bilinear is null");
  changed([](Layer& l) { l.attention.additive = l.options.q.weight; }, "additive is given");
  changed(
      [](Layer& l) {
        l.attention.score = HEADLANE_SCORE_DOT;
        l.attention.scale = 2;
      },
      "scale is 2, but dot product scores have none");
  headlane_rotary rotary = HEADLANE_INIT(headlane_rotary);
  changed([&](Layer& l) { l.attention.rotary = &rotary; }, "rotary.max_positions is 0");
  rotary.max_positions = 64;
  rotary.dims = 5;
  changed([&](Layer& l) { l.attention.rotary = &rotary; }, "rotary.dims is 5");
  rotary.dims = 4;
  changed(
      [&](Layer& l) {
        l.attention.rotary = &rotary;
        l.attention.score = HEADLANE_SCORE_ADDITIVE;
      },
      "rotary positions are for dot products");
}

// Sequences beyond the tables of positions are refused where the session is made.
TEST_P(LayerRun, PositionTablesEnd) {
  headlane_rotary rotary = HEADLANE_INIT(headlane_rotary);
  rotary.max_positions = 16;
  Layer layer(kD, 3, 8);
  layer.attention.rotary = &rotary;
  const ModelHandle model = create_layer(layer.fill(), GetParam());
  const SessionHandle session = create_session(model.get(), false);
  Floats x(17 * kD), out(17 * kD);
  expect_refused(batch_of(x, &out), HEADLANE_TOO_LARGE, "17", session.get());
  headlane_session_options options = HEADLANE_INIT(headlane_session_options);
  options.max_len = 17;
  headlane_session* none = nullptr;
  expect_failure(headlane_session_create(model.get(), &options, &none), HEADLANE_INVALID_ARGUMENT,
                 "max_len is 17");
}

HEADLANE_FOR_EACH_ISA(LayerRun);

}  // namespace
}  // namespace headlane::test

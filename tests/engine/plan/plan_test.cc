#include "engine/plan/plan.h"

#include <gtest/gtest.h>

#include <set>

#include "engine/base/error.h"
#include "engine/import/huggingface.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

using Where = Place::Where;

// A small BERT: 1 layer, 3 heads of 16, d_ff 100, mean pooling.
class PlanTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string path = temp_.file("model.headlane");
    convert_huggingface(HEADLANE_GOLDEN_DIR "/bert/head_dim_16_mean_normalize", path, {});
    container_ = std::make_unique<Container>(Container::open(path));
    config_ = ModelConfig::from_json(container_->config(), path);
    graph_ = build_graph({config_, *container_, *kernels::select("ref"), Precision::kF32, &packed_},
                         Part::kMain);
  }
  Plan plan(int64_t max_tokens, int64_t l2_bytes = 1 << 20) const {
    Limits limits;
    limits.max_tokens = max_tokens;
    limits.max_seqs = 10;
    limits.max_len = 64;
    limits.n_threads = 2;
    return make_plan(graph_, *kernels::select("ref"), limits, l2_bytes);
  }

  TempDir temp_;
  std::unique_ptr<Container> container_;
  ModelConfig config_;
  PackedWeights packed_;
  Graph graph_;
};

TEST_F(PlanTest, ALayerIsTwoPasses) {
  const Plan p = plan(128);
  std::vector<std::vector<std::string>> names;
  for (const Pass& pass : p.passes) {
    names.emplace_back();
    for (const Step& step : pass.steps) names.back().push_back(step.op->name());
  }
  const std::vector<std::vector<std::string>> expected = {
      {"embed", "layer_norm", "linear"},
      {"attention"},
      {"linear", "layer_norm", "linear", "linear", "layer_norm"},
      {"pool"}};
  EXPECT_EQ(names, expected);
  EXPECT_TRUE(p.passes[0].row_wise);
  EXPECT_FALSE(p.passes[1].row_wise);
  EXPECT_FALSE(p.passes[2].for_pooled);
  EXPECT_TRUE(p.passes[3].for_pooled);
}

// By hand, floats a token: Q K V takes 144, x and the context 48 each. While attention runs, x, Q K
// V and the context live; then x, the context and the new hidden states, of which the last takes
// the place of Q K V. Embedding sums, attention's projection and all of the feed-forward are never
// whole.
TEST_F(PlanTest, ArenaHoldsWhatPassesExchange) {
  const Plan p = plan(100);
  EXPECT_EQ(p.arena_floats, 100 * (144 + 48 + 48));
  EXPECT_EQ(p.passes[0].steps[0].output.where, Where::kBlock);
  EXPECT_EQ(p.passes[0].steps[1].output.where, Where::kArena);  // the residual of the next pass
  EXPECT_EQ(p.passes[0].steps[2].output.where, Where::kArena);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(p.passes[2].steps[i].output.where, Where::kBlock) << i;
  EXPECT_EQ(p.passes[2].steps[4].output.where, Where::kArena);
  EXPECT_EQ(p.passes[3].steps[0].output.where, Where::kPooled);
  EXPECT_EQ(p.hidden.offset, p.passes[2].steps[4].output.offset);
}

TEST_F(PlanTest, BlockRowsFollowTheCache) {
  // The widest moment of a block: x1 (48), the hidden 100 (112 padded), the result (48): 208
  // floats.
  // Whole strips of 3 rows, which are the reference kernels'.
  EXPECT_EQ(plan(100, 64 * 208 * 4).block_rows, 63);
  EXPECT_EQ(plan(100, 1).block_rows, 33);
  EXPECT_EQ(plan(100, 1 << 30).block_rows, 126);
  EXPECT_GE(plan(100, 64 * 208 * 4).scratch_floats, 63 * 208);
}

// No op reads and writes the same memory, and nothing that lives is overwritten: every value that a
// step reads is where the step that made it put it, and no step in between wrote there.
TEST_F(PlanTest, NothingAliveIsOverwritten) {
  const int64_t tokens = 64;
  const Plan p = plan(tokens);
  struct Written {
    int64_t begin, end;
  };
  const auto extent = [&](const Place& place) {
    return Written{place.offset, place.offset + tokens * place.ld};
  };
  for (const Pass& reader : p.passes) {
    for (const Step& step : reader.steps) {
      for (const Place& input : step.inputs) {
        if (input.where != Where::kArena || step.output.where != Where::kArena) continue;
        const Written in = extent(input), out = extent(step.output);
        EXPECT_TRUE(in.end <= out.begin || out.end <= in.begin) << step.op->name();
      }
    }
  }
}

// A kept value has memory of its own, and an op without an output is a pass that writes nowhere.
TEST_F(PlanTest, WhatIsKeptIsNeverOverwritten) {
  const int64_t tokens = 64;
  const int64_t before = plan(tokens).arena_floats;
  graph_.kept = {graph_.ops[2]->output};  // Q K V, which the hidden states would replace
  const Plan p = plan(tokens);
  ASSERT_EQ(p.kept.size(), 1u);
  EXPECT_EQ(p.kept[0].where, Where::kArena);
  EXPECT_EQ(p.kept[0].offset, p.passes[0].steps[2].output.offset);
  EXPECT_EQ(p.arena_floats, before + tokens * 48);
  const int64_t end = p.kept[0].offset + tokens * p.kept[0].ld;
  EXPECT_TRUE(p.hidden.offset + tokens * p.hidden.ld <= p.kept[0].offset || end <= p.hidden.offset);
}

TEST_F(PlanTest, AnOpMayLeaveNothing) {
  const PackedWeight weight;
  graph_.add_last(std::make_unique<TopLogits>(&weight), {graph_.hidden});
  const int64_t n_passes = static_cast<int64_t>(plan(64).passes.size());
  const Pass last = plan(64).passes[static_cast<size_t>(n_passes) - 1];
  EXPECT_FALSE(last.for_pooled);
  ASSERT_EQ(last.steps.size(), 1u);
  EXPECT_EQ(last.steps[0].output.where, Where::kNone);
  EXPECT_EQ(last.steps[0].inputs[0].offset, plan(64).hidden.offset);
}

// A row op on pooled vectors has other rows than one on tokens: a pass of its own, over sequences.
TEST_F(PlanTest, RowsOfSequencesAreAPassOfTheirOwn) {
  const auto norm = [&] {
    return std::make_unique<Norm>(48, container_->f32("encoder.embeddings.norm.weight", {48}),
                                  container_->f32("encoder.embeddings.norm.bias", {48}), 1e-5f,
                                  false);
  };
  graph_.add(norm(), {graph_.pooled}, Rows::kSeqs, 48);
  graph_.add(norm(), {graph_.hidden}, Rows::kTokens, 48);
  const Plan p = plan(128);
  ASSERT_EQ(p.passes.size(), 6u);
  EXPECT_EQ(p.passes[2].rows, Rows::kTokens);
  EXPECT_EQ(p.passes[4].rows, Rows::kSeqs);
  EXPECT_EQ(p.passes[5].rows, Rows::kTokens);
}

// A classifier's products are one pass over sequences, which writes the caller's rows.
TEST_F(PlanTest, AClassifierIsTwoPasses) {
  const std::string path = temp_.file("classifier.headlane");
  convert_huggingface(HEADLANE_GOLDEN_DIR "/classify/bert_regression", path, {});
  const Container container = Container::open(path);
  const ModelConfig config = ModelConfig::from_json(container.config(), path);
  PackedWeights packed;
  graph_ = build_graph({config, container, *kernels::select("ref"), Precision::kF32, &packed},
                       Part::kMain);
  const Plan p = plan(128);
  const Pass &pooled = p.passes[p.passes.size() - 2], &last = p.passes.back();
  EXPECT_FALSE(p.passes[p.passes.size() - 3].for_pooled);
  EXPECT_TRUE(pooled.for_pooled);
  EXPECT_EQ(pooled.steps[0].output.where, Where::kArena);
  EXPECT_TRUE(last.for_pooled);
  EXPECT_TRUE(last.row_wise);
  EXPECT_EQ(last.rows, Rows::kSeqs);
  ASSERT_EQ(last.steps.size(), 3u);
  EXPECT_EQ(last.steps[0].output.where, Where::kBlock);
  EXPECT_EQ(last.steps[2].output.where, Where::kPooled);
  EXPECT_EQ(last.steps[2].output.ld, 1);
}

TEST_F(PlanTest, TooManyInputsAreRefused) {
  graph_.ops.back()->inputs.assign(kMaxInputs + 1, graph_.hidden);
  EXPECT_THROW(plan(128), Error);
}

TEST_F(PlanTest, MemoryGrowsWithTokensAlone) {
  EXPECT_EQ(plan(2000).arena_floats, 20 * plan(100).arena_floats);
  EXPECT_EQ(plan(2000).scratch_floats, plan(100).scratch_floats);
}

}  // namespace
}  // namespace headlane

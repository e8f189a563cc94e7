#include "engine/graph/experts.h"

namespace headlane {

ValueId add_experts(GraphBuilder* graph, const StackConfig& config, const std::string& name,
                    ValueId x, ValueId shared) {
  const ExpertsConfig& experts = config.experts;
  const int64_t d = graph->cols_of(x);
  const Rows rows = graph->rows_of(x);
  const std::string products = name + ".experts";
  const GraphBuilder::ExpertRange gates = {experts.n, 2 * experts.d_ff, 0, experts.d_ff};
  const GraphBuilder::ExpertRange ups = {experts.n, 2 * experts.d_ff, experts.d_ff, experts.d_ff};
  const GraphBuilder::ExpertRange downs = {experts.n, d, 0, d};
  ExpertWeights gate = graph->experts(products + ".up", gates, d);
  ExpertWeights up = graph->experts(products + ".up", ups, d);
  ExpertWeights down = graph->experts(products + ".down", downs, experts.d_ff);
  const float* bias = experts.choice_bias
                          ? graph->weights().f32(name + ".router.choice_bias", {experts.n})
                          : nullptr;

  const ValueId operand = graph->operand(x, up.front()->precision);
  const ValueId logits =
      graph->dense(name + ".router", x, experts.router_rows(), Activation::kNone);
  const ValueId choices = graph->add(std::make_unique<ChooseExperts>(experts, bias), {logits}, rows,
                                     ChooseExperts::cols(experts));
  auto gather = std::make_unique<GatherExpertRows>(experts.n, experts.chosen, rows);
  const ValueId expert_rows =
      graph->add(std::move(gather), {choices}, rows, ExpertRows::cols(experts.n, experts.chosen));
  const ExpertTasks tasks = {experts.n, experts.chosen, rows};
  auto up_op = std::make_unique<ExpertsUp>(tasks, std::move(gate), std::move(up),
                                           kernel_of(config.activation), experts.clamp);
  const ValueId wide =
      graph->add(std::move(up_op), {operand, expert_rows}, rows, tasks.cols(experts.d_ff));
  auto down_op = std::make_unique<ExpertsDown>(tasks, std::move(down));
  const ValueId results =
      graph->add(std::move(down_op), {wide, expert_rows, choices}, rows, tasks.cols(d));
  std::vector<ValueId> inputs = {results};
  if (shared >= 0) inputs.insert(inputs.end(), {choices, shared});
  auto sum = std::make_unique<AddExperts>(d, experts.chosen);
  return graph->add(std::move(sum), std::move(inputs), rows, d);
}

}  // namespace headlane

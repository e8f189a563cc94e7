// A mixture of experts stands for the feed-forward of a layer: a router chooses a few of many small
// feed-forwards anew for each row, and their sum, weighted as the router says, is the result.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/spec/enum_names.h"

namespace headlane {

// Makes scores of a row's logits, one of each expert.
enum class ExpertScore {
  kSoftmax,  // of all experts
  kSigmoid,
};
// The score of a group of experts is that of its best one, or the sum of its two best.
enum class GroupScore { kBest, kBestTwo };

// Experts are cut into `n` groups of equal size, and those chosen belong to the `chosen` best ones.
struct ExpertGroups {
  int64_t n = 1;
  int64_t chosen = 1;
  GroupScore score = GroupScore::kBest;
};

// One more feed-forward, which each row goes through. `gated`: its result is multiplied by the
// sigmoid of a logit, which is the router's row behind those of the experts.
struct SharedExpert {
  int64_t d_ff = 0;  // 0: there is none
  bool gated = false;
};

// Bounds what an expert multiplies: with g = min(gate, limit) and u = up between -limit and limit,
// its hidden row is g * sigmoid(slope * g) * (u + 1). The activation is SiLU then.
struct ExpertClamp {
  float limit = 0;  // 0: there is none
  float slope = 1;
};

// Tells whether a layer has experts, or one feed-forward.
struct LayerExperts {
  bool experts = true;
};

struct ExpertsConfig {
  int64_t n = 0;       // of a layer; 0: no layer has experts
  int64_t chosen = 0;  // of each row
  int64_t d_ff = 0;    // of an expert
  ExpertScore score = ExpertScore::kSoftmax;
  // A number for each expert, "choice_bias" of the file, is added to its score where experts are
  // chosen, and not where they are weighted.
  bool choice_bias = false;
  ExpertGroups groups;
  // The weight of an expert is its score, divided by the sum of the chosen ones' scores if
  // `normalized`, and multiplied by `scale`.
  bool normalized = false;
  float scale = 1;
  ExpertClamp clamp;
  SharedExpert shared;
  std::vector<LayerExperts> layers;  // layer i has layers[i % n]; none: all layers have experts

  // Tells whether layer i has experts.
  bool in_layer(int64_t i) const {
    return n != 0 && (layers.empty() || layers[static_cast<size_t>(i) % layers.size()].experts);
  }
  int64_t router_rows() const { return n + (shared.gated ? 1 : 0); }
  // Throws Error(kBadFile) that names the first two fields that do not go together.
  void check(const std::string& where) const;
};

class FieldVisitor;
void visit_fields(ExpertGroups* groups, FieldVisitor* fields);
void visit_fields(ExpertClamp* clamp, FieldVisitor* fields);
void visit_fields(SharedExpert* shared, FieldVisitor* fields);
void visit_fields(LayerExperts* layer, FieldVisitor* fields);
void visit_fields(ExpertsConfig* experts, FieldVisitor* fields);

}  // namespace headlane

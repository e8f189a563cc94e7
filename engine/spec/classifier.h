// A classifier's scores: their labels, and how people want to read them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace headlane {

// How scores that people read are made of what the head's last step gives.
enum class Outcome {
  kRaw,      // as they are
  kSigmoid,  // 1 / (1 + e^-x), each by itself
  kSoftmax,  // e^x / sum of e^x over all labels
};

const char* name_of(Outcome outcome);  // as in the .headlane header: "raw", "sigmoid", "softmax"

// The row of a sequence that scores are made of, where the pooling is that of the last token.
struct ScoredRow {
  int32_t passed_over = -1;  // the last token that is another one; -1: the last token
};

struct ClassifierConfig {
  std::vector<std::string> labels;  // their names, one or more
  Outcome outcome = Outcome::kRaw;
  // The label which says that the second text of a pair follows from the first; -1: there is none.
  int32_t entailment = -1;
  ScoredRow row = {};

  int64_t n_labels() const { return std::ssize(labels); }
  // The label which says that it contradicts the first, by custom: the first label, or the last one
  // where the first is the other's.
  int64_t contradiction() const { return entailment == 0 ? n_labels() - 1 : 0; }
};

// Throws Error(kBadFile) that names the first field out of range. `where` names the object in the
// message.
void check_classifier(const ClassifierConfig& classifier, const std::string& where);

class FieldVisitor;
void visit_fields(ScoredRow* row, FieldVisitor* fields);
void visit_fields(ClassifierConfig* classifier, FieldVisitor* fields);

}  // namespace headlane

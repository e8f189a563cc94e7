#include "engine/spec/classifier.h"

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/spec/enum_names.h"
#include "engine/spec/fields.h"

namespace headlane {
namespace {

using ll = long long;

constexpr EnumName<Outcome> kOutcomes[] = {
    {Outcome::kRaw, "raw"}, {Outcome::kSigmoid, "sigmoid"}, {Outcome::kSoftmax, "softmax"}};

}  // namespace

const char* name_of(Outcome outcome) { return find_name(kOutcomes, outcome); }

// Programs in C read labels as null-terminated strings.
void check_classifier(const ClassifierConfig& classifier, const std::string& where) {
  if (classifier.labels.empty()) {
    fail(Status::kBadFile, "%s field \"labels\" has no label", where.c_str());
  }
  for (const std::string& label : classifier.labels) {
    if (std::ssize(label) > file_limits::kLabelBytes) {
      fail(Status::kBadFile, "%s field \"labels\" has a label of %zu bytes, more than %lld",
           where.c_str(), label.size(), ll{file_limits::kLabelBytes});
    }
    if (label.find('\0') != std::string::npos) {
      fail(Status::kBadFile, "%s field \"labels\" has a label with a NUL byte, \"%s\"",
           where.c_str(), printable(label).c_str());
    }
  }
  if (classifier.entailment >= -1 && classifier.entailment < classifier.n_labels()) return;
  fail(Status::kBadFile, "%s field \"entailment\" is %d; there are %lld labels, and -1 is none",
       where.c_str(), classifier.entailment, ll{classifier.n_labels()});
}

void visit_fields(ScoredRow* row, FieldVisitor* fields) {
  fields->id("passed_over", &row->passed_over);
}

void visit_fields(ClassifierConfig* classifier, FieldVisitor* fields) {
  fields->names("labels", &classifier->labels, file_limits::kLabels);
  fields->choice("outcome", &classifier->outcome, kOutcomes);
  fields->id("entailment", &classifier->entailment);
  fields->optional("row", &classifier->row, classifier->row.passed_over >= 0);
}

}  // namespace headlane

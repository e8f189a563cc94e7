#include "tools/headlane/options/constraint_options.h"

#include "tools/headlane/text/whole_file.h"

namespace tool {

std::optional<headlane::Constraint> ConstraintOptions::make(const Model& model) const {
  if (!schema.empty()) return headlane::Constraint::schema(model, read_whole_file(schema));
  if (regex) return headlane::Constraint::regex(model, *regex);
  return std::nullopt;
}

void add_constraint(Command* command, ConstraintOptions* options) {
  const Option* schema = command->file(
      "--schema", &options->schema, "Answers are JSON that the JSON schema of this file accepts");
  command
      ->text("--regex", &options->regex, "Answers are what this regular expression fits as a whole")
      ->excludes(schema);
}

}  // namespace tool

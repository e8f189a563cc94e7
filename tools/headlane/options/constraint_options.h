// Options that say what answers of a language model must be like.
#pragma once

#include <optional>
#include <string>

#include "tools/headlane/options/command_line.h"
#include "tools/headlane/options/run_options.h"

namespace tool {

struct ConstraintOptions {
  std::string schema;  // a file
  std::optional<std::string> regex;

  bool is_given() const { return !schema.empty() || regex.has_value(); }
  // None where no option asks for one.
  std::optional<headlane::Constraint> make(const Model& model) const;
};

void add_constraint(Command* command, ConstraintOptions* options);

}  // namespace tool

/** @file
 * C++: constraints on what a language model answers.
 */
#ifndef HEADLANE_CONSTRAINT_HPP_
#define HEADLANE_CONSTRAINT_HPP_

#include <headlane/constraint.h>

#include <headlane/error.hpp>
#include <headlane/model.hpp>
#include <memory>
#include <string_view>

namespace headlane {
inline namespace v0 {

/** headlane_constraint: its get() is for the options of sequences and of Generator::generate. */
class Constraint {
 public:
  /** Makes a constraint.
   * @param model with a decoder and a tokenizer
   * @param options see headlane_constraint_options
   * @throw Error for each error of headlane_constraint_create */
  Constraint(const Model& model, const headlane_constraint_options& options) {
    headlane_constraint* made = nullptr;
    check(headlane_constraint_create(model.get(), &options, &made));
    constraint_.reset(made);
  }

  /** Answers that a JSON schema accepts.
   * @param model with a decoder and a tokenizer
   * @param schema JSON
   * @return the constraint
   * @throw Error for each error of headlane_constraint_create */
  static Constraint schema(const Model& model, std::string_view schema) {
    ConstraintOptions options;
    options.schema = schema.data() ? schema.data() : "";
    options.schema_bytes = schema.size();
    return Constraint(model, options);
  }

  /** Answers that a regular expression fits as a whole.
   * @param model with a decoder and a tokenizer
   * @param regex UTF-8
   * @return the constraint
   * @throw Error for each error of headlane_constraint_create */
  static Constraint regex(const Model& model, std::string_view regex) {
    ConstraintOptions options;
    options.regex = regex.data() ? regex.data() : "";
    options.regex_bytes = regex.size();
    return Constraint(model, options);
  }

  /** The handle of the C API.
   * @return it stays the constraint's */
  const headlane_constraint* get() const { return constraint_.get(); }

 private:
  struct Destroy {
    void operator()(headlane_constraint* constraint) const {
      headlane_constraint_destroy(constraint);
    }
  };
  std::unique_ptr<headlane_constraint, Destroy> constraint_;
};

}  // namespace v0
}  // namespace headlane

#endif  // HEADLANE_CONSTRAINT_HPP_

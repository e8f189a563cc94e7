// A chat template as a tree.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/chat/value.h"

namespace headlane::chat {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct Expression {
  enum class Kind {
    kConstant,
    kName,
    kList,       // of the operands
    kTuple,      // likewise
    kMap,        // operands are keys and values by turns
    kAttribute,  // operand.name
    kItem,       // operand[operand]
    kSlice,      // operand[operand:operand:operand], of which all but the first may be null
    kCall,       // operand(arguments)
    kFilter,     // operand|name(arguments)
    kTest,       // operand is name(arguments)
    kNot,
    kNegative,
    kPositive,
    kAnd,
    kOr,
    kCondition,  // operands: then, if, else; the last one may be null
    kCompare,    // operands, with operators between them
    kBinary,     // operand name operand
    kConcat,     // of the operands' texts
  };

  Kind kind = Kind::kConstant;
  int64_t line = 1;
  int64_t depth = 1;  // of the tree below it
  std::string name;
  Datum constant;
  std::vector<ExpressionPtr> operands;
  std::vector<ExpressionPtr> arguments;
  std::vector<std::pair<std::string, ExpressionPtr>> named_arguments;
  std::vector<std::string> operators;
};

struct Statement;
using Body = std::vector<std::unique_ptr<Statement>>;

struct Statement {
  enum class Kind {
    kText,
    kPrint,     // expression
    kIf,        // each condition with its body; one without a condition is "else"
    kFor,       // names in expression, if condition: body, else other
    kSet,       // names, or name.member, = expression
    kSetBlock,  // names = the text of body, after the filters of expression, if there are any
    kMacro,     // name(parameters): body
    kFilter,    // the text of body, after the filters of expression
    kWith,      // names = expressions of the conditions: body
    kGroup,     // body alone
    kBreak,
    kContinue,
  };

  Kind kind = Kind::kText;
  int64_t line = 1;
  MarkedText text;
  ExpressionPtr expression;
  std::vector<std::string> names;
  std::string member;                     // of the namespace names[0]; "": the name itself is set
  std::vector<ExpressionPtr> conditions;  // of a macro, the defaults of its last parameters
  std::vector<Body> bodies;
};

// A template, and all that it writes by itself: text and strings.
struct Syntax {
  Body body;
  std::vector<std::string> literals;
};

// Throws Error, whose sentence names the line: kInvalidArgument for what is no template,
// kUnsupported for a statement that Headlane does not have, kTooLarge for one that nests too deep.
Syntax parse_template(std::string_view source);

}  // namespace headlane::chat

// The statements of a template.
#include <algorithm>
#include <utility>

#include "engine/base/error.h"
#include "engine/chat/expression_parser.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"

namespace headlane::chat {
namespace {

using StatementKind = Statement::Kind;
using StatementPtr = std::unique_ptr<Statement>;

class TemplateParser : private ExpressionParser {
 public:
  TemplateParser(std::vector<Token> tokens, std::vector<std::string>* literals)
      : ExpressionParser(std::move(tokens), literals) {}

  Body whole() {
    Body body = statements({});
    if (token().kind != TokenKind::kEnd) fail_unexpected("a statement");
    return body;
  }

 private:
  StatementPtr make(StatementKind kind) const {
    auto statement = std::make_unique<Statement>();
    statement->kind = kind;
    statement->line = token().line;
    return statement;
  }

  [[noreturn]] void fail_unsupported(const std::string& what) const {
    fail(Status::kUnsupported, "line %lld: the template has %s, which is not supported",
         static_cast<long long>(token().line), what.c_str());
  }

  void expect(TokenKind kind, const char* wanted) {
    if (token().kind != kind) fail_unexpected(wanted);
    take();
  }
  void end_block() { expect(TokenKind::kBlockEnd, "the end of the tag"); }

  // Statements until a block begins with one of these names, which stands next then.
  Body statements(const std::vector<std::string_view>& ends) {
    if (++depth_ > file_limits::kChatDepth) {
      fail(Status::kTooLarge, "line %lld: statements nest deeper than %lld levels",
           static_cast<long long>(token().line), static_cast<long long>(file_limits::kChatDepth));
    }
    Body body;
    while (token().kind != TokenKind::kEnd) {
      const bool is_block = token().kind == TokenKind::kBlockBegin;
      const auto ends_here = [&](std::string_view name) { return next_token().text == name; };
      if (is_block && std::any_of(ends.begin(), ends.end(), ends_here)) break;
      body.push_back(statement());
    }
    if (token().kind == TokenKind::kEnd && !ends.empty()) {
      fail_here("the template ends where \"" + std::string(ends.back()) + "\" should be");
    }
    if (!ends.empty()) take();
    --depth_;
    return body;
  }

  // The statements of a block that has names of its own, and its last tag.
  Body block(std::string_view end) {
    end_block();
    ++scopes_;
    Body body = statements({end});
    --scopes_;
    take();
    // Jinja lets the name of a macro stand behind its end.
    if (end == "endmacro" && token().kind == TokenKind::kName) take();
    end_block();
    return body;
  }

  StatementPtr statement() {
    if (token().kind == TokenKind::kText) {
      StatementPtr text = make(StatementKind::kText);
      literals()->push_back(token().text);
      text->text = MarkedText(take().text);
      return text;
    }
    if (token().kind == TokenKind::kBlockBegin) {
      take();
      return tag();
    }
    take();
    StatementPtr print = make(StatementKind::kPrint);
    print->expression = without_safe(tuple());
    expect(TokenKind::kPrintEnd, "\"}}\"");
    return print;
  }

  // Nothing is escaped, so what is printed is the same with it and without.
  static ExpressionPtr without_safe(ExpressionPtr expression) {
    const bool is_safe =
        expression->kind == Expression::Kind::kFilter && expression->name == "safe";
    return is_safe ? std::move(expression->operands[0]) : std::move(expression);
  }

  StatementPtr tag() {
    using Parse = StatementPtr (TemplateParser::*)();
    constexpr std::pair<const char*, Parse> kTags[] = {
        {"if", &TemplateParser::read_if},
        {"for", &TemplateParser::read_for},
        {"set", &TemplateParser::read_set},
        {"macro", &TemplateParser::read_macro},
        {"filter", &TemplateParser::read_filter},
        {"with", &TemplateParser::read_with},
        {"generation", &TemplateParser::read_generation}};
    const std::string name = expect_name();
    for (const auto& [tag, parse] : kTags) {
      if (name == tag) return (this->*parse)();
    }
    if (name == "break" || name == "continue") {
      if (loops_ == 0) fail_here("\"" + name + "\" stands in no loop");
      StatementPtr leave = make(name == "break" ? StatementKind::kBreak : StatementKind::kContinue);
      end_block();
      return leave;
    }
    constexpr std::string_view kOthers[] = {"include", "import", "from",       "extends", "block",
                                            "call",    "do",     "autoescape", "trans",   "debug"};
    if (std::find(std::begin(kOthers), std::end(kOthers), name) != std::end(kOthers)) {
      fail_unsupported("a statement \"" + name + "\"");
    }
    fail_here("there is no statement \"" + printable(name) + "\" here");
  }

  StatementPtr read_if() {
    StatementPtr result = make(StatementKind::kIf);
    result->conditions.push_back(tuple(false));
    while (true) {
      end_block();
      result->bodies.push_back(statements({"elif", "else", "endif"}));
      const std::string name = take().text;
      if (name == "endif") break;
      if (result->conditions.size() < result->bodies.size()) fail_here("an \"else\" is not last");
      if (name == "elif") result->conditions.push_back(tuple(false));
    }
    end_block();
    return result;
  }

  // Names, in brackets or not.
  std::vector<std::string> target(bool* is_tuple) {
    const bool brackets = skip_operator("(");
    std::vector<std::string> names = {expect_name()};
    *is_tuple = brackets;
    while (skip_operator(",")) {
      *is_tuple = true;
      if (token().kind == TokenKind::kName && !is_name("in")) names.push_back(expect_name());
    }
    if (brackets) expect_operator(")");
    return names;
  }

  StatementPtr read_for() {
    StatementPtr loop = make(StatementKind::kFor);
    bool is_tuple = false;
    loop->names = target(&is_tuple);
    if (is_tuple && loop->names.size() == 1) fail_unsupported("a tuple of one name");
    if (!skip_name("in")) fail_unexpected("\"in\"");
    loop->expression = tuple(false);
    if (skip_name("if")) loop->conditions.push_back(expression());
    if (is_name("recursive")) fail_unsupported("a loop that is recursive");
    end_block();
    ++loops_;
    ++scopes_;
    loop->bodies.push_back(statements({"else", "endfor"}));
    --loops_;
    if (take().text == "else") {
      end_block();
      loop->bodies.push_back(statements({"endfor"}));
      take();
    }
    --scopes_;
    end_block();
    return loop;
  }

  StatementPtr read_set() {
    StatementPtr set = make(StatementKind::kSet);
    bool is_tuple = false;
    set->names = target(&is_tuple);
    if (is_tuple && set->names.size() == 1) fail_unsupported("a tuple of one name");
    if (!is_tuple && skip_operator(".")) set->member = expect_name();
    if (skip_operator("=")) {
      set->expression = tuple();
      end_block();
      return set;
    }
    if (is_tuple) fail_unexpected("\"=\"");
    set->kind = StatementKind::kSetBlock;
    set->expression = filters(nothing());
    set->bodies.push_back(block("endset"));
    return set;
  }

  // Stands for the text that filters are put over.
  static ExpressionPtr nothing() { return std::make_unique<Expression>(); }

  StatementPtr read_macro() {
    // It would have to see the names that are set there; here it sees those of the template only.
    if (scopes_ > 0) fail_unsupported("a macro inside a loop, a macro or a block with names");
    StatementPtr macro = make(StatementKind::kMacro);
    macro->names.push_back(expect_name());
    expect_operator("(");
    while (!skip_operator(")")) {
      if (macro->names.size() > 1) expect_operator(",");
      macro->names.push_back(expect_name());
      if (skip_operator("=")) {
        macro->conditions.push_back(expression());
      } else if (!macro->conditions.empty()) {
        fail_here("a parameter without a default follows one that has one");
      }
    }
    macro->bodies.push_back(block("endmacro"));
    return macro;
  }

  StatementPtr read_filter() {
    StatementPtr filter = make(StatementKind::kFilter);
    filter->expression = filters(filter_without_sign(nothing()));
    filter->bodies.push_back(block("endfilter"));
    return filter;
  }

  StatementPtr read_with() {
    StatementPtr with = make(StatementKind::kWith);
    while (token().kind != TokenKind::kBlockEnd) {
      if (!with->names.empty()) expect_operator(",");
      with->names.push_back(expect_name());
      expect_operator("=");
      with->conditions.push_back(expression());
    }
    with->bodies.push_back(block("endwith"));
    return with;
  }

  // It marks what a model answered, for training.
  StatementPtr read_generation() {
    StatementPtr group = make(StatementKind::kGroup);
    group->bodies.push_back(block("endgeneration"));
    return group;
  }

  int64_t depth_ = 0;
  int64_t loops_ = 0;
  int64_t scopes_ = 0;  // in which what is set is not known outside
};

}  // namespace

Syntax parse_template(std::string_view source) {
  Syntax syntax;
  syntax.body = TemplateParser(read_tokens(source), &syntax.literals).whole();
  return syntax;
}

}  // namespace headlane::chat

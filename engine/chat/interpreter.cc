#include "engine/chat/interpreter.h"

#include <deque>
#include <memory>

#include "engine/base/error.h"
#include "engine/chat/evaluator.h"
#include "engine/chat/operations.h"

namespace headlane::chat {
namespace {

// How statements end.
enum class Flow { kNext, kBreak, kContinue };

class Interpreter {
 public:
  Interpreter(const std::vector<std::pair<std::string, Datum>>& variables, int64_t now)
      : globals_(nullptr), root_(&globals_) {
    for (auto& [name, value] : global_functions(now, work(), &namespaces_)) {
      globals_.set(name, value);
    }
    for (const auto& [name, value] : variables) globals_.set(name, value);
  }

  MarkedText run(const Body& body) try {
    MarkedText out;
    execute(body, &root_, &out);
    return out;
  } catch (const RaisedError&) {
    throw;
  } catch (const Error& error) {
    throw Error(error.status(), "line " + std::to_string(evaluator_.line()) +
                                    " of the chat template: " + error.what());
  }

 private:
  Work* work() { return evaluator_.work(); }
  Datum evaluate(const ExpressionPtr& expression, const Scope& scope) {
    return evaluator_.evaluate(*expression, scope);
  }

  Flow execute(const Body& body, Scope* scope, MarkedText* out) {
    const Work::Depth depth(work());
    for (const std::unique_ptr<Statement>& statement : body) {
      const Flow flow = execute(*statement, scope, out);
      if (flow != Flow::kNext) return flow;
    }
    return Flow::kNext;
  }

  void write(const MarkedText& text, MarkedText* out) {
    work()->take(static_cast<int64_t>(text.size()));
    out->append(text);
  }

  Flow execute(const Statement& statement, Scope* scope, MarkedText* out) {
    using Kind = Statement::Kind;
    work()->step();
    evaluator_.set_line(statement.line);
    switch (statement.kind) {
      case Kind::kText:
        write(statement.text, out);
        break;
      case Kind::kPrint:
        print(statement, *scope, out);
        break;
      case Kind::kIf:
        return choose(statement, scope, out);
      case Kind::kFor:
        loop(statement, *scope, out);
        break;
      case Kind::kSet:
        set(statement, scope);
        break;
      case Kind::kSetBlock:
        assign(statement, filtered_body(statement, *scope), scope);
        break;
      case Kind::kMacro:
        scope->set(statement.names[0], macro(statement));
        break;
      case Kind::kFilter:
        write(text_of(filtered_body(statement, *scope)), out);
        break;
      case Kind::kWith:
        return with(statement, *scope, out);
      case Kind::kGroup: {
        Scope inner(scope);
        return execute(statement.bodies[0], &inner, out);
      }
      case Kind::kBreak:
        return Flow::kBreak;
      case Kind::kContinue:
        return Flow::kContinue;
    }
    return Flow::kNext;
  }

  void print(const Statement& statement, const Scope& scope, MarkedText* out) {
    const Datum value = evaluate(statement.expression, scope);
    work()->take(value.is_text() ? 0 : value.weight());
    write(text_of(value), out);
  }

  Flow choose(const Statement& statement, Scope* scope, MarkedText* out) {
    for (size_t i = 0; i < statement.bodies.size(); ++i) {
      const bool holds =
          i >= statement.conditions.size() || evaluate(statement.conditions[i], *scope).is_true();
      if (holds) return execute(statement.bodies[i], scope, out);
    }
    return Flow::kNext;
  }

  void set_names(const std::vector<std::string>& names, const Datum& value, Scope* scope) {
    if (names.size() == 1) return scope->set(names[0], value);
    const std::vector<Datum> items = items_of(value, work());
    if (items.size() != names.size()) {
      fail(Status::kInvalidArgument, "%zu names are set to %zu values", names.size(), items.size());
    }
    for (size_t i = 0; i < names.size(); ++i) scope->set(names[i], items[i]);
  }

  void assign(const Statement& statement, const Datum& value, Scope* scope) {
    if (statement.member.empty()) return set_names(statement.names, value, scope);
    const Datum* names = scope->find(statement.names[0]);
    if (names == nullptr || !names->is_namespace()) {
      fail(Status::kInvalidArgument, "a member of \"%s\" is set, which is no namespace",
           statement.names[0].c_str());
    }
    check_member(statement.member);
    names->names()->members.set(MarkedText(statement.member), value);
  }

  void set(const Statement& statement, Scope* scope) {
    assign(statement, evaluate(statement.expression, *scope), scope);
  }

  Datum filtered_body(const Statement& statement, const Scope& scope) {
    Scope inner(&scope);
    MarkedText text;
    execute(statement.bodies[0], &inner, &text);
    return evaluator_.filtered_by(*statement.expression, text, scope);
  }

  Flow with(const Statement& statement, const Scope& scope, MarkedText* out) {
    Scope inner(&scope);
    for (size_t i = 0; i < statement.names.size(); ++i) {
      inner.set(statement.names[i], evaluate(statement.conditions[i], scope));
    }
    return execute(statement.bodies[0], &inner, out);
  }

  // The items of a loop that pass its condition.
  std::vector<Datum> looped(const Statement& statement, const Scope& scope) {
    std::vector<Datum> all = items_of(evaluate(statement.expression, scope), work());
    if (statement.conditions.empty()) return all;
    std::vector<Datum> kept;
    for (Datum& item : all) {
      Scope inner(&scope);
      set_names(statement.names, item, &inner);
      if (evaluate(statement.conditions[0], inner).is_true()) kept.push_back(std::move(item));
    }
    return kept;
  }

  void loop(const Statement& statement, const Scope& scope, MarkedText* out) {
    auto items = std::make_shared<ValueList>();
    items->items = looped(statement, scope);
    if (items->items.empty() && statement.bodies.size() > 1) {
      Scope inner(&scope);
      execute(statement.bodies[1], &inner, out);
    }
    if (items->items.empty()) return;
    work()->take(256);
    loops_.push_back({});
    Loop& state = loops_.back();
    state.items = items;
    state.depth = ++loop_depth_;
    for (const Datum& item : items->items) {
      Scope inner(&scope);
      inner.set("loop", &state);
      set_names(statement.names, item, &inner);
      if (execute(statement.bodies[0], &inner, out) == Flow::kBreak) break;
      if (++state.index == std::ssize(items->items)) --state.index;
    }
    --loop_depth_;
  }

  Datum macro(const Statement& statement) {
    const auto call = [this, &statement](const Arguments& arguments) {
      return called(statement, arguments);
    };
    return std::make_shared<const Function>(Function{statement.names[0], call});
  }

  Datum called(const Statement& macro, const Arguments& arguments) {
    const std::vector<std::string> names(macro.names.begin() + 1, macro.names.end());
    const Parameters read("the macro " + macro.names[0], arguments, names);
    Scope scope(&root_);
    const size_t n_plain = names.size() - macro.conditions.size();
    for (size_t i = 0; i < names.size(); ++i) {
      if (read.has(i)) {
        scope.set(names[i], read.value(i));
      } else if (i < n_plain) {
        scope.set(names[i], Datum::undefined("\"" + names[i] + "\""));
      } else {
        scope.set(names[i], evaluate(macro.conditions[i - n_plain], scope));
      }
    }
    const int64_t loop_depth = std::exchange(loop_depth_, 0);
    MarkedText text;
    execute(macro.bodies[0], &scope, &text);
    loop_depth_ = loop_depth;
    return text;
  }

  Evaluator evaluator_;
  std::deque<Namespace> namespaces_;
  std::deque<Loop> loops_;
  int64_t loop_depth_ = 0;
  Scope globals_, root_;  // gone before what their values point to
};

}  // namespace

MarkedText run_template(const Syntax& syntax,
                        const std::vector<std::pair<std::string, Datum>>& variables, int64_t now) {
  return Interpreter(variables, now).run(syntax.body);
}

}  // namespace headlane::chat

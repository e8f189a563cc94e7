#include "engine/chat/interpreter.h"

#include <deque>
#include <functional>
#include <memory>
#include <utility>

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
        return loop(statement, *scope, out);
      case Kind::kSet:
        set(statement, scope);
        break;
      case Kind::kSetBlock:
        return set_block(statement, scope);
      case Kind::kMacro:
        scope->set(statement.names[0], macro(statement));
        break;
      case Kind::kFilter:
        return filter(statement, *scope, out);
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

  // The text of a block that "break" or "continue" leaves is gone, as in Jinja.
  Flow filtered_body(const Statement& statement, const Scope& scope, Datum* value) {
    Scope inner(&scope);
    MarkedText text;
    const Flow flow = execute(statement.bodies[0], &inner, &text);
    if (flow == Flow::kNext) *value = evaluator_.filtered_by(*statement.expression, text, scope);
    return flow;
  }

  Flow set_block(const Statement& statement, Scope* scope) {
    Datum value;
    const Flow flow = filtered_body(statement, *scope, &value);
    if (flow == Flow::kNext) assign(statement, value, scope);
    return flow;
  }

  Flow filter(const Statement& statement, const Scope& scope, MarkedText* out) {
    Datum value;
    const Flow flow = filtered_body(statement, scope, &value);
    if (flow == Flow::kNext) write(text_of(value), out);
    return flow;
  }

  Flow with(const Statement& statement, const Scope& scope, MarkedText* out) {
    Scope inner(&scope);
    for (size_t i = 0; i < statement.names.size(); ++i) {
      inner.set(statement.names[i], evaluate(statement.conditions[i], scope));
    }
    return execute(statement.bodies[0], &inner, out);
  }

  // This adds an item to those of a loop with a condition, which is asked when an item is wanted:
  // what the loop did before may change the answer.
  std::function<bool()> asking(const Statement& statement, const Scope& scope,
                               std::vector<Datum> all, Datum::List kept) {
    return [this, &statement, &scope, all = std::move(all), kept = std::move(kept),
            next = size_t{0}, asks = false]() mutable {
      if (std::exchange(asks, true)) {
        fail(Status::kInvalidArgument, "the condition of a loop asks for the loop's items");
      }
      while (next < all.size()) {
        const Datum item = all[next++];
        Scope inner(&scope);
        set_names(statement.names, item, &inner);
        if (!evaluate(statement.conditions[0], inner).is_true()) continue;
        kept->items.push_back(item);
        asks = false;
        return true;
      }
      asks = false;
      return false;
    };
  }

  // A namespace may hold a loop that has ended.
  static void end(Loop* loop, Flow flow) {
    const bool has_all = loop->add_item == nullptr || flow != Flow::kBreak;
    loop->add_item = nullptr;
    if (has_all) return;
    loop->add_item = []() -> bool {
      fail(Status::kUnsupported,
           "a loop with a condition is asked for items after a \"break\", which is not supported");
    };
  }

  Flow loop(const Statement& statement, const Scope& scope, MarkedText* out) {
    work()->take(256);
    loops_.push_back({});
    Loop& state = loops_.back();
    auto items = std::make_shared<ValueList>();
    state.items = items;
    std::vector<Datum> all = items_of(evaluate(statement.expression, scope), work());
    if (statement.conditions.empty()) {
      items->items = std::move(all);
    } else {
      state.add_item = asking(statement, scope, std::move(all), items);
    }
    const auto has_item = [&](int64_t i) {
      return i < std::ssize(items->items) || (state.add_item && state.add_item());
    };
    if (!has_item(0)) {
      end(&state, Flow::kNext);
      return otherwise(statement, scope, out);
    }
    state.depth = ++loop_depth_;
    Flow flow = Flow::kNext;
    while (true) {
      const Datum item = items->items[static_cast<size_t>(state.index)];
      Scope inner(&scope);
      inner.set("loop", &state);
      set_names(statement.names, item, &inner);
      flow = execute(statement.bodies[0], &inner, out);
      if (flow == Flow::kBreak || !has_item(state.index + 1)) break;
      ++state.index;
    }
    --loop_depth_;
    end(&state, flow);
    return Flow::kNext;
  }

  // The "else" of a loop that has no items. "break" there leaves the loop around.
  Flow otherwise(const Statement& loop, const Scope& scope, MarkedText* out) {
    if (loop.bodies.size() < 2) return Flow::kNext;
    Scope inner(&scope);
    return execute(loop.bodies[1], &inner, out);
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

#include "tools/headlane/trace.h"

#include "tools/headlane/library.h"

namespace tool {

Json trace_events(const headlane_session* session, int process, const std::string& name) {
  Json events = Json::array();
  events.add(Json::object("ph", "M", "name", "process_name", "pid", process, "args",
                          Json::object("name", name)));
  headlane_pass_facts facts = HEADLANE_INIT(headlane_pass_facts);
  facts.n_passes = 1;
  for (int64_t i = 0; i < facts.n_passes; ++i) {
    check(headlane_session_get_pass(session, i, &facts));
    for (int64_t thread = 0; thread < facts.n_threads; ++thread) {
      headlane_pass_span span = HEADLANE_INIT(headlane_pass_span);
      check(headlane_session_get_span(session, i, thread, &span));
      if (span.begin == span.end) continue;
      constexpr double kMicroseconds = 1e6;
      events.add(Json::object("ph", "X",                         //
                              "name", facts.name,                //
                              "pid", process,                    //
                              "tid", thread,                     //
                              "ts", kMicroseconds * span.begin,  //
                              "dur", kMicroseconds * (span.end - span.begin)));
    }
  }
  return events;
}

}  // namespace tool

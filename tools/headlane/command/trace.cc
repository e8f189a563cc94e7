#include "tools/headlane/command/trace.h"

namespace tool {

Json trace_events(const Session& session, int process, const std::string& name) {
  Json events = Json::array();
  events.add(Json::object("ph", "M", "name", "process_name", "pid", process, "args",
                          Json::object("name", name)));
  const int64_t n_passes = session.pass(0).n_passes;
  for (int64_t i = 0; i < n_passes; ++i) {
    const headlane::PassFacts facts = session.pass(i);
    for (int64_t thread = 0; thread < facts.n_threads; ++thread) {
      const headlane::PassSpan span = session.span(i, thread);
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

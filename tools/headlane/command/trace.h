// The last run of a session as a timeline.
#pragma once

#include <string>

#include "tools/headlane/options/run_options.h"
#include "tools/headlane/output/json.h"

namespace tool {

// Events in the trace format of Chrome (chrome://tracing, Perfetto): a track for each thread, a bar
// for its part of each pass. `process` numbers the session among others of the same file, `name`
// names it. The session must have run with its profile on.
Json trace_events(const Session& session, int process, const std::string& name);

}  // namespace tool

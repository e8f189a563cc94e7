// Runs a chat template.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/chat/marked_text.h"
#include "engine/chat/syntax.h"

namespace headlane::chat {

// What the template writes. `variables` are what it finds by name, beside Jinja's functions; `now`
// is the time that it may ask for, in seconds since 1970. Throws Error whose sentence names the
// line: kInvalidArgument also for what the template raises, kUnsupported, kTooLarge for one that
// takes more than file_limits say.
MarkedText run_template(const Syntax& syntax,
                        const std::vector<std::pair<std::string, Datum>>& variables, int64_t now);

}  // namespace headlane::chat

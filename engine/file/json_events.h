// JSON from a text, piece by piece, for who does not want the tree that parse_json makes.
#pragma once

#include <string>
#include <string_view>

#include "engine/file/json.h"

namespace headlane {

class JsonEvents {
 public:
  virtual ~JsonEvents() = default;

  // A value that is neither an array nor an object.
  virtual void scalar(Json value) = 0;
  // A number with a fraction or an exponent, or an integer beyond 64 bits; `written` is its text.
  virtual void number(double value, const std::string& written) = 0;
  virtual void begin(bool is_object) = 0;  // an array, or an object
  virtual void key(std::string name) = 0;  // of the next value, which may be there already
  virtual void end() = 0;
};

// Throws as parse_json does, except for keys, and what `events` throws.
void read_json_events(std::string_view text, const std::string& where, JsonEvents* events);

}  // namespace headlane

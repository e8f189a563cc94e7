// What a schema may say of a string: a format by its name, or a regular expression.
#pragma once

#include <string>
#include <string_view>

#include "engine/constraint/expression.h"

namespace headlane {

// The string without its quotation marks. Both throw Error, whose sentence begins with `where`.
ExpressionId string_format(std::string_view name, const std::string& where,
                           Expressions* expressions);
ExpressionId string_pattern(std::string_view pattern, const std::string& where,
                            Expressions* expressions);

}  // namespace headlane

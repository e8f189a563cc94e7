// Filters that go through items. All are as `filtered` of operations.h has them.
#pragma once

#include "engine/chat/operations.h"

namespace headlane::chat {

Datum first_item(const Datum& value, const Arguments& arguments, Work* work);
Datum last_item(const Datum& value, const Arguments& arguments, Work* work);
Datum join_items(const Datum& value, const Arguments& arguments, Work* work);
Datum list_items(const Datum& value, const Arguments& arguments, Work* work);
Datum map_items(const Datum& value, const Arguments& arguments, Work* work);
Datum sort_map(const Datum& value, const Arguments& arguments, Work* work);
Datum reverse_items(const Datum& value, const Arguments& arguments, Work* work);
Datum sort_items(const Datum& value, const Arguments& arguments, Work* work);
Datum unique_items(const Datum& value, const Arguments& arguments, Work* work);
Datum least_item(const Datum& value, const Arguments& arguments, Work* work);
Datum largest_item(const Datum& value, const Arguments& arguments, Work* work);
Datum sum_items(const Datum& value, const Arguments& arguments, Work* work);
Datum map_each(const Datum& value, const Arguments& arguments, Work* work);
Datum select_items(const Datum& value, const Arguments& arguments, Work* work);
Datum reject_items(const Datum& value, const Arguments& arguments, Work* work);
Datum select_by_member(const Datum& value, const Arguments& arguments, Work* work);
Datum reject_by_member(const Datum& value, const Arguments& arguments, Work* work);

}  // namespace headlane::chat

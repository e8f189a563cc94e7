// Every slot of the kernels' table: the slowest row and the fastest on the same problems.
#include <vector>

#include "tests/fuzz/rows.h"

namespace headlane::fuzz {
namespace {

std::vector<Row> all_rows() {
  std::vector<Row> rows;
  for (const auto& of_file : {product_rows(), attention_rows(), other_rows()}) {
    rows.insert(rows.end(), of_file.begin(), of_file.end());
  }
  return rows;
}

}  // namespace
}  // namespace headlane::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headlane::fuzz;  // NOLINT(google-build-using-namespace): the entry of libFuzzer
  static const std::vector<Row> kRows = all_rows();
  Input input(data, size);
  const size_t which = input.byte() % kRows.size();
  Problems problems(&input);
  kRows[which].compare(&problems);
  return 0;
}

#include "tools/headlane/commands.h"

namespace tool {

void convert(const ConvertOptions& options) {
  headlane_convert_options to = HEADLANE_CONVERT_OPTIONS_INIT;
  to.precision = options.precision.c_str();
  std::vector<const char*> keep;
  for (const std::string& name : options.keep) keep.push_back(name.c_str());
  const char* none = nullptr;
  if (options.keep_none || !keep.empty()) to.higher_precision = keep.empty() ? &none : keep.data();
  to.n_higher_precision = static_cast<int64_t>(keep.size());
  check(headlane_convert_with(options.source.c_str(), options.output.c_str(), &to));
}

}  // namespace tool

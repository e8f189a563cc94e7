// In place of kernels/onednn.cc where the library is built without oneDNN.
#include "kernels/kernels.h"

namespace headlane::kernels {

bool with_onednn(Table*) { return false; }

}  // namespace headlane::kernels

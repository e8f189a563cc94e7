/* What Debian 12's libstdc++.a takes from a newer glibc than the wheel asks for (2.34), for
 * std::random_device, which SentencePiece's sampler and the C++ library have, and Headlane never
 * calls. Only the file that it is linked into sees it. */
#include <stdint.h>
#include <sys/random.h>

uint32_t arc4random(void);

uint32_t arc4random(void) {
  uint32_t number;
  return getrandom(&number, sizeof number, 0) == (ssize_t)sizeof number ? number : 0;
}

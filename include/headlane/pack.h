/** @file
 * Model files whose weights are packed as machines read them.
 */
#ifndef HEADLANE_PACK_H_
#define HEADLANE_PACK_H_

#include <headlane/host.h>
#include <headlane/init.h>
#include <headlane/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What weights are packed for. */
typedef struct headlane_pack_options {
  size_t struct_size; /**< sizeof this struct */
  /** [n_isas] instruction sets, of headlane_isa_names(), that this machine has; null: the fastest
   * that it has. Sets that read the same layout share what is written. */
  const char* const* isas;
  int64_t n_isas; /**< how many */
  /** What products are computed in, as of headlane_model_options; null: what the file's weights are
   * stored in. A model that is opened in another precision packs its weights anew. */
  const char* precision;
  headlane_log log; /**< told what is packed; null: nobody */
  void* log_user;   /**< handed to log */
} headlane_pack_options;

/** Writes a .headlane file anew, whole or not at all, with the weights of its products a second
 * time, packed into panels as the kernels of these instruction sets read them. On machines that
 * read this layout, opening it neither packs nor converts, and may map it
 * (headlane_model_options.map); all others pack the weights as before, and the log says so. Results
 * have the same bits either way. The same input gives the same bytes.
 * @param path of a .headlane file; panels that it has are left out
 * @param out_path of the file to write; one that is there is replaced; it may be `path`
 * @param options null: defaults
 * @return INVALID_ARGUMENT; UNSUPPORTED: this machine lacks one of the instruction sets; IO,
 * BAD_FILE, OUT_OF_MEMORY; TOO_LARGE: with its panels the file would be; after these, out_path is
 * as it was before */
HEADLANE_API headlane_status headlane_pack(const char* path, const char* out_path,
                                           const headlane_pack_options* options);

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_PACK_H_ */

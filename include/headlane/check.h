/** @file
 * Whether a file is whole.
 */
#ifndef HEADLANE_CHECK_H_
#define HEADLANE_CHECK_H_

#include <headlane/init.h>
#include <headlane/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What headlane_check_file found in a tensor. */
typedef struct headlane_tensor_check {
  size_t struct_size; /**< sizeof the library's struct, which may be more than the caller's */
  const char* name;   /**< valid until the callback returns */
  int64_t n_nan;      /**< elements that are NaN */
  int64_t n_infinite; /**< elements that are infinite */
} headlane_tensor_check;

/** What headlane_check_file found in a file. */
typedef struct headlane_file_check {
  size_t struct_size;   /**< sizeof this struct, set by the caller */
  int32_t has_checksum; /**< 0: the file has none, since it was made before files had checksums */
  int32_t checksum_matches; /**< 1: each byte of header and tensors is as it was written */
  int64_t n_tensors;        /**< of the file */
  int64_t n_bad_tensors;    /**< those with elements that are NaN or infinite */
  int64_t n_nan;            /**< elements of all tensors that are NaN */
  int64_t n_infinite;       /**< elements of all tensors that are infinite */
} headlane_file_check;

/** Reads all of a .headlane file, which headlane_model_open does not: computes the checksum that it
 * carries (XXH3, 128 bits, against accidents; it keeps nobody from changing a file on purpose),
 * looks for weights that are NaN or infinite, and makes sure that the engine would open the file.
 * @param path of the file
 * @param on_tensor called for each tensor that has NaN or infinite elements, in the order of the
 * file, on the calling thread; null: not wanted. It must return: no longjmp, no exception.
 * @param user handed to on_tensor
 * @param[out] out what was found: a checksum that does not match, and NaN, are findings, not errors
 * @return INVALID_ARGUMENT, IO, OUT_OF_MEMORY; BAD_FILE or UNSUPPORTED where opening would return
 * it, except that a checksum that does not match is a finding */
HEADLANE_API headlane_status headlane_check_file(
    const char* path, void (*on_tensor)(void* user, const headlane_tensor_check* found), void* user,
    headlane_file_check* out);

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_CHECK_H_ */

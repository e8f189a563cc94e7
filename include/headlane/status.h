/** @file
 * What calls return, and what went wrong.
 */
#ifndef HEADLANE_STATUS_H_
#define HEADLANE_STATUS_H_

/** Marks the functions that the library exports. */
#define HEADLANE_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/** What a call returns. */
typedef enum headlane_status {
  HEADLANE_OK = 0,               /**< it worked */
  HEADLANE_INVALID_ARGUMENT = 1, /**< the caller's argument is wrong */
  HEADLANE_IO = 2,               /**< the operating system refused a file */
  HEADLANE_BAD_FILE = 3,         /**< a file's contents are wrong or unsupported */
  HEADLANE_UNSUPPORTED = 4,      /**< valid, but this build, model or machine cannot serve it */
  HEADLANE_OUT_OF_MEMORY = 5,    /**< the system has no more memory, or no more threads */
  HEADLANE_TOO_LARGE = 6,        /**< more than the session was created for */
  HEADLANE_INTERNAL = 7,         /**< a bug in Headlane */
  HEADLANE_CANCELLED = 8 /**< headlane_session_set_cancelled or a like function ended the call */
} headlane_status;

/** What was wrong with this thread's last call.
 * @return "" if it succeeded; never null. Valid until this thread's next call. */
HEADLANE_API const char* headlane_error(void);

/** A status in words.
 * @param status any number
 * @return "ok", "invalid argument", ...; "unknown status" for a number that is no status. Never
 * null; static. */
HEADLANE_API const char* headlane_status_name(headlane_status status);

/** The version of the library that is running.
 * @return "0.1.0". Never null; static. */
HEADLANE_API const char* headlane_version(void);

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_STATUS_H_ */

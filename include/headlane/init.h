/** @file
 * How a struct of this API begins its life.
 */
#ifndef HEADLANE_INIT_H_
#define HEADLANE_INIT_H_

/** @def HEADLANE_INIT(Struct)
 * Initialises a struct that begins with struct_size: sets that, and leaves every other field 0,
 * which is its default. The fields that matter are set afterwards:
 *
 *     headlane_session_options options = HEADLANE_INIT(headlane_session_options);
 *     options.max_tokens = 1024;
 *
 * @param Struct the struct's type, the same as the variable's */
#ifdef __cplusplus
extern "C++" {
/** What HEADLANE_INIT is in C++, where compilers of C++17 and before have no designated
 * initialisers.
 * @return a struct with struct_size set and every other field 0 */
template <typename Struct>
inline Struct headlane_init() {
  Struct made = {};
  made.struct_size = sizeof(Struct);
  return made;
}
}
#define HEADLANE_INIT(Struct) headlane_init<Struct>()
#else
#define HEADLANE_INIT(Struct) \
  { .struct_size = sizeof(Struct) }
#endif

#endif /* HEADLANE_INIT_H_ */

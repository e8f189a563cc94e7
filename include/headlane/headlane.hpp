/** @file
 * Headlane in C++20: headlane.h as classes that end what they own, spans that know their lengths,
 * and one exception. All of it is inline; the library's interface stays C.
 *
 *     headlane::Model model("minilm.headlane");
 *     headlane::Session session(model);
 *     std::vector<float> vectors = session.embed({"a text", "another"});
 *
 * Options and facts are C's structs with struct_size set: SessionOptions has the fields of
 * headlane_session_options. Wherever one is taken, C's own is taken too.
 *
 * Handles can be moved, not copied; a handle that was moved from can only be assigned to or
 * destroyed. Sessions and generators keep their model: it ends with the last of them, in whatever
 * order they end.
 *
 * All names are in the inline namespace v0, since the engine has a namespace headlane of its own,
 * with a Model, a Session and an Error in it: in a program that links the static library, a linker
 * would take these for those. The number changes when a class here does, so that parts of a program
 * that were compiled with different versions of this header do not mix their classes either.
 */
#ifndef HEADLANE_HEADLANE_HPP_
#define HEADLANE_HEADLANE_HPP_

#include <headlane/attention.hpp>
#include <headlane/batch.hpp>
#include <headlane/constraint.hpp>
#include <headlane/error.hpp>
#include <headlane/generator.hpp>
#include <headlane/model.hpp>
#include <headlane/sequences.hpp>
#include <headlane/session.hpp>
#include <headlane/texts.hpp>

#endif  // HEADLANE_HEADLANE_HPP_

#include "engine/text/metaspace.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/text/unicode.h"

namespace headlane {

using Scheme = MetaspaceOptions::Prepend;

MetaspaceOptions read_metaspace_options(const Json& spec, const std::string& where) {
  MetaspaceOptions options;
  options.sign = json_string(spec, "replacement", where);
  size_t end = 0;
  if (!options.sign.empty()) next_char(options.sign, &end);
  if (end == 0 || end != options.sign.size()) {
    fail(Status::kBadFile, "%s field \"replacement\" is not one character", where.c_str());
  }
  const std::string scheme = json_string(spec, "prepend_scheme", where, "always");
  options.prepend = scheme == "first"   ? Scheme::kFirst
                    : scheme == "never" ? Scheme::kNever
                                        : Scheme::kAlways;
  if (scheme != "first" && scheme != "never" && scheme != "always") {
    fail(Status::kBadFile, "%s field \"prepend_scheme\" is \"%s\"", where.c_str(),
         printable(scheme).c_str());
  }
  // Before there were schemes.
  if (!json_bool(spec, "add_prefix_space", where, true)) {
    if (json_has(spec, "prepend_scheme", where) && options.prepend != Scheme::kNever) {
      fail(Status::kBadFile, "%s: \"add_prefix_space\" and \"prepend_scheme\" contradict",
           where.c_str());
    }
    options.prepend = Scheme::kNever;
  }
  options.split = json_bool(spec, "split", where, true);
  return options;
}

void Metaspace::split(PieceText* text) const {
  PieceText out;
  out.text.reserve(text->text.size() + 2 * text->pieces.size() + text->text.size() / 2);
  out.pieces.reserve(text->pieces.size());
  for (const TextPiece piece : text->pieces) put(*text, piece, &out);
  *text = std::move(out);
}

bool Metaspace::has_prefix(std::string_view piece) const {
  return piece.starts_with(options_.sign) || piece.starts_with(' ');
}

void Metaspace::put(const PieceText& in, TextPiece piece, PieceText* out) const {
  const std::string& sign = options_.sign;
  const std::string_view text = in.view(piece);
  const size_t first_bytes = in.first_bytes - std::min(in.first_bytes, piece.begin);
  size_t begin = out->text.size();
  const bool wanted = options_.prepend == Scheme::kAlways ||
                      (options_.prepend == Scheme::kFirst && first_bytes > 0);
  if (wanted && !has_prefix(text)) out->text.append(sign);
  for (size_t pos = 0; pos < text.size();) {
    const bool is_blank = text[pos] == ' ', is_sign = text.substr(pos).starts_with(sign);
    size_t end = pos + (is_sign ? sign.size() : 1);
    if (is_blank || is_sign) {
      if (options_.split && out->text.size() > begin) {
        out->pieces.push_back({begin, out->text.size()});
        begin = out->text.size();
      }
      out->text.append(sign);
    } else {
      while (end < text.size() && text[end] != ' ' && text[end] != sign[0]) ++end;
      out->text.append(text.substr(pos, end - pos));
    }
    if (pos < first_bytes) out->first_bytes = out->text.size() - (end - std::min(end, first_bytes));
    pos = end;
  }
  if (out->text.size() > begin) out->pieces.push_back({begin, out->text.size()});
}

}  // namespace headlane

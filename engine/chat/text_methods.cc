// Methods of texts.
#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/chat/method_table.h"
#include "engine/chat/operations.h"
#include "engine/text/unicode.h"

namespace headlane::chat {
namespace {

const std::string& bytes_of(const Datum& value) { return value.text().bytes(); }

// The characters from the begin-th on and before the end-th, as Python's methods that search have
// them.
struct SearchedPart {
  std::string_view text;
  bool exists =
      true;  // false: it would begin behind its end, where Python finds nothing, not even ""
  size_t offset = 0;  // of its first byte
  std::vector<size_t> borders;
};

SearchedPart searched(const Datum& self, const Parameters& read, size_t begin, size_t end) {
  SearchedPart part;
  part.borders = character_borders(bytes_of(self));
  const int64_t n = std::ssize(part.borders) - 1;
  const auto place = [&](size_t i, int64_t otherwise) {
    int64_t value = read.has(i) && !read.value(i).is_none() ? read.integer(i, 0) : otherwise;
    if (value < 0) value += n;
    return std::max<int64_t>(value, 0);
  };
  const int64_t first = place(begin, 0), last = std::min(place(end, n), n);
  part.exists = first <= last;
  if (!part.exists) return part;
  part.offset = part.borders[static_cast<size_t>(first)];
  const size_t behind = part.borders[static_cast<size_t>(last)];
  part.text = std::string_view(bytes_of(self)).substr(part.offset, behind - part.offset);
  return part;
}

template <bool at_begin>
Datum has_affix(const Datum& self, const Arguments& arguments, Work* work) {
  const Parameters read(at_begin ? "startswith" : "endswith", arguments,
                        {"prefix", "start", "end"});
  const SearchedPart part = searched(self, read, 1, 2);
  const auto fits = [&](const std::string& affix) {
    return part.exists && (at_begin ? part.text.starts_with(affix) : part.text.ends_with(affix));
  };
  work->step(read.value(0).weight() / 64);
  if (!read.value(0).is_list()) return fits(read.text(0).bytes());
  const std::vector<Datum>& all = read.value(0).list().items;
  return std::any_of(all.begin(), all.end(),
                     [&](const Datum& one) { return one.is_text() && fits(bytes_of(one)); });
}

Datum find_in(const char* name, bool last, const Datum& self, const Arguments& arguments,
              Work* work) {
  const Parameters read(name, arguments, {"sub", "start", "end"});
  const SearchedPart part = searched(self, read, 1, 2);
  const std::string& wanted = read.text(0).bytes();
  work->search(part.text.size(), wanted.size());
  if (!part.exists) return -1;
  const size_t found = last ? part.text.rfind(wanted) : part.text.find(wanted);
  if (found == std::string::npos) return -1;
  const auto place =
      std::lower_bound(part.borders.begin(), part.borders.end(), found + part.offset);
  return static_cast<int64_t>(place - part.borders.begin());
}

Datum text_find(const Datum& self, const Arguments& arguments, Work* work) {
  return find_in("find", false, self, arguments, work);
}
Datum text_rfind(const Datum& self, const Arguments& arguments, Work* work) {
  return find_in("rfind", true, self, arguments, work);
}
Datum text_index(const Datum& self, const Arguments& arguments, Work* work) {
  Datum place = find_in("index", false, self, arguments, work);
  if (place.integer() < 0) fail(Status::kInvalidArgument, "index finds nothing");
  return place;
}

Datum text_count(const Datum& self, const Arguments& arguments, Work* work) {
  const Parameters read("count", arguments, {"sub", "start", "end"});
  const SearchedPart part = searched(self, read, 1, 2);
  const std::string& wanted = read.text(0).bytes();
  work->search(part.text.size(), wanted.size());
  if (!part.exists) return 0;
  if (wanted.empty()) return std::ssize(character_borders(part.text));
  int64_t n = 0;
  for (size_t at = part.text.find(wanted); at != std::string::npos;
       at = part.text.find(wanted, at + wanted.size())) {
    ++n;
  }
  return n;
}

template <bool left, bool right>
Datum text_strip(const Datum& self, const Arguments& arguments, Work* work) {
  const Parameters read("strip", arguments, {"chars"});
  const bool blanks = !read.has(0) || read.value(0).is_none();
  if (blanks) return stripped(self.text(), left, right);
  // Each character is looked for among the others, one by one.
  work->step(self.weight() * read.value(0).weight() / 64);
  return stripped_of(self.text(), read.text(0).bytes(), left, right);
}

template <LetterCase letter_case>
Datum change_case(const Datum& self, const Arguments& arguments, Work*) {
  takes_nothing("a method of letters' case", arguments);
  return with_case(self.text(), letter_case);
}

// Where words between white space begin and end, at most `most` of them; the last one then goes to
// the end. From the right, the first one goes to the beginning.
using Parts = std::vector<std::pair<size_t, size_t>>;

Parts words_of(const std::string& text, int64_t most) {
  Parts parts;
  size_t pos = 0;
  while (pos < text.size()) {
    size_t next = pos;
    if (is_python_space(next_char(text, &next))) {
      pos = next;
      continue;
    }
    const size_t begin = pos;
    if (most >= 0 && std::ssize(parts) == most) {
      const std::string rest = stripped(MarkedText(text.substr(begin)), false, true).bytes();
      parts.emplace_back(begin, begin + rest.size());
      break;
    }
    while (pos < text.size()) {
      next = pos;
      if (is_python_space(next_char(text, &next))) break;
      pos = next;
    }
    parts.emplace_back(begin, pos);
  }
  return parts;
}

Parts parts_of(const std::string& text, const std::string& separator, int64_t most, bool right) {
  if (separator.empty()) fail(Status::kInvalidArgument, "split has an empty separator");
  Parts parts;
  size_t begin = 0, end = text.size();
  while (most < 0 || std::ssize(parts) < most) {
    if (right && end < separator.size()) break;
    const size_t at =
        right ? text.rfind(separator, end - separator.size()) : text.find(separator, begin);
    if (at == std::string::npos) break;
    if (right) {
      parts.emplace_back(at + separator.size(), end);
      end = at;
    } else {
      parts.emplace_back(begin, at);
      begin = at + separator.size();
    }
  }
  parts.emplace_back(begin, end);
  if (right) std::reverse(parts.begin(), parts.end());
  return parts;
}

Datum list_of(const MarkedText& text, const Parts& parts, Work* work) {
  std::vector<Datum> items;
  work->take(64 * std::ssize(parts) + static_cast<int64_t>(text.size()));
  for (const auto& [begin, end] : parts) items.emplace_back(text.part(begin, end));
  return make_list(std::move(items));
}

template <bool right>
Datum text_split(const Datum& self, const Arguments& arguments, Work* work) {
  const Parameters read(right ? "rsplit" : "split", arguments, {"sep", "maxsplit"});
  const int64_t most = read.integer(1, -1);
  const bool blanks = !read.has(0) || read.value(0).is_none();
  if (blanks && right && most >= 0) {
    fail(Status::kUnsupported, "rsplit by white space with a limit is not supported");
  }
  if (!blanks) work->search(self.text().size(), read.text(0).size());
  const Parts parts = blanks ? words_of(bytes_of(self), most)
                             : parts_of(bytes_of(self), read.text(0).bytes(), most, right);
  return list_of(self.text(), parts, work);
}

// Python's borders of lines.
bool ends_line(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

Datum text_splitlines(const Datum& self, const Arguments& arguments, Work* work) {
  const Parameters read("splitlines", arguments, {"keepends"});
  const std::string& text = bytes_of(self);
  Parts parts;
  size_t begin = 0;
  for (size_t pos = 0; pos < text.size();) {
    const size_t end = pos;
    const char32_t c = next_char(text, &pos);
    if (!ends_line(c)) continue;
    if (c == '\r' && pos < text.size() && text[pos] == '\n') ++pos;
    parts.emplace_back(begin, read.flag(0, false) ? pos : end);
    begin = pos;
  }
  if (begin < text.size()) parts.emplace_back(begin, text.size());
  return list_of(self.text(), parts, work);
}

template <bool right>
Datum text_partition(const Datum& self, const Arguments& arguments, Work* work) {
  const Parameters read(right ? "rpartition" : "partition", arguments, {"sep"});
  const MarkedText& text = self.text();
  const std::string& separator = read.text(0).bytes();
  if (separator.empty()) fail(Status::kInvalidArgument, "partition has an empty separator");
  work->search(text.size(), separator.size());
  const size_t at = right ? text.bytes().rfind(separator) : text.bytes().find(separator);
  if (at == std::string::npos) {
    return right ? make_list({"", "", self}, ListKind::kTuple)
                 : make_list({self, "", ""}, ListKind::kTuple);
  }
  const size_t end = at + separator.size();
  return make_list({text.part(0, at), text.part(at, end), text.part(end, text.size())},
                   ListKind::kTuple);
}

Datum text_replace(const Datum& self, const Arguments& arguments, Work* work) {
  const Parameters read("replace", arguments, {"old", "new", "count"});
  const MarkedText &text = self.text(), &with = read.text(1);
  const std::string& old = read.text(0).bytes();
  int64_t left = read.integer(2, -1);
  work->search(text.size(), old.size());
  MarkedText result;
  const auto put = [&] {
    work->take(1 + static_cast<int64_t>(with.size()));
    result.append(with);
    --left;
  };
  size_t begin = 0;
  if (old.empty()) {  // it stands before each character, and at the end
    for (const size_t border : character_borders(text.bytes())) {
      result.append(text.part(begin, border));
      if (left != 0) put();
      begin = border;
    }
    return result;
  }
  while (left != 0) {
    const size_t at = text.bytes().find(old, begin);
    if (at == std::string::npos) break;
    result.append(text.part(begin, at));
    put();
    begin = at + old.size();
  }
  work->take(static_cast<int64_t>(text.size()));
  result.append(text.part(begin, text.size()));
  return result;
}

template <bool prefix>
Datum remove_affix(const Datum& self, const Arguments& arguments, Work*) {
  const Parameters read(prefix ? "removeprefix" : "removesuffix", arguments, {"affix"});
  const MarkedText& text = self.text();
  const std::string& affix = read.text(0).bytes();
  if (prefix && text.bytes().starts_with(affix)) return text.part(affix.size(), text.size());
  if (!prefix && text.bytes().ends_with(affix)) return text.part(0, text.size() - affix.size());
  return self;
}

Datum text_join(const Datum& self, const Arguments& arguments, Work* work) {
  const Parameters read("join", arguments, {"iterable"});
  MarkedText result;
  bool is_first = true;
  for (const Datum& item : items_of(read.value(0), work)) {
    if (!item.is_text()) {
      fail(Status::kInvalidArgument, "join has an item of the type %s", item.type_name());
    }
    work->take(item.weight() + self.weight());
    if (!is_first) result.append(self.text());
    is_first = false;
    result.append(item.text());
  }
  return result;
}

// Whether there is text, and all of its characters are of a kind. Of ASCII: others have more kinds
// than the tables here.
template <typename Kind>
bool all_are(const Datum& self, const Arguments& arguments, const char* name, const Kind& kind) {
  takes_nothing(name, arguments);
  const std::string& text = bytes_of(self);
  for (size_t pos = 0; pos < text.size();) {
    const char32_t c = next_char(text, &pos);
    if (!is_ascii(c)) {
      fail(Status::kUnsupported, "%s of a text that is not ASCII is not supported", name);
    }
    if (!kind(c)) return false;
  }
  return !text.empty();
}

bool is_ascii_digit(char32_t c) { return c >= '0' && c <= '9'; }
bool is_latin_letter(char32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

Datum text_isdigit(const Datum& self, const Arguments& arguments, Work*) {
  return all_are(self, arguments, "isdigit", is_ascii_digit);
}
Datum text_isalpha(const Datum& self, const Arguments& arguments, Work*) {
  return all_are(self, arguments, "isalpha", is_latin_letter);
}
Datum text_isalnum(const Datum& self, const Arguments& arguments, Work*) {
  return all_are(self, arguments, "isalnum",
                 [](char32_t c) { return is_ascii_digit(c) || is_latin_letter(c); });
}
Datum text_isspace(const Datum& self, const Arguments& arguments, Work*) {
  takes_nothing("isspace", arguments);
  return !self.text().empty() && stripped(self.text(), true, false).empty();
}

constexpr NamedMethod kTextMethods[] = {{"startswith", has_affix<true>},
                                        {"endswith", has_affix<false>},
                                        {"find", text_find},
                                        {"rfind", text_rfind},
                                        {"index", text_index},
                                        {"count", text_count},
                                        {"strip", text_strip<true, true>},
                                        {"lstrip", text_strip<true, false>},
                                        {"rstrip", text_strip<false, true>},
                                        {"upper", change_case<LetterCase::kUpper>},
                                        {"lower", change_case<LetterCase::kLower>},
                                        {"title", change_case<LetterCase::kTitle>},
                                        {"capitalize", change_case<LetterCase::kCapitalized>},
                                        {"split", text_split<false>},
                                        {"rsplit", text_split<true>},
                                        {"splitlines", text_splitlines},
                                        {"partition", text_partition<false>},
                                        {"rpartition", text_partition<true>},
                                        {"replace", text_replace},
                                        {"removeprefix", remove_affix<true>},
                                        {"removesuffix", remove_affix<false>},
                                        {"join", text_join},
                                        {"isdigit", text_isdigit},
                                        {"isalpha", text_isalpha},
                                        {"isalnum", text_isalnum},
                                        {"isspace", text_isspace}};

}  // namespace

std::span<const NamedMethod> text_methods() { return kTextMethods; }

}  // namespace headlane::chat

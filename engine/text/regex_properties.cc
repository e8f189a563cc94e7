#include "engine/text/regex_properties.h"

namespace headlane {
namespace {

// Characters of Unicode 15 and 16, found by comparing all characters; PCRE2 10.42 has Unicode 14.
constexpr std::string_view kNewLu =
    R"(\x{1C89}\x{A7CB}-\x{A7CC}\x{A7DA}\x{A7DC}\x{10D50}-\x{10D65})";
constexpr std::string_view kNewLl =
    R"(\x{1C8A}\x{A7CD}\x{A7DB}\x{10D70}-\x{10D85}\x{1DF25}-\x{1DF2A})";
constexpr std::string_view kNewLm =
    R"(\x{10D4E}\x{10D6F}\x{16D40}-\x{16D42}\x{16D6B}-\x{16D6C}\x{1E030}-\x{1E06D})"
    R"(\x{1E4EB})";
constexpr std::string_view kNewLo =
    R"(\x{105C0}-\x{105F3}\x{10D4A}-\x{10D4D}\x{10D4F}\x{10EC2}-\x{10EC4})"
    R"(\x{1123F}-\x{11240}\x{11380}-\x{11389}\x{1138B}\x{1138E}\x{11390}-\x{113B5})"
    R"(\x{113B7}\x{113D1}\x{113D3}\x{11BC0}-\x{11BE0}\x{11F02}\x{11F04}-\x{11F10})"
    R"(\x{11F12}-\x{11F33}\x{1342F}\x{13441}-\x{13446}\x{13460}-\x{143FA})"
    R"(\x{16100}-\x{1611D}\x{16D43}-\x{16D6A}\x{18CFF}\x{1B132}\x{1B155})"
    R"(\x{1E4D0}-\x{1E4EA}\x{1E5D0}-\x{1E5ED}\x{1E5F0}\x{2B739}\x{2EBF0}-\x{2EE5D})"
    R"(\x{31350}-\x{323AF})";
constexpr std::string_view kNewM =
    R"(\x{897}\x{CF3}\x{ECE}\x{10D69}-\x{10D6D}\x{10EFC}-\x{10EFF}\x{11241})"
    R"(\x{113B8}-\x{113C0}\x{113C2}\x{113C5}\x{113C7}-\x{113CA}\x{113CC}-\x{113D0})"
    R"(\x{113D2}\x{113E1}-\x{113E2}\x{11F00}-\x{11F01}\x{11F03}\x{11F34}-\x{11F3A})"
    R"(\x{11F3E}-\x{11F42}\x{11F5A}\x{13440}\x{13447}-\x{13455}\x{1611E}-\x{1612F})"
    R"(\x{1E08F}\x{1E4EC}-\x{1E4EF}\x{1E5EE}-\x{1E5EF})";
constexpr std::string_view kNewMc =
    R"(\x{CF3}\x{113B8}-\x{113BA}\x{113C2}\x{113C5}\x{113C7}-\x{113CA}\x{113CC}-\x{113CD})"
    R"(\x{113CF}\x{1171E}\x{11F03}\x{11F34}-\x{11F35}\x{11F3E}-\x{11F3F}\x{11F41})"
    R"(\x{1612A}-\x{1612C})";
constexpr std::string_view kNewNd =
    R"(\x{10D40}-\x{10D49}\x{116D0}-\x{116E3}\x{11BF0}-\x{11BF9}\x{11F50}-\x{11F59})"
    R"(\x{16130}-\x{16139}\x{16D70}-\x{16D79}\x{1CCF0}-\x{1CCF9}\x{1E4F0}-\x{1E4F9})"
    R"(\x{1E5F1}-\x{1E5FA})";
constexpr std::string_view kNewNo = R"(\x{1D2C0}-\x{1D2D3})";
constexpr std::string_view kNewPd = R"(\x{10D6E})";
constexpr std::string_view kNewPo =
    R"(\x{1B4E}-\x{1B4F}\x{1B7F}\x{113D4}-\x{113D5}\x{113D7}-\x{113D8}\x{11B00}-\x{11B09})"
    R"(\x{11BE1}\x{11F43}-\x{11F4F}\x{16D6D}-\x{16D6F}\x{1E5FF})";
constexpr std::string_view kNewSm = R"(\x{10D8E}-\x{10D8F})";
constexpr std::string_view kNewSo =
    R"(\x{2427}-\x{2429}\x{2FFC}-\x{2FFF}\x{31E4}-\x{31E5}\x{31EF}\x{1CC00}-\x{1CCEF})"
    R"(\x{1CD00}-\x{1CEB3}\x{1F6DC}\x{1F774}-\x{1F776}\x{1F77B}-\x{1F77F}\x{1F7D9})"
    R"(\x{1F8B2}-\x{1F8BB}\x{1F8C0}-\x{1F8C1}\x{1FA75}-\x{1FA77}\x{1FA87}-\x{1FA89})"
    R"(\x{1FA8F}\x{1FAAD}-\x{1FAAF}\x{1FABB}-\x{1FABF}\x{1FAC6}\x{1FACE}-\x{1FACF})"
    R"(\x{1FADA}-\x{1FADC}\x{1FADF}\x{1FAE8}-\x{1FAE9}\x{1FAF7}-\x{1FAF8})"
    R"(\x{1FBCB}-\x{1FBEF})";

struct Property {
  std::string_view name;
  std::string_view pcre;          // its name there
  std::string_view more[4] = {};  // what is new of it
};
constexpr Property kProperties[] = {
    {"L", "L", {kNewLu, kNewLl, kNewLm, kNewLo}},
    {"Lu", "Lu", {kNewLu}},
    {"Ll", "Ll", {kNewLl}},
    {"Lt", "Lt"},
    {"Lm", "Lm", {kNewLm}},
    {"Lo", "Lo", {kNewLo}},
    {"M", "M", {kNewM}},
    {"Mc", "Mc", {kNewMc}},
    {"Me", "Me"},
    {"N", "N", {kNewNd, kNewNo}},
    {"Nd", "Nd", {kNewNd}},
    {"Nl", "Nl"},
    {"No", "No", {kNewNo}},
    {"P", "P", {kNewPd, kNewPo}},
    {"Pc", "Pc"},
    {"Pd", "Pd", {kNewPd}},
    {"Ps", "Ps"},
    {"Pe", "Pe"},
    {"Pi", "Pi"},
    {"Pf", "Pf"},
    {"Po", "Po", {kNewPo}},
    {"S", "S", {kNewSm, kNewSo}},
    {"Sm", "Sm", {kNewSm}},
    {"Sc", "Sc"},
    {"Sk", "Sk"},
    {"So", "So", {kNewSo}},
    {"Z", "Z"},
    {"Zs", "Zs"},
    {"Zl", "Zl"},
    {"Zp", "Zp"},
    {"Cc", "Cc"},
    {"Co", "Co"},
    {"Han", "sc:Han", {R"(\x{2B739}\x{2EBF0}-\x{2EE5D}\x{31350}-\x{323AF})"}},
    {"Hiragana", "sc:Hiragana", {R"(\x{1B132})"}},
    {"Katakana", "sc:Katakana", {R"(\x{1B155})"}},
    {"Hangul", "sc:Hangul"},
    {"Latin", "sc:Latin", {R"(\x{A7CB}-\x{A7CD}\x{A7DA}-\x{A7DC}\x{1DF25}-\x{1DF2A})"}},
    {"Cyrillic", "sc:Cyrillic", {R"(\x{1C89}-\x{1C8A}\x{1E030}-\x{1E06D}\x{1E08F})"}},
    {"Greek", "sc:Greek"},
    {"Arabic", "sc:Arabic", {R"(\x{897}\x{10EC2}-\x{10EC4}\x{10EFC}-\x{10EFF})"}},
    {"Hebrew", "sc:Hebrew"},
    {"Thai", "sc:Thai"},
    {"Devanagari", "sc:Devanagari", {R"(\x{11B00}-\x{11B09})"}},
};

// Alphabetic characters that are no letters: those in circles and squares.
constexpr std::string_view kOtherWords =
    R"(\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})";
// Numbers above the line, and fractions.
constexpr std::string_view kLatin1Words = R"(\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})";

}  // namespace

std::string property_items(std::string_view name) {
  for (const Property& property : kProperties) {
    if (property.name != name) continue;
    std::string items = R"(\p{)";
    items.append(property.pcre).append("}");
    for (const std::string_view more : property.more) items += more;
    return items;
  }
  return {};
}

std::string word_items(bool in_class) {
  std::string items;
  for (const char* name : {"L", "M", "Nd", "Nl", "Pc"}) items += property_items(name);
  items.append(kOtherWords);
  return in_class ? items : items.append(kLatin1Words);
}

}  // namespace headlane

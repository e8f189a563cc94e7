#include "engine/text/sentencepiece_model.h"

#include <algorithm>
#include <cmath>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/text/unicode.h"
#include "engine/text/wire_format.h"

namespace headlane {
namespace {

constexpr auto kMaxModelBytes = static_cast<size_t>(file_limits::kSentencePieceBytes);
constexpr auto kMaxPieces = static_cast<size_t>(file_limits::kPieces);
constexpr auto kMaxPieceBytes = static_cast<size_t>(file_limits::kPieceBytes);
constexpr auto kMaxNestedPieces = static_cast<size_t>(file_limits::kNestedPieces);

Piece read_piece(std::string_view bytes, const std::string& where) {
  Piece piece;
  for (WireReader reader(bytes, where); reader.next();) {
    if (reader.field() == 1) {
      piece.text = reader.bytes();
    } else if (reader.field() == 2) {
      piece.score = reader.float32();
    } else if (reader.field() == 3) {
      const uint64_t type = reader.varint();
      if (type < 1 || type > 6) {
        fail(Status::kBadFile, "%s has a piece of type %llu, none of SentencePiece's",
             where.c_str(), static_cast<unsigned long long>(type));
      }
      piece.type = static_cast<PieceType>(type);
    } else {
      reader.skip();
    }
  }
  return piece;
}

void read_trainer(std::string_view bytes, const std::string& where, SentencePieceModel* model) {
  for (WireReader reader(bytes, where); reader.next();) {
    if (reader.field() == 3) {
      const uint64_t type = reader.varint();
      if (type != 1 && type != 2) {
        fail(Status::kUnsupported,
             "%s has the model type %llu; Headlane supports 1 (unigram) and "
             "2 (BPE)",
             where.c_str(), static_cast<unsigned long long>(type));
      }
      model->bpe = type == 2;
    } else if (reader.field() == 24) {
      model->whitespace_as_suffix = reader.varint() != 0;
    } else if (reader.field() == 35) {
      model->byte_fallback = reader.varint() != 0;
    } else {
      reader.skip();
    }
  }
}

void read_normalizer(std::string_view bytes, const std::string& where, SentencePieceModel* model) {
  for (WireReader reader(bytes, where); reader.next();) {
    if (reader.field() == 2) {
      model->charsmap = reader.bytes();
    } else if (reader.field() == 3) {
      model->add_dummy_prefix = reader.varint() != 0;
    } else if (reader.field() == 4) {
      model->remove_extra_whitespaces = reader.varint() != 0;
    } else if (reader.field() == 5) {
      model->escape_whitespaces = reader.varint() != 0;
    } else {
      reader.skip();
    }
  }
}

// A denormalizer would change the text on decoding: no translation model has one.
void refuse_denormalizer(std::string_view bytes, const std::string& where) {
  for (WireReader reader(bytes, where); reader.next();) {
    if (reader.field() == 2 && !reader.bytes().empty()) {
      fail(Status::kUnsupported, "%s has rules for decoded text; Headlane does not support them",
           where.c_str());
    }
    if (reader.field() != 2) reader.skip();
  }
}

// No text begins with more than kMaxNestedPieces user-defined pieces.
void check_user_defined(const SentencePieceModel& model, const std::string& where) {
  std::vector<std::string_view> texts;
  for (const Piece& piece : model.pieces) {
    if (piece.type == PieceType::kUserDefined) texts.emplace_back(piece.text);
  }
  std::sort(texts.begin(), texts.end());
  std::vector<std::string_view> prefixes;  // of the piece at hand, itself included
  for (std::string_view text : texts) {
    while (!prefixes.empty() && !text.starts_with(prefixes.back())) prefixes.pop_back();
    prefixes.push_back(text);
    if (prefixes.size() > kMaxNestedPieces) {
      fail(Status::kBadFile, "%s has more than %zu user-defined pieces that begin with each other",
           where.c_str(), kMaxNestedPieces);
    }
  }
}

}  // namespace

SentencePieceModel read_sentencepiece_model(std::string_view bytes, const std::string& where) {
  if (bytes.size() > kMaxModelBytes) {
    fail(Status::kBadFile, "%s has %zu bytes; a SentencePiece model may have %zu", where.c_str(),
         bytes.size(), kMaxModelBytes);
  }
  SentencePieceModel model;
  for (WireReader reader(bytes, where); reader.next();) {
    if (reader.field() == 1) {
      model.pieces.push_back(read_piece(reader.bytes(), where));
    } else if (reader.field() == 2) {
      read_trainer(reader.bytes(), where, &model);
    } else if (reader.field() == 3) {
      read_normalizer(reader.bytes(), where, &model);
    } else if (reader.field() == 5) {
      refuse_denormalizer(reader.bytes(), where);
    } else {
      reader.skip();
    }
    if (model.pieces.size() > kMaxPieces) {
      fail(Status::kBadFile, "%s has more than %zu pieces", where.c_str(), kMaxPieces);
    }
  }
  check_sentencepiece_model(model, where);
  return model;
}

void check_sentencepiece_model(const SentencePieceModel& model, const std::string& where) {
  if (model.pieces.empty()) {
    fail(Status::kBadFile, "%s is no SentencePiece model: it has no pieces", where.c_str());
  }
  for (const Piece& piece : model.pieces) {
    const std::string& text = piece.text;
    if (text.empty() || text.size() > kMaxPieceBytes || text.find('\0') != std::string::npos ||
        valid_utf8_prefix(text) != text.size() || !std::isfinite(piece.score)) {
      fail(Status::kBadFile,
           "%s has the piece \"%s\" of %zu bytes, score %g: it must be UTF-8 of 1 to %zu bytes "
           "without 0, its score finite",
           where.c_str(), printable(text).c_str(), text.size(), piece.score, kMaxPieceBytes);
    }
  }
  check_user_defined(model, where);
  if (!model.charsmap.empty()) check_charsmap(model.charsmap, where);
}

std::string model_proto(const SentencePieceModel& model) {
  WireWriter proto;
  for (const Piece& piece : model.pieces) {
    WireWriter fields;
    fields.bytes(1, piece.text);
    fields.float32(2, piece.score);
    fields.varint(3, static_cast<uint64_t>(piece.type));
    proto.bytes(1, fields.message());
  }
  WireWriter trainer;
  trainer.varint(3, model.bpe ? 2 : 1);
  trainer.varint(24, model.whitespace_as_suffix ? 1 : 0);
  trainer.varint(35, model.byte_fallback ? 1 : 0);
  proto.bytes(2, trainer.message());
  WireWriter normalizer;
  normalizer.bytes(2, model.charsmap.empty() ? empty_charsmap() : model.charsmap);
  normalizer.varint(3, model.add_dummy_prefix ? 1 : 0);
  normalizer.varint(4, model.remove_extra_whitespaces ? 1 : 0);
  normalizer.varint(5, model.escape_whitespaces ? 1 : 0);
  proto.bytes(3, normalizer.message());
  return proto.message();
}

}  // namespace headlane

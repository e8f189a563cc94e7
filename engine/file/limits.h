// How large what a file says may be: .headlane files, and the files that converting reads. One
// table, for whoever reads and whoever writes; docs/files.md shows it to users, and a test compares
// the two. All of them are far above any published model. Sizes are int64, and products of any two
// of them, times a few, are far from its end.
#pragma once

#include <cstdint>

namespace headlane::file_limits {

// Framing.
inline constexpr int64_t kFileBytes = int64_t{1} << 44;  // 16 TiB, the most that ext4 has
inline constexpr int64_t kHeaderBytes = int64_t{64} << 20;
inline constexpr int64_t kTensors = int64_t{1} << 17;
inline constexpr int64_t kRank = 8;
inline constexpr int64_t kNameBytes = 255;  // of a tensor's name, at least 1

// JSON. The number of values bounds the memory that a small file can ask for: "[{},{},...]" costs
// 20 times its own size.
inline constexpr int64_t kJsonDepth = 32;
inline constexpr int64_t kJsonValues = int64_t{1} << 22;
inline constexpr int64_t kJsonFileBytes = int64_t{256} << 20;    // tokenizer.json have up to 30 MiB
inline constexpr int64_t kSafetensorsHeaderBytes = 100'000'000;  // the safetensors library's limit

// GGUF: what is in front of the data. Gemma 3's tokenizer, of 262,144 tokens, has 6 MB there. Their
// arrays have as many values together as JSON has.
inline constexpr int64_t kGgufHeaderBytes = int64_t{128} << 20;
inline constexpr int64_t kGgufFields = 65536;

// Config.
inline constexpr int64_t kVocabSize = int64_t{1} << 24;
inline constexpr int64_t kTypes = int64_t{1} << 16;
inline constexpr int64_t kPositions = int64_t{1} << 20;
inline constexpr int64_t kLayers = 1024;
inline constexpr int64_t kDModel = 65536;
inline constexpr int64_t kDFf = int64_t{1} << 20;
inline constexpr int64_t kExperts = 65536;
inline constexpr int64_t kHeads = 65536;
inline constexpr int64_t kHeadDim = 256;
inline constexpr int64_t kRelativeBuckets = 65536;
inline constexpr int64_t kProductNames = 65536;  // "higher_precision", "precisions"
inline constexpr int64_t kBeams = 1024;
inline constexpr int64_t kTokenIds = 4096;  // in a list of a generation's
inline constexpr int64_t kHeadSteps = 64;
inline constexpr int64_t kPrompts = 4096;
inline constexpr int64_t kPromptBytes = 65536;  // of a prompt or its name
inline constexpr int64_t kLabels = 65536;       // of a classifier
inline constexpr int64_t kLabelBytes = 4096;    // of a label's name
// Tables that are computed from the config (sinusoids, rotary positions, relative biases), all of a
// model's together: as many bytes as the file has, or these.
inline constexpr int64_t kTableBytes = int64_t{64} << 20;

// Tokenizers.
inline constexpr int64_t kVocabBytes = INT32_MAX;
inline constexpr int64_t kAddedTokenBytes = 1024;
inline constexpr int64_t kCharsPerWord = 4096;  // bounds the work, which grows with its square
inline constexpr int64_t kTemplateIds = 64;
inline constexpr int64_t kPairItems = 256;      // ids around and between two texts, and these
inline constexpr int64_t kTokenizerSteps = 64;  // of its normalizer, pre-tokenizer or decoder
inline constexpr int64_t kRegexBytes = 1024;    // of a regular expression
inline constexpr int64_t kStepTextBytes = 64;   // of what a step puts into texts, or looks for
// A text may become this much longer by all steps together. Bytes as characters double it, and a
// character map makes U+FDFA 11 times as long.
inline constexpr int64_t kTextGrowth = 64;
inline constexpr int64_t kLanguages = 65536;
// mT5's 250,100 pieces, the most that a known SentencePiece model has, are 4.3 MB.
inline constexpr int64_t kSentencePieceBytes = int64_t{64} << 20;
inline constexpr int64_t kPieces = int64_t{1} << 21;
// Work on a text grows with its length times that of the longest piece. Trained ones have 16
// characters.
inline constexpr int64_t kPieceBytes = 1024;
inline constexpr int64_t kNestedPieces = 64;  // SentencePiece keeps their matches in an array of 64
inline constexpr int64_t kCharsmapBytes = int64_t{16} << 20;  // mT5's has 242 KB
// SentencePiece keeps the matches of a place in an array of 32, and writes beyond it if there are
// more: rules of 32 bytes have no more. Those of NFKC have at most 18.
inline constexpr int64_t kRuleBytes = 32;
// A text can become this much longer. U+FDFA's 33 bytes are the most that Unicode knows.
inline constexpr int64_t kReplacementBytes = 64;
inline constexpr int64_t kExtraIds = 65536;  // T5's

// Chat templates. Published ones have up to 30 KB; they run in some thousands of steps.
inline constexpr int64_t kChatTemplates = 64;
inline constexpr int64_t kChatTemplateBytes = int64_t{1} << 20;
inline constexpr int64_t kChatTokens = 64;  // that templates know by their roles
// What a run of one may take. Steps are values that it looks at, or 64 bytes of text.
inline constexpr int64_t kChatSteps = 5'000'000;
inline constexpr int64_t kChatBytes = int64_t{128} << 20;  // of all texts that it makes
inline constexpr int64_t kChatDepth = 100;       // of statements, or of expressions, in each other
inline constexpr int64_t kChatRunDepth = 400;    // of both, and of calls
inline constexpr int64_t kChatValueDepth = 100;  // of lists in each other

}  // namespace headlane::file_limits

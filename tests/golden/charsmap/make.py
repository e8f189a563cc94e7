"""Makes hashes.json: what `tokenizers` 0.23.3 makes of all characters, alone and beside others, with
SentencePiece's own character map nmt_nfkc (the one of tokenizer_classes/xlm_roberta).

    python make.py

A hash is FNV-1a, 32 bits, of the bytes of the normalized text of all characters of a block of 1,024
in one of the forms, one after another; or, for "pairs", of U+0020 to U+30FF and U+AC00 to U+AFFF,
each before one mark.
"""

import json
import pathlib
import sys

from tokenizers import normalizers

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tokenizer_json"))
from small_tokenizers import fields  # noqa: E402

FORMS = ["%sa", "%s\u0301", "%s\n", "\u1100%s", "%s\u200d%s", "%s\u0897"]
MARKS = (list(range(0x300, 0x346)) + [0x5B0, 0x653, 0x654, 0x655, 0x93C, 0x9BE, 0x9D7, 0xB3E, 0xB56,
         0xBBE, 0xC56, 0xCC2, 0xCD5, 0xD3E, 0xDCA, 0xDCF, 0xE32, 0xEB2, 0xF71, 0xFB5, 0x102E] +
         list(range(0x1161, 0x1176)) + list(range(0x11A8, 0x11C3)) + [0x1B35, 0x3099, 0x309A, 0xFF9E])


def chars(first, last):
    return [chr(c) for c in range(first, last) if not 0xD800 <= c < 0xE000]


def hash_of(text):
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return "%08x" % value


def main():
    model = (HERE.parent / "tokenizer_classes/xlm_roberta/sentencepiece.bpe.model").read_bytes()
    charsmap = next(v for k, v in fields(next(v for k, v in fields(model) if k == 3)) if k == 2)
    normalize = normalizers.Precompiled(charsmap).normalize_str
    blocks = list(range(0, 0x32000, 1024)) + [0xE0000, 0x10FC00]
    forms = [[hash_of(normalize("".join(form.replace("%s", c) for c in chars(b, b + 1024))))
              for b in blocks] for form in FORMS]
    bases = chars(0x20, 0x3100) + chars(0xAC00, 0xB000)
    pairs = [hash_of(normalize("".join(c + chr(m) for c in bases))) for m in MARKS]
    out = {"forms": FORMS, "blocks": blocks, "hashes": forms, "marks": MARKS, "pairs": pairs}
    (HERE / "hashes.json").write_text(json.dumps(out, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()

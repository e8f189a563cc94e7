#!/usr/bin/env python3
"""Writes the module headlane._abi: the structs, numbers and functions of include/headlane/*.h as ctypes has them.

    python/make_abi.py OUT.py

The build of the wheel runs it (tools/package/wheel.cmake), so the module is always that of the library beside it. The
headers are regular enough to be read by patterns; whatever no pattern fits is an error, and is not left out.
python/tests/test_abi.py compares sizes and offsets with what a C compiler makes of the headers.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Not a part of headlane.h (it is for hosts that are compiled with OpenMP), and headers without declarations.
LEFT_OUT = {"headlane.h", "openmp.h", "init.h"}

SCALARS = {
    "void": "None",
    "char": "c_char",
    "double": "c_double",
    "float": "c_float",
    "int32_t": "c_int32",
    "int64_t": "c_int64",
    "uint8_t": "c_uint8",
    "uint16_t": "c_uint16",
    "uint64_t": "c_uint64",
    "size_t": "c_size_t",
}
# Pointers to numbers and handles are addresses here: arrays of numpy have them at hand (array.ctypes.data).
ADDRESS = "c_void_p"
TEXT = "c_char_p"


def declarations() -> str:
    texts = []
    for path in sorted((ROOT / "include" / "headlane").glob("*.h")):
        if path.name in LEFT_OUT:
            continue
        text = re.sub(r"/\*.*?\*/", " ", path.read_text(), flags=re.S)
        text = re.sub(r"^\s*#.*?(?<!\\)$", " ", text, flags=re.M | re.S)
        texts.append(re.sub(r'extern "C" \{|^\}\s*$', " ", text, flags=re.M))
    return re.sub(r"\s+", " ", " ".join(texts))


class Reader:
    def __init__(self) -> None:
        self.text = declarations()
        self.enums: dict[str, list[tuple[str, int]]] = {}
        self.structs: dict[str, str] = {}
        self.callbacks: dict[str, tuple[str, str]] = {}
        self.functions: dict[str, tuple[str, str]] = {}
        self.read()

    def take(self, pattern: str) -> list[re.Match[str]]:
        found = list(re.finditer(pattern, self.text))
        self.text = re.sub(pattern, " ", self.text)
        return found

    def read(self) -> None:
        for match in self.take(r"typedef enum (\w+) \{([^}]*)\} \w+;"):
            rows = [row.split("=") for row in match[2].split(",") if row.strip()]
            self.enums[match[1]] = [(name.strip(), int(value)) for name, value in rows]
        for match in self.take(r"typedef struct (\w+) \{([^}]*)\} \w+;"):
            self.structs[match[1]] = match[2]
        self.take(r"typedef struct \w+ \w+;")  # handles
        for match in self.take(r"typedef ([\w ]+?) \(\*(\w+)\)\(([^)]*)\);"):
            self.callbacks[match[2]] = (match[1], match[3])
        function = r"HEADLANE_API ([\w ]+?[ *]+)(headlane_\w+)\(((?:[^()]|\([^()]*\))*)\);"
        for match in self.take(function):
            self.functions[match[2]] = (match[1].strip(), match[3])
        if rest := self.text.strip():
            raise SystemExit(f"make_abi.py does not understand: {rest[:200]}")

    def type_of(self, c_type: str, in_struct: bool = False) -> str:
        """What ctypes calls a C type. Texts of structs are addresses too: an address keeps nothing alive, and says
        null, where c_char_p would read bytes that may not be null-terminated."""
        words = c_type.replace("*", " * ").split()
        stars = words.count("*")
        name = next(word for word in words if word not in ("const", "*", "struct"))
        if stars == 0:
            if name in SCALARS:
                return SCALARS[name]
            if name in self.enums:
                return "c_int"
            if name in self.structs:
                return name
            if name in self.callbacks:
                return ADDRESS
            raise SystemExit(f"make_abi.py does not know the type {c_type}")
        if stars == 1 and name == "char" and "const" in words and not in_struct:
            return TEXT
        return ADDRESS

    def parameters(self, text: str) -> list[str]:
        if text.strip() == "void":
            return []
        types = []
        for part in re.split(r",(?![^()]*\))", text):
            pointer = re.fullmatch(r"\s*\w+ \(\*\w+\)\(.*\)\s*", part)
            if pointer:
                types.append(ADDRESS)
                continue
            match = re.fullmatch(r"\s*(.*?[ *])(\w+)\s*", part)
            if not match:
                raise SystemExit(f"make_abi.py does not understand the parameter {part}")
            kind = self.type_of(match[1])
            types.append(ADDRESS if kind == TEXT and match[2] not in ("path", "out_path", "name", "isa") else kind)
        return types

    def fields(self, text: str) -> list[tuple[str, str]]:
        fields = []
        for line in text.split(";"):
            line = line.strip()
            if not line:
                continue
            pointer = re.fullmatch(r"[\w ]+ \(\*(\w+)\)\(.*\)", line)
            match = re.fullmatch(r"(.*?[ *])(\w+)", line)
            if pointer:
                fields.append((pointer[1], ADDRESS))
            elif match:
                fields.append((match[2], self.type_of(match[1], in_struct=True)))
            else:
                raise SystemExit(f"make_abi.py does not understand the field {line}")
        return fields

    def in_order(self) -> list[str]:
        """Structs after those that lie inside of them."""
        done: list[str] = []

        def add(name: str) -> None:
            for _, kind in self.fields(self.structs[name]):
                if kind in self.structs and kind not in done:
                    add(kind)
            if name not in done:
                done.append(name)

        for name in sorted(self.structs):
            add(name)
        return done


def source() -> str:
    reader = Reader()
    lines = [
        '"""The C API of Headlane as ctypes has it. Made by make_abi.py from its headers."""',
        "",
        "from __future__ import annotations",
        "",
        "import ctypes",
        "from ctypes import (",
    ]
    body: list[str] = []
    for rows in (reader.enums[name] for name in sorted(reader.enums)):
        for name, value in rows:
            body.append(f"{name} = {value}")
        body.append("")
    for name in sorted(reader.callbacks):
        result, text = reader.callbacks[name]
        kinds = [reader.type_of(result)] + [
            TEXT if re.search(r"const char\* *\w+$", part) else kind
            for part, kind in zip(re.split(r",", text), reader.parameters(text), strict=True)
        ]
        body.append(f"{name} = CFUNCTYPE({', '.join(kinds)})")
    body += [
        "",
        "",
        "class Sized(Structure):",
        '    """A struct that begins with struct_size, which is set when it is made; every other field is 0."""',
        "",
        "    struct_size: int",
        "",
        "    def __init__(self) -> None:",
        "        super().__init__()",
        "        self.struct_size = ctypes.sizeof(self)",
        "",
    ]
    for name in reader.in_order():
        fields = reader.fields(reader.structs[name])
        sized = fields[0][0] == "struct_size"
        body += ["", f"class {name}({'Sized' if sized else 'Structure'}):", "    _fields_ = ["]
        body += [f'        ("{field}", {kind}),' for field, kind in fields]
        body += ["    ]", ""]
    body += ["", "# result, parameters", "FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {"]
    for name in sorted(reader.functions):
        result, text = reader.functions[name]
        kinds = ", ".join(reader.parameters(text))
        body.append(f'    "{name}": ({reader.type_of(result)}, [{kinds}]),')
    body.append("}")
    text = "\n".join(body)
    imports = sorted(set(re.findall(r"\b(c_\w+|CFUNCTYPE|Structure)\b", text)))
    lines += [f"    {name}," for name in imports] + [")", "from typing import Any", ""]
    return "\n".join(lines) + "\n" + text + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_abi.py OUT.py")
    Path(sys.argv[1]).write_text(source())

"""The structs of the package have the layout that a C compiler gives the headers, and the same fields."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

from headlane import _abi


def structs() -> dict[str, type[ctypes.Structure]]:
    found = {name: kind for name, kind in vars(_abi).items() if name.startswith("headlane_")}
    return {
        name: kind for name, kind in found.items() if isinstance(kind, type) and issubclass(kind, ctypes.Structure)
    }


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_layout_is_that_of_the_headers(tmp_path: Path) -> None:
    lines = []
    for name, kind in structs().items():
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        for field, *_ in kind._fields_:
            member = f"(({name}*)0)->{field}"
            lines.append(f'printf("{name}.{field} %zu %zu\\n", offsetof({name}, {field}), sizeof({member}));')
    for name in vars(_abi):
        if name.startswith("HEADLANE_"):
            lines.append(f'printf("{name} %d\\n", (int){name});')
    source = tmp_path / "layout.c"
    source.write_text(
        "#include <headlane/headlane.h>\n#include <stdio.h>\nint main(void) {\n" + "\n".join(lines) + "\nreturn 0; }\n"
    )
    program = tmp_path / "layout"
    subprocess.run(["cc", "-I", ROOT / "include", source, "-o", program], check=True)
    said = subprocess.run([program], check=True, capture_output=True, text=True).stdout.split("\n")

    expected = []
    for name, kind in structs().items():
        expected.append(f"{name} {ctypes.sizeof(kind)}")
        for field, *_ in kind._fields_:
            descriptor = getattr(kind, field)
            expected.append(f"{name}.{field} {descriptor.offset} {descriptor.size}")
    expected += [f"{name} {value}" for name, value in vars(_abi).items() if name.startswith("HEADLANE_")]
    assert said[:-1] == expected
    assert len(structs()) > 20


def test_no_header_is_forgotten() -> None:
    said = "".join(path.read_text() for path in (ROOT / "include" / "headlane").glob("*.h"))
    for name in structs():
        assert f"}} {name};" in said
    for name in _abi.FUNCTIONS:
        assert f"{name}(" in said
    assert said.count("HEADLANE_API ") - said.count("#define HEADLANE_API") == len(_abi.FUNCTIONS)
    assert said.count("typedef struct headlane_") - said.count("typedef struct headlane_model headlane_model;") >= len(
        structs()
    )

"""`python -m headlane` and the script `headlane`: the command of the wheel, in place of this process. The command
`embed-files` is Python's own, since it reads files by pyarrow."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    if sys.argv[1:2] == ["embed-files"]:
        from headlane._embed_files import main as embed_files

        raise SystemExit(embed_files(sys.argv[2:]))
    command = Path(__file__).resolve().parent / "bin" / "headlane"
    os.execv(command, ["headlane", *sys.argv[1:]])


if __name__ == "__main__":
    main()

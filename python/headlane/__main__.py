"""`python -m headlane` and the script `headlane`: the command of the wheel, in place of this process."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    command = Path(__file__).resolve().parent / "bin" / "headlane"
    os.execv(command, ["headlane", *sys.argv[1:]])


if __name__ == "__main__":
    main()

# Sourced by the scripts of this folder: what each way of getting Headlane is tested by. Sets
# source (this checkout), build (its release build, $1) and scratch (a folder that goes at the end).
set -euo pipefail
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly source
build=$(cd "$1" && pwd)
readonly build
scratch=$(mktemp -d)
readonly scratch
trap 'rm -rf "$scratch"' EXIT

fail() {
  echo "$*" >&2
  exit 1
}

# shown PATTERN: the block of docs/install.md that has a line like it, ``` and indentation taken off.
shown() {
  awk -v pattern="$1" '
    function settle() {
      if (block ~ pattern && !found) { printf "%s", block; found = 1 }
      block = ""
    }
    /^```/ { fenced = !fenced; settle(); next }
    fenced { block = block $0 "\n"; next }
    /^    / { block = block substr($0, 5) "\n"; next }
    { settle() }
    END { settle(); exit !found }' "$source/docs/install.md" || fail "docs/install.md shows no $1"
}

# A small model, and the example beside it, outside of the tree.
make_model() {
  "$1" convert "$source/tests/golden/bert/head_dim_16_mean_normalize" -o "$scratch/model.headlane"
  cp "$source/examples/embed.c" "$scratch/embed.c"
}

# embeds PROGRAM: the first text is exactly as like itself as the second, which is the same.
embeds() {
  local lines
  lines=$("$1" "$scratch/model.headlane" "a b" "a b" "c") || fail "$1 failed"
  [[ $lines == *" 1.000  a b"*" 1.000  a b"* ]] || fail "$1 says: $lines"
}

# Whether a program needs libheadlane.so: of those that are linked with libheadlane.a, none does.
is_shared() { readelf -d "$1" | grep -q 'NEEDED.*libheadlane\.so\.0'; }

# Sourced by tools/quickstart and tools/test: makes sure of the Debian packages that they need.
#
#   ensure_packages WORD...    WORD: a package, or package=program where the program is enough,
#                              whoever installed it
#
# Installs what is missing by apt-get. Without apt-get it says what is needed and fails, unless
# HEADLANE_PACKAGES=present promises that all of it is there under other names.

# Whether the package, or the program that stands for it, is there.
is_present() {
  local package=${1%%=*} program=${1#*=}
  if [[ $package != "$1" ]] && command -v "$program" >/dev/null; then return 0; fi
  if [[ $package == python3-pip ]] && python3 -m pip --version >/dev/null 2>&1; then return 0; fi
  command -v dpkg-query >/dev/null &&
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed
}

ensure_packages() {
  [[ ${HEADLANE_PACKAGES:-} == present ]] && return
  local word missing=()
  for word in "$@"; do
    is_present "$word" || missing+=("${word%%=*}")
  done
  ((${#missing[@]} == 0)) && return
  if ! command -v apt-get >/dev/null; then
    echo "this machine has no apt-get; please install what these Debian packages hold:" >&2
    printf '  %s\n' "${missing[@]}" >&2
    echo "then run this again with HEADLANE_PACKAGES=present" >&2
    exit 1
  fi
  local as_root=()
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
      echo "please run as root: apt-get install ${missing[*]}" >&2
      exit 1
    fi
    as_root=(sudo)
  fi
  echo "installing ${missing[*]}"
  "${as_root[@]}" apt-get -qq update
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -y install --no-install-recommends "${missing[@]}"
}

# Fails unless cmake is as new as CMakeLists.txt asks.
ensure_cmake() {
  local version
  version=$(cmake --version | awk 'NR == 1 { print $3 }')
  if [[ $(printf '3.25\n%s\n' "$version" | sort -V | head -n 1) != 3.25 ]]; then
    echo "cmake is $version, 3.25 or newer is needed; one way: python3 -m pip install cmake" >&2
    exit 1
  fi
}

# shellcheck disable=SC2034  # used by those who source this
build_packages=(g++=g++ cmake=cmake ninja-build=ninja pkg-config=pkg-config libdnnl-dev
  libxsimd-dev nlohmann-json3-dev libutf8proc-dev libsentencepiece-dev
  libxxhash-dev
  libpango1.0-dev)
# shellcheck disable=SC2034
fetch_packages=(python3=python3 python3-pip)
# shellcheck disable=SC2034
test_packages=(libgtest-dev qemu-user=qemu-x86_64 binutils=nm chromium=chromium
  python3=python3 python3-numpy locales)
# shellcheck disable=SC2034
ci_packages=(libbenchmark-dev clang=clang++ libclang-rt-14-dev llvm=llvm-symbolizer libomp-dev
  clang-format=clang-format clang-tidy=clang-tidy doxygen=doxygen abigail-tools=abidiff
  dpkg-dev=dpkg-shlibdeps gcovr=gcovr valgrind=valgrind)

# Sourced by tools/quickstart and tools/test: makes sure of the Debian packages that they need.
#
#   ensure_packages WORD...    WORD: a package, or package=program where the program is enough,
#                              whoever installed it
#   ensure_cmake               fails unless cmake is as new as CMakeLists.txt asks
#   explain_full_disk          to be called after a failure
#
# ensure_packages installs what is missing by apt-get. Where it cannot, it says what to do and
# fails; the next try goes on from there. Without apt-get, HEADLANE_PACKAGES=present promises that
# all of it is there under other names.

# Whether the package, or the program that stands for it, is there.
is_present() {
  local package=${1%%=*} program=${1#*=}
  if [[ $package != "$1" ]] && command -v "$program" >/dev/null; then return 0; fi
  if [[ $package == python3-pip ]] && python3 -m pip --version >/dev/null 2>&1; then return 0; fi
  command -v dpkg-query >/dev/null &&
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed
}

# One sentence a line, to standard error; then the run ends.
stop() {
  printf '%s\n' "$@" >&2
  exit 1
}

# as_root COMMAND...: runs it as root.
as_root() {
  if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# Ends first what an earlier run was interrupted in. Whether that and the update succeed does not
# matter if the packages can be had. Nothing is removed: then a person has to decide.
run_apt() {
  local apt=(as_root env DEBIAN_FRONTEND=noninteractive
    apt-get -qq -y --no-remove -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300
    -o Acquire::Retries=3)
  as_root dpkg --configure -a || true
  "${apt[@]}" update || true
  "${apt[@]}" install --fix-broken --no-install-recommends || true
  "${apt[@]}" install --no-install-recommends "$@"
}

# Installs packages, and leaves what was said in apt_output as well.
apt_install() {
  local line
  apt_output=""
  while IFS= read -r line; do
    printf '%s\n' "$line" >&2
    apt_output+=$line$'\n'
  done < <(run_apt "$@" 2>&1)
  wait $!
}

# Says why apt_install failed, as far as its output shows.
stop_without() {
  local again="Then run this again: it goes on from here."
  case $apt_output in
    *"No space left on device"* | *"enough free space"*)
      stop "The disk is full: the packages $* could not be installed." \
        "Please free some space; \"df -h / /var\" shows how much there is. $again"
      ;;
    *"Unable to locate package"* | *"no installation candidate"*)
      if grep -q "Failed to fetch" <<<"$apt_output"; then
        stop "The lists of packages could not be downloaded. Is this machine connected to the network?" \
          "Please make \"apt-get update\" work. $again"
      fi
      stop "This system does not offer all of the packages $*." \
        "Headlane needs Debian 12, Ubuntu 24.04 or newer; this is $(system_name)." \
        "Elsewhere, please install what they hold in another way, and run this again with HEADLANE_PACKAGES=present."
      ;;
    *"Failed to fetch"* | *"Unable to fetch"* | *"Temporary failure resolving"*)
      stop "The packages $* could not be downloaded. Is this machine connected to the network?" \
        "Please make \"apt-get update\" work. $again"
      ;;
  esac
  stop "The packages $* could not be installed; apt-get says why above." \
    "Please make \"apt-get install --no-install-recommends $*\" work as root. $again"
}

system_name() {
  # shellcheck source=/dev/null
  (source /etc/os-release 2>/dev/null && echo "${PRETTY_NAME:-another system}") || echo "another system"
}

ensure_packages() {
  [[ ${HEADLANE_PACKAGES:-} == present ]] && return
  local word missing=()
  for word in "$@"; do
    is_present "$word" || missing+=("${word%%=*}")
  done
  ((${#missing[@]} == 0)) && return
  if ! command -v apt-get >/dev/null; then
    stop "This is $(system_name), which has no apt-get. Please install what these Debian packages hold:" \
      "${missing[@]/#/  }" "Then run this again with HEADLANE_PACKAGES=present."
  fi
  if ((EUID != 0)) && ! { command -v sudo >/dev/null && sudo -v; }; then
    stop "Packages are missing, and you are not root and cannot become root by sudo. Please have this run as root:" \
      "  apt-get update && apt-get install --no-install-recommends ${missing[*]}" \
      "Then run this again."
  fi
  echo "installing ${missing[*]}"
  local pause apt_output
  # A mirror that is out of reach for a moment is back soon; a full disk is not.
  for pause in 5 15 0; do
    apt_install "${missing[@]}" && return
    [[ $apt_output == *etch* ]] && ((pause > 0)) || break
    echo "a download failed; next try in $pause s" >&2
    sleep "$pause"
  done
  stop_without "${missing[@]}"
}

ensure_cmake() {
  local version advice="3.25 or newer is needed. One way to get it: \"pip install cmake\" in a virtual environment of Python's."
  command -v cmake >/dev/null || stop "There is no cmake on PATH; $advice"
  version=$(cmake --version | awk 'NR == 1 { print $3 }')
  if [[ $(printf '3.25\n%s\n' "$version" | sort -V | head -n 1) != 3.25 ]]; then
    stop "$(command -v cmake) is version ${version:-unknown}; $advice"
  fi
}

# Compilers, pip and others each say in their own way that a disk is full, or do not say it.
explain_full_disk() {
  local free_mb
  free_mb=$(df --output=avail -BM . | tail -n 1 | tr -dc 0-9) || return 0
  ((free_mb >= 200)) || echo "The disk that holds $PWD is full: $free_mb MB are free." \
    "Please free some gigabytes and run this again: it goes on from here." >&2
}

# shellcheck disable=SC2034  # used by those who source this
build_packages=(g++=g++ cmake=cmake ninja-build=ninja pkg-config=pkg-config libdnnl-dev
  libxsimd-dev nlohmann-json3-dev libcli11-dev libutf8proc-dev libsentencepiece-dev
  libxxhash-dev libpcre2-dev
  libpango1.0-dev)
# shellcheck disable=SC2034
fetch_packages=(python3=python3 python3-pip)
# shellcheck disable=SC2034
test_packages=(libgtest-dev qemu-user=qemu-x86_64 binutils=nm python3=python3 python3-numpy locales)
# Ubuntu offers Chromium as a snap alone; without Chromium the tests that use it are skipped.
grep -qsx 'ID=ubuntu' /etc/os-release || test_packages+=(chromium=chromium)
# shellcheck disable=SC2034
wheel_packages=(python3=python3 python3-dev python3-venv dpkg-dev=dpkg-source patch=patch binutils=nm)
# shellcheck disable=SC2034
bench_packages=(libbenchmark-dev)
# shellcheck disable=SC2034
ci_packages=(clang=clang++ libclang-rt-14-dev llvm=llvm-symbolizer libomp-dev
  clang-format=clang-format clang-tidy=clang-tidy doxygen=doxygen abigail-tools=abidiff
  dpkg-dev=dpkg-shlibdeps gcovr=gcovr valgrind=valgrind debootstrap=debootstrap)

# Sourced by the scripts of this folder, which test README's two commands on a bare Debian 12: a
# root of its own that has nothing except what debootstrap's minbase has, ca-certificates and git.
#
#   tests/bare_root/make          makes the root, and clones this checkout into it
#   tests/bare_root/refusals      what tools/quickstart says where it cannot go on
#   tests/bare_root/quickstart    runs tools/quickstart, and looks at what it prints
#   tests/bare_root/fetch_model   what tools/fetch-model says where it cannot go on
#   tests/bare_root/test          runs tools/test, and takes build/ out of the root
#   tests/bare_root/wheel             the wheel of tools/wheel in roots of its own: Debian 12, Debian 13
#   tests/bare_root/enter COMMAND...    runs a command in the root, for a look by hand
#
# They are run one after another, as root, on a Debian. Nothing of the machine is seen inside, except
# its kernel, its network, and the settings of apt and pip for that network. The checkout has the
# same path inside as outside.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
readonly bare=$PWD/build/bare_root
readonly root=$bare/${BARE_ROOT:-root}

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

# settings: the environment in which the package clients find the network. As `env` takes it.
settings() {
  printf '%s\n' PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
    LANG=C.UTF-8 TERM=dumb
  env | grep -iE '^(https?|ftp|all|no)_proxy=' || true
  [[ -z ${CI:-} ]] || echo "CI=$CI"
  # pip's, from its files and the environment, except folders of this machine.
  python3 -m pip config list 2>/dev/null | sed -nE \
    "s/^(global|:env:|download)\.(index-url|extra-index-url|trusted-host|proxy|cert|timeout|default-timeout|retries)='(.*)'$/\2 \3/p" |
    while read -r name value; do
      kept=()
      for word in $value; do [[ $word == file:* ]] || kept+=("$word"); done
      name=${name^^}
      ((${#kept[@]} == 0)) || echo "PIP_${name//-/_}=${kept[*]}"
    done
}

# inside COMMAND...: runs it in the root, in the checkout. Its mounts and processes are of
# namespaces of their own, so they all end with it, however it ends. NAMESPACES in the environment:
# more of them, as options of unshare.
inside() {
  local environment
  [[ $EUID == 0 ]] || fail "$0 must run as root, since it makes and enters a root of its own"
  [[ -d $root$PWD ]] || fail "there is no root; tests/bare_root/make makes it"
  mapfile -t environment < <(settings)
  # shellcheck disable=SC2086  # words
  unshare --mount --pid --ipc --uts --fork --kill-child --propagation private ${NAMESPACES:-} \
    tests/bare_root/chroot "$root" "$bare/archives" env -i "${environment[@]}" \
    bash -c 'cd "$1" && shift && "$@"' bash "$PWD" "$@" </dev/null
}

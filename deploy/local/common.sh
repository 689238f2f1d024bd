# Shared by quickstart and test: where things are, packages, the build. Sourced by bash.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
jobs=$(nproc)
# Objects are found again from another clone: paths below the root do not count.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1

say() { printf '\n==> %s\n' "$*"; }
fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# The packages of the given kinds that are not installed.
missing_packages() {
  local kind package command wanted
  for wanted in "$@"; do
    while read -r kind package command; do
      [ "$kind" = "$wanted" ] || continue
      [ -n "$command" ] && command -v "$command" >/dev/null && continue
      dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' && continue
      echo "$package"
    done <"$root/deploy/local/packages"
  done
}

install_packages() {
  local missing sudo=""
  missing=$(missing_packages "$@" | sort -u | tr '\n' ' ')
  if [ -z "${missing// /}" ]; then
    say "All Debian packages are installed"
    return
  fi
  command -v apt-get >/dev/null ||
    fail "apt-get not found: this script knows Debian 12; install by hand: $missing"
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "packages are missing and this is not root; run as root: apt-get install $missing"
    sudo=sudo
  fi
  say "Installing Debian packages: $missing"
  $sudo apt-get update -qq || fail "apt-get update failed; is the package mirror reachable?"
  # shellcheck disable=SC2086
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing \
    >/dev/null || fail "apt-get install failed; its messages are above"
}

# configure_and_build PRESET with_tests|without_tests [TARGET...]
configure_and_build() {
  local preset=$1 tests=OFF
  [ "$2" = with_tests ] && tests=ON
  shift 2
  local log="$root/build/$preset.configure.log"
  mkdir -p "$root/build"
  (cd "$root" && cmake --preset "$preset" -DSPEARFISH_TESTS=$tests >"$log" 2>&1) ||
    { cat "$log" >&2; fail "cmake --preset $preset failed; its messages are above"; }
  sed -n 's/^-- \(CUDA backend: \)/\1/p' "$log"
  (cd "$root" && cmake --build "build/$preset" -j "$jobs" ${1:+--target "$@"}) ||
    fail "the $preset build failed; its messages are above"
}

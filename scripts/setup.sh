#!/usr/bin/env bash
# setup.sh build|test...: installs from Debian's packages what is missing for that, and says what it does.
# Quick and silent but for one line when everything is there.
set -euo pipefail

readonly CARGO_MIN=1.91
readonly NODE_MIN=18
packages=()
reasons=()

has() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }

# want REASON PACKAGE...
want() {
  reasons+=("$1")
  shift
  packages+=("$@")
}

# at_least WANTED VERSION
at_least() { printf '%s\n%s\n' "$1" "$2" | sort -VC; }

need() {
  local program=$1
  shift
  has "$program" || want "$program" "${@:-$program}"
}

for_build() {
  # cargo-web and rustc-web are Debian's packages of a current Rust.
  if ! has cargo; then
    want "cargo" cargo-web rustc-web
  elif ! at_least "$CARGO_MIN" "$(cargo --version | cut -d' ' -f2)"; then
    want "cargo $CARGO_MIN or newer" cargo-web rustc-web
  fi
  # C compiler and make: crates that carry C and assembly (ring, aws-lc).
  need cc gcc libc6-dev
  need make
  # libopus is built from the sources that its crate carries.
  need cmake
  need pkg-config
  if ! has node; then
    want "node" nodejs
  elif ! at_least "$NODE_MIN" "$(node --version | tr -d v)"; then
    want "node $NODE_MIN or newer" nodejs
  fi
  need npm
  # The kernel's program of the relay; a build without it leaves that tier out.
  need clang
  [ -e /etc/ssl/certs/ca-certificates.crt ] || want "certificates" ca-certificates
}

for_test() {
  need sipp sip-tester
  need chromium
  need firefox-esr
  need kamailio
  compgen -G '/usr/lib/*/kamailio/modules/presence.so' >/dev/null || want "Kamailio's presence server" kamailio-presence-modules
  need baresip baresip-core
  need rtpengine rtpengine-daemon
  need ip iproute2
  need nft nftables
  need ethtool
  need openssl
  need svmap sipvicious
  # What SRTP is compared with; a program of the tests is compiled against it.
  [ -e /usr/include/srtp2/srtp.h ] || want "libsrtp" libsrtp2-dev
  need cc gcc libc6-dev
}

for_bench() {
  need rtpengine rtpengine-daemon
  need nft nftables
  need valgrind
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif has sudo; then
    sudo "$@"
  else
    echo "setup: must be root, or have sudo, to run: $*" >&2
    exit 1
  fi
}

# A service that a test installs must not start by itself: it would take the ports that the node wants.
leave_off() {
  local unit=$1
  if has systemctl && systemctl is-enabled --quiet "$unit" 2>/dev/null; then
    as_root systemctl disable --now --quiet "$unit" || true
    echo "setup: the service $unit came with the package and is left off"
  fi
}

install_missing() {
  echo "setup: missing: ${reasons[*]}"
  if ! has apt-get; then
    echo "setup: this is no Debian; please install what provides: ${reasons[*]}" >&2
    exit 1
  fi
  echo "setup: apt-get install ${packages[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null </dev/null
  case " ${packages[*]} " in *" kamailio "*) leave_off kamailio.service ;; esac
  case " ${packages[*]} " in *" rtpengine-daemon "*) leave_off rtpengine-daemon.service ;; esac
}

for purpose in "$@"; do
  case $purpose in
    build | test | bench) "for_$purpose" ;;
    *) echo "setup: nothing is known of \`$purpose\`; known: build, test, bench" >&2; exit 2 ;;
  esac
done

if [ "${#packages[@]}" -gt 0 ]; then
  install_missing
fi
echo "setup: everything is there for: $*"

#!/usr/bin/env bash
# release.sh: one static binary of the node for machines like this one. It needs a Linux kernel and nothing else: no library and no version of one.
set -euo pipefail
cd "$(dirname "$0")/.."
# With the target named, the flag counts for the node alone and not for what helps to build it, which cannot be static.
target=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" cargo build --release --target "$target" --package ringfort-node --bin ringfort
binary="${CARGO_TARGET_DIR:-target}/$target/release/ringfort"
needed=$(readelf --dynamic --program-headers "$binary" | grep -E 'NEEDED|INTERP' || true)
if [ -n "$needed" ]; then
  printf 'release.sh: %s asks for libraries:\n%s\n' "$binary" "$needed" >&2
  exit 1
fi
"$binary" --version
printf '%s  %s bytes\n' "$binary" "$(stat --format=%s "$binary")"

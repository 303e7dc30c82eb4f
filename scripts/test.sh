#!/usr/bin/env bash
# Runs what `make test` has built; everything is on disk by now, so no network is asked for. Examples in the documentation come
# first, so that the last line is the runner's verdict on the tests.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

status=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --offline --workspace --doc --quiet </dev/null || status=$?
cargo test --offline --workspace --all-targets --no-fail-fast </dev/null 2>&1 | tee "$log"
[ "${PIPESTATUS[0]}" -eq 0 ] || status=1
# What a test could not try on this machine it says itself; here is the sum, so that nobody has to look for it.
echo "left out, for want of something on this machine: $(grep -c '^left out: ' "$log")"
exit "$status"

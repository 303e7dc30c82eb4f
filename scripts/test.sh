#!/usr/bin/env bash
# Runs what `make test` has built; everything is on disk by now, so no network is asked for. Examples in the documentation come
# first, so that the last line is the runner's verdict on the tests.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

status=0
cargo test --offline --workspace --doc --quiet </dev/null || status=$?
cargo test --offline --workspace --all-targets --no-fail-fast </dev/null || status=$?
exit "$status"

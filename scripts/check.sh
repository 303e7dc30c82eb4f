#!/usr/bin/env bash
# Formatting and lints; says which of them this machine cannot run.
set -euo pipefail
cd "$(dirname "$0")/.."

skipped=()
if cargo fmt --version >/dev/null 2>&1; then
  cargo fmt --all --check
else
  skipped+=("cargo fmt (rustfmt is not installed)")
fi
if cargo clippy --version >/dev/null 2>&1; then
  cargo clippy --workspace --all-targets --quiet -- -D warnings
else
  skipped+=("cargo clippy (clippy is not installed)")
fi

# Known vulnerabilities need a database from outside; the rest needs nothing.
if cargo deny --version >/dev/null 2>&1; then
  cargo deny --offline --log-level error check licenses bans sources
else
  skipped+=("cargo deny (install it with: cargo install cargo-deny --locked)")
fi

# A package whose features differ with and without the members' tests would be built twice (see tests/Cargo.toml).
features() { cargo tree --workspace --edges "$1" --format "{p} {f}" --prefix none | sed 's/ (\*)$//' | sort -u; }
twice=$(comm -23 <(features normal,build) <(features normal,build,dev))
if [ -n "$twice" ]; then
  echo "check: tests turn on further features of these packages, so they are built twice:" >&2
  echo "$twice" >&2
  exit 1
fi

for script in scripts/*.sh .ci/run; do
  bash -n "$script"
done
for skip in "${skipped[@]}"; do
  echo "check: SKIPPED $skip"
done
echo "check: done"

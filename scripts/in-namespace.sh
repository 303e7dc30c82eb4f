#!/usr/bin/env bash
# in-namespace.sh COMMAND...: runs the command in a network of its own that has a loopback interface and nothing else, so
# that no test meets the machine's ports or sends anything outside. Where possible it is a process namespace, too:
# whatever the command leaves behind ends with it.
set -euo pipefail

if [ -n "${RINGFORT_NAMESPACE:-}" ]; then
  exec "$@"
fi
export RINGFORT_NAMESPACE=1

works() { unshare "$@" ip link set lo up >/dev/null 2>&1; }

PATH=$PATH:/usr/sbin:/sbin
with_processes=(--pid --fork --kill-child --mount-proc)
for how in "--net ${with_processes[*]}" "--net" "--map-root-user --net ${with_processes[*]}" "--map-root-user --net"; do
  # shellcheck disable=SC2086 # a list of options
  if works $how; then
    # shellcheck disable=SC2086,SC2016
    exec unshare $how bash -c 'ip link set lo up && exec "$@"' in-namespace "$@"
  fi
done

echo "in-namespace: no network namespace can be made here; using the machine's own loopback" >&2
exec "$@"

#!/usr/bin/env bash
# run.sh BINARY OPTIONS...: runs the node for `make run`. Without a configuration file it keeps what it must remember in ./state,
# so that it needs no rights and leaves nothing elsewhere.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$1
shift
case " $* " in
  *" --config"* | *" -c "*) ;;
  *)
    export RINGFORT_STATE_DIR=${RINGFORT_STATE_DIR:-$PWD/state}
    export RINGFORT_RUN_DIR=${RINGFORT_RUN_DIR:-$PWD/state/run}
    ;;
esac
exec "$binary" run "$@"

#!/usr/bin/env bash
# Builds parkgate for aarch64 and runs it under qemu-user between a device, a broker and a platform (cross/smoke.py):
#   cross/smoke.sh            # builds by cross/build.sh
#   cross/smoke.sh BINARY     # takes this one; a binary for this very machine is run without qemu
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PARKGATE_PYTHON:-.venv/bin/python}
[ -x "$python" ] || { echo "cross/smoke.sh: no Python with the peers; run tests/setup first" >&2; exit 1; }

if [ $# -gt 0 ]; then
    binary=$1
else
    began=$SECONDS
    binary=$(cross/build.sh)
    echo "built in $((SECONDS - began)) s"
fi
# e_machine stands in bytes 18 and 19 of an ELF file: 183 is aarch64.
machine=$(od -An -j18 -N2 -tu2 "$binary" | tr -d ' ')
echo "$binary: $(stat -c %s "$binary") bytes, ELF machine $machine"
if [ "$machine" = 183 ] && [ "$(uname -m)" != aarch64 ]; then
    exec "$python" cross/smoke.py qemu-aarch64-static -L /usr/aarch64-linux-gnu "$binary"
fi
exec "$python" cross/smoke.py "$binary"

#!/usr/bin/env bash
# Builds parkgate for aarch64 Linux, without simulator and embedded broker, and prints the path of the binary:
#   cross/build.sh                # --profile dist (fat LTO): what goes onto the gateway
#   cross/build.sh --lib ...      # further arguments go to cargo (then no path is printed)
#
# PARKGATE_CROSS_PROFILE     `release` saves some minutes, and is what CI builds (default `dist`)
# PARKGATE_CROSS_TARGET_DIR  where cargo builds (default target/cross: another rustc than the machine's, so another folder)
# PARKGATE_CROSS_TOOLCHAIN   `debian` (default: cross/debian.sh sets it up) or `own`: the cargo in PATH knows the target and
#                            aarch64-linux-gnu-gcc is installed, as after `rustup target add aarch64-unknown-linux-gnu`
set -euo pipefail
cd "$(dirname "$0")/.."
triple=aarch64-unknown-linux-gnu
profile=${PARKGATE_CROSS_PROFILE:-dist}
case ${PARKGATE_CROSS_TOOLCHAIN:-debian} in
debian)
    environment=$(cross/debian.sh)
    # shellcheck source=/dev/null
    . "$environment"
    ;;
own)
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar
    ;;
*)
    echo "cross/build.sh: PARKGATE_CROSS_TOOLCHAIN is \`debian\` or \`own\`" >&2
    exit 2
    ;;
esac
# Fat LTO and incremental compilation exclude one another, and a shell may have asked for the latter.
unset CARGO_INCREMENTAL CARGO_PROFILE_RELEASE_INCREMENTAL
export CARGO_TARGET_DIR=${PARKGATE_CROSS_TARGET_DIR:-target/cross}
mkdir -p "$CARGO_TARGET_DIR"
CARGO_TARGET_DIR=$(cd "$CARGO_TARGET_DIR" && pwd)
cargo build --locked --target "$triple" --profile "$profile" --no-default-features "${@:---bin=parkgate}" >&2
[ $# -gt 0 ] || echo "$CARGO_TARGET_DIR/$triple/$profile/parkgate"

#!/usr/bin/env bash
# Takes a screenshot of a page with headless Chromium: tests/browser/shot.sh URL OUT.png [WxH]
# The picture shows the page as the server rendered it: it is whole without script. The profile is new each time.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 URL OUT.png [WIDTHxHEIGHT]" >&2
    exit 2
fi
url=$1 out=$(realpath -m "$2") size=${3:-1440x900}
browser=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
if [ -z "$browser" ]; then
    echo "no chromium found: apt-get install chromium fonts-noto-cjk, or set CHROMIUM" >&2
    exit 3
fi
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
mkdir -p "$(dirname "$out")"
rm -f "$out"
# --no-sandbox: CI runs as root, and the only page loaded is our own on loopback. No --virtual-time-budget: an open event
# stream never lets virtual time pass.
timeout 30 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
    --disable-background-networking --disable-component-update --disable-sync --hide-scrollbars \
    --user-data-dir="$profile" --window-size="${size/x/,}" --screenshot="$out" "$url" >"$profile/log" 2>&1 ||
    { cat "$profile/log" >&2; exit 1; }
[ -s "$out" ] || { echo "no picture was taken" >&2; cat "$profile/log" >&2; exit 1; }

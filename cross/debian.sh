#!/usr/bin/env bash
# Sets up what building for aarch64 needs, from Debian's packages only, and prints the file to source:
#   . "$(cross/debian.sh)"
#
# Debian's rustc-web and cargo-web (amd64) with the standard library for arm64 are unpacked privately; the machine's own
# Rust, its apt lists and its dpkg architectures are not touched. Only the cross C compiler (ring has C code) and qemu-user
# are installed by apt, and only if they are missing.
#
# The result is kept in $PARKGATE_CROSS_DIR (default target/cross-toolchain) and used again. Delete it to get newer versions.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { echo "cross/debian.sh: $*" >&2; }
die() { say "$*"; exit 1; }

dest=${PARKGATE_CROSS_DIR:-target/cross-toolchain}
mkdir -p "$dest"
dest=$(cd "$dest" && pwd)
exec 9>"$dest/.lock"
flock 9 # two jobs at once: the second one waits and finds it ready

install_compilers() {
    local missing=() package
    for package in gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    [ "$(id -u)" = 0 ] || die "install as root first: apt-get install --no-install-recommends ${missing[*]}"
    say "installing ${missing[*]}"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$dest/apt.log" 2>&1 ||
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$dest/apt.log" 2>&1 ||
        { cat "$dest/apt.log" >&2; die "apt-get install failed"; }
}

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || die "needs a Debian machine; cross/README.md has other ways"
[ "$(dpkg --print-architecture)" = amd64 ] || die "written for an amd64 machine; cross/README.md has other ways"
install_compilers
if [ -f "$dest/ready" ]; then
    echo "$dest/env"
    exit 0
fi

# A private apt state that knows both architectures. `private` is an array of options for apt-get and apt-cache.
work=$dest/.work
rm -rf "$work" "$dest/usr" "$dest/bin"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/debs" "$dest/bin"
private=(-o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Architecture=amd64
    -o APT::Architectures::=amd64 -o APT::Architectures::=arm64 -o Acquire::Languages=none -o Acquire::Retries=3
    -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o Debug::NoLocking=true)
[ "$(id -u)" = 0 ] && private+=(-o APT::Sandbox::User=root)
say "reading Debian's package lists for amd64 and arm64"
apt-get "${private[@]}" update -qq >&2 || die "apt-get update failed"

# The newest version that both architectures have: the standard library must match rustc exactly.
versions() { apt-cache "${private[@]}" madison "$1" | awk -F'|' '{gsub(/ /,"",$2); print $2}' | sort -u; }
version=$(comm -12 <(versions rustc-web:amd64) <(versions libstd-rust-web-dev:arm64) | sort -V | tail -1)
[ -n "$version" ] || die "no version of rustc-web and libstd-rust-web-dev for both amd64 and arm64 (needs bookworm with security updates)"
need=$(sed -nE 's/^rust-version = "([0-9.]+)"/\1/p' Cargo.toml)
[ "$(printf '%s\n' "$need" "$version" | sort -V | head -1)" = "$need" ] || die "Debian has rustc-web $version, Cargo.toml needs $need"

# What the compiler needs and this machine has not: asked of a simulated installation, so that no library name is written here.
wanted=("rustc-web:amd64=$version" "cargo-web:amd64=$version")
mapfile -t packages < <(apt-get "${private[@]}" -s --no-install-recommends install "${wanted[@]}" "libstd-rust-web-dev:amd64=$version" |
    sed -nE 's/^Inst ([^ ]+) (\[[^]]*\] )?\(([^ ]+) .*\[(amd64|all)\].*/\1=\3/p')
[ ${#packages[@]} -ge 2 ] || die "apt could not plan the installation of rustc-web $version"
say "downloading rustc-web $version (${#packages[@]} packages, about 150 MB) and the arm64 standard library"
(cd "$work/debs" && apt-get "${private[@]}" -qq download "${packages[@]}" "libstd-rust-web-dev:arm64=$version" >&2) || die "download failed"
for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$dest"; done
rm -rf "$work"

# Wrappers: the private libraries for these two programs only, and the private sysroot.
printf '#!/bin/sh\nLD_LIBRARY_PATH=%s/usr/lib/x86_64-linux-gnu exec %s/usr/bin/rustc --sysroot %s/usr "$@"\n' "$dest" "$dest" "$dest" >"$dest/bin/rustc"
printf '#!/bin/sh\nLD_LIBRARY_PATH=%s/usr/lib/x86_64-linux-gnu exec %s/usr/bin/cargo "$@"\n' "$dest" "$dest" >"$dest/bin/cargo"
chmod +x "$dest/bin/rustc" "$dest/bin/cargo"
cat >"$dest/env" <<ENV
# Made by cross/debian.sh: Debian's rustc $version with the arm64 standard library.
export PATH=$dest/bin:\$PATH RUSTC=$dest/bin/rustc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -L /usr/aarch64-linux-gnu"
unset RUSTUP_TOOLCHAIN RUSTC_WRAPPER
ENV
"$dest/bin/rustc" --version >&2 && "$dest/bin/cargo" --version >&2 || die "the unpacked compiler does not run"
[ -d "$dest/usr/lib/rustlib/aarch64-unknown-linux-gnu/lib" ] || die "the arm64 standard library is not where it was expected"
echo "$version" >"$dest/ready"
say "ready: $dest ($(du -sm "$dest" | cut -f1) MB)"
echo "$dest/env"

#!/usr/bin/env bash
# Builds the functions and the fleet's worker, and packs each function as the zip that Lambda takes.
#
#   infra/build.sh                    functions for arm64, gpu-worker for x86_64: what a deployment needs
#   infra/build.sh --arch ARCH [NAME...]  all of them, or those named, for arm64 or x86_64
#   infra/build.sh --host [NAME...]   the same for this machine, for an emulator; --debug or --release builds faster
#
# Results: target/lambda/ARCH/NAME.zip with `bootstrap` at its root, and target/lambda/ARCH/gpu-worker. For --host the
# folder is target/lambda/host. The same binary gives the same zip, byte for byte.
set -euo pipefail
cd "$(dirname "$0")/.."

functions=(orchestrator cpu-worker dead-letters timer-tick fleet-scaler)
# Lambda's provided.al2023 and Amazon Linux 2023 have this one. A binary for a newer glibc does not start there.
glibc=2.34

fail() {
    echo "infra/build.sh: $1" >&2
    exit 1
}

arch="" host="" profile=lambda names=()
while [ $# -gt 0 ]; do
    case $1 in
    --arch)
        arch=${2:-}
        [ "$arch" = arm64 ] || [ "$arch" = x86_64 ] || fail "--arch takes arm64 or x86_64"
        shift
        ;;
    --host) host=yes ;;
    --debug) profile=dev ;;
    --release) profile=release ;;
    -h | --help)
        sed -n '2,9s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    orchestrator | cpu-worker | dead-letters | timer-tick | fleet-scaler | gpu-worker) names+=("$1") ;;
    *) fail "unknown option or binary $1; see --help" ;;
    esac
    shift
done
command -v cargo >/dev/null || fail "cargo is missing; install rustup, which reads rust-toolchain.toml"
command -v python3 >/dev/null || fail "python3 is missing; it packs the zips"
[ -f functions/Cargo.toml ] || fail "functions/Cargo.toml is missing; run this in a whole checkout"

# zig, which cargo-zigbuild drives, in an environment of its own.
zigbuild() {
    local venv=target/infra/venv-build wanted
    wanted=$(cat infra/requirements-build.txt; python3 --version)
    if [ "$(cat "$venv/installed" 2>/dev/null)" != "$wanted" ]; then
        rm -rf "$venv"
        mkdir -p target/infra
        python3 -m venv "$venv" || fail "Python's venv module is missing"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement infra/requirements-build.txt ||
            fail "the packages of infra/requirements-build.txt cannot be installed; check the network"
        echo "$wanted" >"$venv/installed"
    fi
    PATH="$PWD/$venv/bin:$PATH" cargo zigbuild "$@"
}

# build FOLDER RUST_TARGET BINARY...: an empty target is this machine.
build() {
    local folder=target/lambda/$1 target=$2 built name
    shift 2
    local options=(--locked --package millrace-functions --profile "$profile")
    for name in "$@"; do options+=(--bin "$name"); done
    # The folder that cargo gives a profile.
    built=$profile
    [ "$profile" != dev ] || built=debug
    if [ -z "$target" ]; then
        cargo build "${options[@]}"
        built=${CARGO_TARGET_DIR:-target}/$built
    else
        rustup target list --installed | grep -qx "$target" || rustup target add "$target"
        zigbuild "${options[@]}" --target "$target.$glibc"
        built=${CARGO_TARGET_DIR:-target}/$target/$built
    fi
    mkdir -p "$folder"
    for name in "$@"; do
        if [ "$name" = gpu-worker ]; then
            cp "$built/$name" "$folder/$name"
        else
            pack "$built/$name" "$folder/$name.zip"
        fi
    done
}

# pack BINARY ZIP: a fixed date and fixed rights, so that the bytes depend on the binary alone.
pack() {
    python3 - "$1" "$2" <<'PYTHON'
import os, sys, zipfile
binary, target = sys.argv[1:]
entry = zipfile.ZipInfo("bootstrap", date_time=(1980, 1, 1, 0, 0, 0))
entry.create_system, entry.external_attr = 3, 0o100755 << 16
with zipfile.ZipFile(target + ".new", "w") as archive, open(binary, "rb") as source:
    archive.writestr(entry, source.read(), zipfile.ZIP_DEFLATED, 9)
os.replace(target + ".new", target)
PYTHON
}

triple() {
    case $1 in
    arm64) echo aarch64-unknown-linux-gnu ;;
    x86_64) echo x86_64-unknown-linux-gnu ;;
    esac
}

if [ -n "$host$arch" ]; then
    [ -z "$host" ] || [ -z "$arch" ] || fail "--host and --arch exclude each other"
    [ ${#names[@]} -gt 0 ] || names=("${functions[@]}" gpu-worker)
    built_folders=("${arch:-host}")
    build "${arch:-host}" "$(triple "$arch")" "${names[@]}"
else
    [ ${#names[@]} -eq 0 ] || fail "say for what: --arch or --host"
    built_folders=(arm64 x86_64)
    build arm64 "$(triple arm64)" "${functions[@]}"
    # GPU machines are x86_64, but for a few.
    build x86_64 "$(triple x86_64)" gpu-worker
fi
for folder in "${built_folders[@]}"; do
    for file in "target/lambda/$folder"/*.zip "target/lambda/$folder/gpu-worker"; do
        [ ! -f "$file" ] || printf '%s %s\n' "$(wc -c <"$file")" "$file"
    done
done | awk '{ printf "%6.2f MB  %s\n", $1 / 1e6, $2 }'

#!/usr/bin/env bash
# Runs every fuzz target for FUZZ_SECONDS (600) or the targets named as arguments, and stops at a finding.
# Needs cargo-fuzz; installs it when it is missing. The stable toolchain serves: RUSTC_BOOTSTRAP lets it
# take the sanitizer flags.
set -euo pipefail
cd "$(dirname "$0")"
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz@0.13.2
export RUSTC_BOOTSTRAP=1
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(server_input login client_replies configuration report import_file address)
for target in "${targets[@]}"; do
    mkdir -p "corpus/$target"
    cargo fuzz run --fuzz-dir . "$target" "corpus/$target" "seeds/$target" -- \
        -max_total_time="${FUZZ_SECONDS:-600}" -max_len=16384 -timeout=10 -rss_limit_mb=2048
done

#!/usr/bin/env bash
# Fetches Debian's Exim and OpenSMTPD for the tests, which conflict with Postfix, and unpacks them under
# target/peers/. Nothing is installed or started.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p target/peers
cd target/peers
for package in "$@"; do
    [ -d "$package" ] && continue
    apt-get download -qq "$package"
    dpkg-deb -x "$package"_*.deb "$package.part"
    mv "$package.part" "$package"
    rm -f "$package"_*.deb
done

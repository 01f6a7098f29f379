#!/usr/bin/env bash
# Fetches Debian's Exim and OpenSMTPD for the tests, which conflict with Postfix, and unpacks them under
# target/peers/, beside them the shared libraries that they need and this machine lacks (target/peers/libraries).
# Nothing is installed or started, and no user is made: the tests run them in namespaces of their own.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p target/peers
cd target/peers

fetch() {
    local quiet=(-qq -o APT::Sandbox::User=root)
    apt-get download "${quiet[@]}" "$1" 2>/dev/null && return
    # The package lists are missing or old.
    [ "$(id -u)" = 0 ] && apt-get update -qq
    apt-get download "${quiet[@]}" "$1"
}

unpack() {
    fetch "$1"
    dpkg-deb -x "$1"_*.deb "$2"
    # What is not installed has no business being setuid.
    find "$2" -type f -perm /6000 -exec chmod ug-s {} +
}

# The shared libraries of a package that are not installed here, with what they need in turn; apt only pretends.
missing_libraries() {
    local needs
    needs=$(dpkg-deb -f "$1"_*.deb Depends | tr ',' '\n' | sed 's/^ *//; s/[ (|:].*//' | grep '^lib')
    # shellcheck disable=SC2086  # one word each
    apt-get -s -qq install --no-install-recommends $needs | awk '$1 == "Inst" && $3 ~ /^\(/ { print $2 }'
}

for package in "$@"; do
    [ -d "$package" ] && continue
    echo "fetching $package"
    rm -rf "$package.part" ./*.deb
    unpack "$package" "$package.part"
    for library in $(missing_libraries "$package"); do
        unpack "$library" libraries
    done
    mv "$package.part" "$package"
    rm -f ./*.deb
done

#!/usr/bin/env bash
# Runs every test, on both crypto backends. Installs what they need where it can, and says what to
# install where it cannot.
set -euo pipefail
cd "$(dirname "$0")/.."

# Each line: the program, and the Debian package that brings it.
needs=(
  "cc gcc"
  "redis-server redis-server"
)

missing=()
for need in "${needs[@]}"; do
  read -r program package <<<"$need"
  command -v "$program" >/dev/null 2>&1 || missing+=("$package")
done
# The tests start servers of their own: the package's service stays off.
install() {
  command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" -eq 0 ] || return 1
  echo "installing: $*"
  apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "$@"
}

if [ "${#missing[@]}" -gt 0 ] && ! install "${missing[@]}"; then
  echo "Not installed, and not to be installed from here: ${missing[*]}."
  echo "Install them with your package manager (Debian, Ubuntu: sudo apt-get install ${missing[*]});"
  echo "tests that need them fail until then."
fi

export CARGO_INCREMENTAL=0
export RUST_BACKTRACE=1

echo "== every test, on the aws-lc backend"
cargo test --locked --features full
echo "== every test, on the rust-crypto backend"
cargo test --locked --no-default-features --features full,rust-crypto
echo "== both backends in one binary"
cargo test --locked --features full,rust-crypto --lib
echo "== the foundation alone"
cargo test --locked --no-default-features --lib --tests

#!/usr/bin/env bash
# The signer as image, Linux guest, contained and plain process, side by side: builds what is
# missing and runs `bench forms` with these arguments. docs/unikernel-vs-vm.md shows a run.
set -euo pipefail
cd "$(dirname "$0")/../.."

for argument in "$@"; do
  case $argument in
    -h | --help) exec cargo run --quiet --release --package bench --bin bench -- forms --help ;;
  esac
done
{
  cargo xtask zapps
  cargo xtask image build all
  cargo build --release --workspace --bins
} >&2
exec "${CARGO_TARGET_DIR:-target}/release/bench" forms "$@"

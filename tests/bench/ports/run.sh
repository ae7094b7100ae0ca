#!/usr/bin/env bash
# What the verifiers in JavaScript, Go and Python take, beside public libraries for a part of the
# same work, one after the other in rounds: medians of 15. README.md shows a run.
set -euo pipefail
cd "$(dirname "$0")"

case ${1-} in
  -h | --help)
    echo "usage: tests/bench/ports/run.sh"
    echo "Needs npm with Node from 20.19 on, Go from 1.22 on and Python from 3.10 on with venv; installs"
    echo "what it compares with below the target directory. Prints medians of 15 rounds in µs."
    exit
    ;;
  ?*)
    echo "run.sh takes no arguments: see --help" >&2
    exit 2
    ;;
esac

vectors=$PWD/../../../attestation/vectors/receipt.json
python=${CARGO_TARGET_DIR:-$PWD/../../../target}/bench-python
{
  npm install --no-audit --no-fund --no-package-lock
  [ -x "$python/bin/python" ] || python3 -m venv "$python"
  "$python/bin/pip" install --quiet --requirement ../../../attestation/python/requirements.txt
} >&2
node bench.mjs "$vectors"
(cd go && go run . "$vectors")
"$python/bin/python" -B bench.py "$vectors"

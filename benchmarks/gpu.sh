#!/usr/bin/env bash
# Measure on a GPU what only a GPU can show, in at most eight minutes and without a network, and write docs/gpu.md.
#
#     benchmarks/gpu.sh [--wheels DIR] [--out FILE]        on a machine with CUDA, torch 2.10 or newer and NumPy
#     benchmarks/gpu.sh --device cpu --small               that it runs, in under a minute; writes nothing
#
# Packages that the machine lacks are installed from the wheels in DIR into a temporary folder; torch, NumPy and fvcore are not among
# them. To collect them:  pip download --only-binary :all: --python-version 3.12 --dest DIR --no-deps PACKAGE…
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
wheels="" out="docs/gpu.md" arguments=()
while [ $# -gt 0 ]; do
  case $1 in
    --wheels) wheels=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    --small) out=""; arguments+=("$1"); shift ;;
    --device) arguments+=("$1" "$2"); shift 2 ;;
    *) echo "error: unknown option $1" >&2; exit 2 ;;
  esac
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
missing=$("$python" - <<'PYTHON'
from importlib.util import find_spec
needed = ("click", "rich", "pydantic", "optuna", "sqlalchemy", "filelock")
print(*(name for name in needed if find_spec(name) is None))
PYTHON
)
if [ -n "$missing" ]; then
  if [ -z "$wheels" ]; then
    echo "error: missing: $missing" >&2
    echo "hint: give a folder of wheels with --wheels DIR" >&2
    exit 3
  fi
  # Every wheel is installed, without asking for what it needs: torch and NumPy are the machine's.
  "$python" -m pip install --quiet --no-index --no-deps --target "$scratch" "$wheels"/*.whl
fi
export PYTHONPATH="$PWD:$scratch${PYTHONPATH:+:$PYTHONPATH}" OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
timeout --signal INT 480 "$python" benchmarks/gpu.py "${arguments[@]}" ${out:+--out "$out"}

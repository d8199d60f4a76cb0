#!/usr/bin/env bash
# All benchmarks that need a GPU, on a machine that may have no network, into one Markdown table:
#
#     pip download --dest wheels -c constraints.txt '.[test]' flash-attn     # beforehand, on a machine like it with a network
#     bash benchmarks/gpu.sh wheels results.md
#
# Without a folder of wheels (`bash benchmarks/gpu.sh - results.md`), the packages of the Python in PYTHON (default: python3) are
# used as they are. About 15 minutes on one GPU of 80 GB; results.md grows as it goes. flash-attn is optional.
set -euo pipefail
cd "$(dirname "$0")/.."
wheels=${1:--}
results=${2:-gpu_results.md}
python=${PYTHON:-python3}

if [ "$wheels" != - ]; then
    "$python" -m venv build/gpu
    python=build/gpu/bin/python
    "$python" -m pip install --quiet --no-index --find-links "$wheels" -c constraints.txt setuptools wheel
    "$python" -m pip install --quiet --no-index --find-links "$wheels" -c constraints.txt --no-build-isolation '.[test]'
    "$python" -m pip install --quiet --no-index --find-links "$wheels" --no-deps flash-attn || echo "without flash-attn" >&2
fi

"$python" - > "$results" <<'PYTHON'
import platform, torch
if not torch.cuda.is_available():
    raise SystemExit("torch sees no CUDA GPU")
properties = torch.cuda.get_device_properties(0)
print(f"# {properties.name}, {properties.total_memory / 2**30:.0f} GiB\n")
print(f"torch {torch.__version__}, CUDA {torch.version.cuda}, Python {platform.python_version()}")
PYTHON

run() {
    echo "$*" >&2
    { printf '\n`%s`\n' "python $*"; "$python" "$@"; } >> "$results" || echo "**failed**, see the terminal" >> "$results"
}

run benchmarks/step_cost.py --size 3b --rounds 5
run benchmarks/step_cost.py --size 3b --rounds 3 --tuning lora --variants a,b,e,e-apart
run benchmarks/step_cost.py --size 3b --rounds 3 --tuning qlora --variants a,b,e,e-apart
run benchmarks/diagnosis_speed.py --size 3b --rounds 3
echo "$results" >&2

#!/bin/sh
# Builds the wheel, installs it where the lowest dependencies that it promises are, and runs the suite from another
# directory: wheel_test.sh PYTHON VENV. What is missing in the wheel, or only works in a checkout, fails here.
set -eu
cd "$(dirname "$0")/.."
python=$1
venv=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
"$python" -m pip wheel --quiet --no-deps --wheel-dir "$work/wheel" .
wheel=$(ls "$work"/wheel/*.whl)
echo "built ${wheel##*/}"
"$venv/bin/python" -m pip install --quiet --force-reinstall --no-deps "$wheel"
cp -R tests examples pyproject.toml README.md "$work/"
# What tests the generator and the benchmarks tests the checkout: neither is in the wheel.
rm -r "$work/tests/codegen" "$work"/tests/test_benchmarks*.py
# What runs web frameworks and workers needs them; the wheel does not.
rm -r "$work/tests/web"
# What kills processes and floods them takes minutes, and says nothing of how they were installed.
rm -r "$work/tests/fleet" "$work/tests/test_demo_fleet.py" "$work/tests/proofs/test_programs.py" \
    "$work/tests/proofs/test_flood.py" "$work/tests/stores/test_redis_cancel.py" "$work/tests/stores/test_file_processes.py" \
    "$work/tests/http/test_cancel_rounds.py" "$work/tests/http/test_framing_differential.py" \
    "$work/tests/proofs/test_frames.py" "$work/tests/test_every_operation.py"
# What is arithmetic, or sockets of the standard library, depends on no version of anything; nor does what the emulator
# answers, and nearly all tests here talk to it.
find "$work/tests/emulator" -name 'test_*.py' ! -name test_package.py ! -name test_server.py -delete
find "$work/tests/tokens" -name 'test_*.py' ! -name test_issuer.py ! -name test_cache.py -delete
rm "$work"/tests/http/test_connection_flow.py "$work"/tests/http/test_transport_*.py "$work"/tests/http/test_call_cancel.py \
    "$work"/tests/http/test_limits.py "$work"/tests/http/test_pace.py "$work"/tests/http/test_shares.py
bin=$(cd "$venv/bin" && pwd)
cd "$work"
"$bin/python" - <<'EOF'
import monite_async, monite_async_stores, pathlib
for package in (monite_async, monite_async_stores):
    assert "site-packages" in (package.__file__ or ""), package.__file__
    assert (pathlib.Path(package.__file__).parent / "py.typed").exists()
EOF
"$bin/python" -m pytest -q -n 2 --dist worksteal -m "not checkout" --override-ini=pythonpath=. tests

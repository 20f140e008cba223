#!/bin/sh
# Makes a virtual environment and installs into it: venv.sh DIRECTORY PIP-ARGUMENTS...; a redis-server, too, if need be.
# Nothing outside the directory changes.
set -eu
cd "$(dirname "$0")/.."
directory=$1
shift
python=$(scripts/python.sh)
if ! "$python" -m venv --clear "$directory" >/dev/null 2>"${TMPDIR:-/tmp}/monite-async-venv.$$"; then
    echo "$python cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2
    cat "${TMPDIR:-/tmp}/monite-async-venv.$$" >&2
    rm -f "${TMPDIR:-/tmp}/monite-async-venv.$$"
    exit 1
fi
rm -f "${TMPDIR:-/tmp}/monite-async-venv.$$"
echo "installing into $directory ($("$python" --version))"
# Dependency groups (PEP 735) need pip 25.1; an older pip comes with older Pythons.
"$directory/bin/python" -m pip install --quiet --upgrade "pip>=25.1"
"$directory/bin/python" -m pip install --quiet "$@"
scripts/redis_server.sh "$directory"

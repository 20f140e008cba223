#!/bin/sh
# Prints the Python to use (or with --all, one of each supported minor version), newest patch of the oldest first;
# says what is missing when there is none. PYTHON=... overrides the choice.
set -u

usable() {
    "$1" -c 'import sys; sys.exit(not ((3, 11) <= sys.version_info[:2] < (3, 15)))' 2>/dev/null
}

minor() {
    "$1" -c 'import sys; print(sys.version_info[1])' 2>/dev/null
}

candidates() {
    for version in 3.11 3.12 3.13 3.14; do
        command -v "python$version" 2>/dev/null
        ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version"*/bin/python 2>/dev/null | sort -V -r
        ls -d "$HOME"/.local/share/uv/python/cpython-"$version"*/bin/python 2>/dev/null | sort -V -r
    done
    command -v python3 2>/dev/null
    command -v python 2>/dev/null
}

found=
pick() {
    usable "$1" || return 1
    case " $found " in *" $(minor "$1") "*) return 1 ;; esac
    found="$found $(minor "$1")"
    printf '%s\n' "$1"
}

if [ "${1:-}" = "--all" ]; then
    for python in $(candidates); do pick "$python"; done
else
    if [ -n "${PYTHON:-}" ]; then
        if usable "$PYTHON"; then printf '%s\n' "$PYTHON"; exit 0; fi
        echo "PYTHON=$PYTHON is not a Python 3.11 to 3.14" >&2
        exit 1
    fi
    for python in $(command -v python3 2>/dev/null) $(candidates); do
        if pick "$python"; then exit 0; fi
    done
fi
[ -n "$found" ] && exit 0
echo "monite-async needs Python 3.11 or newer (3.11 to 3.14 are supported) and found none." >&2
echo "Install one (python.org, 'apt install python3 python3-venv', 'brew install python@3.12'), or say PYTHON=/path/to/python." >&2
exit 1

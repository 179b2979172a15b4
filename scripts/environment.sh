# Sourced by the scripts, which set $here to the top of the checkout: `environment vstore` or `environment dev` makes the private
# environment .venv when it is missing, was moved, or was made from another pyproject.toml (dev: or another uv.lock).
# The usual case, nothing to do, starts no Python: builtin tests, one read and one or two cmp.

python_of_this_machine() {
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    echo "vstore: needs Python 3.11 or newer, and finds none on the search path" >&2
    return 1
}

environment() {
    made=$here/.venv/made
    bin=.venv/bin
    if [ "${OS:-}" = Windows_NT ]; then bin=.venv/Scripts; fi
    if [ -x "$here/$bin/python" ] && [ -r "$made/place" ]; then
        read -r place <"$made/place" || place=
        if [ "$here/.venv" -ef "$place/.venv" ] && cmp -s "$here/pyproject.toml" "$made/$1.toml" &&
            { [ "$1" != dev ] || cmp -s "$here/uv.lock" "$made/uv.lock"; }; then
            return
        fi
    fi
    python=$(python_of_this_machine) && "$python" "$here/scripts/environment.py" "$1" >&2
}

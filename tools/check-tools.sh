#!/bin/sh
# Say in one line what is missing, and how to install it.
python=$1
missing=""
command -v "$python" >/dev/null 2>&1 || missing="$missing python3.11"
"$python" -c 'import venv, ensurepip' >/dev/null 2>&1 || missing="$missing python3.11-venv"
for tool in g++ make perl git; do
    command -v $tool >/dev/null 2>&1 || missing="$missing $tool"
done
if [ -n "$missing" ]; then
    echo "missing:$missing. Install with: sudo apt-get install$missing" >&2
    exit 1
fi

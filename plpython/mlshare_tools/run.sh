#!/bin/sh
# Make sure that the system's Python can run the tools, then run them: run.sh COMMAND …
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
python=/usr/bin/python3
packages="python3 python3-venv"

ready() { [ -x $python ] && $python -c 'import venv, ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

if ! ready && command -v apt-get >/dev/null; then
    if [ "$(id -u)" = 0 ]; then root=; else root="sudo -n"; fi
    if [ -n "$root" ] && ! $root true 2>/dev/null; then
        echo "mlshare: missing Debian packages: $packages" >&2
        echo "mlshare: install them as root (apt-get install $packages) and run this again" >&2
        exit 1
    fi
    echo "mlshare: installing $packages …" >&2
    install="$root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0"
    $install install -y --no-install-recommends $packages >/dev/null 2>&1 || {
        $install update >/dev/null
        $install install -y --no-install-recommends $packages >/dev/null
    }
fi
ready || { echo "mlshare: /usr/bin/python3 with venv, version 3.11 or later, is needed" >&2; exit 1; }

umask 022
PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 exec $python -m mlshare_tools "$@"

# SPDX-License-Identifier: Apache-2.0
# Sourced by the programs in this folder: where things are, and how they speak. $tool is the caller's name.
# shellcheck shell=sh disable=SC2034
root=$(cd "$(dirname "$0")/.." && pwd)
tool=${tool:-$(basename "$0")}
state=$root/.lava-exec
label=lava-exec

bold='' dim='' red='' off=''
if [ -t 2 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    bold=$(printf '\033[1m') dim=$(printf '\033[2m') red=$(printf '\033[31m') off=$(printf '\033[0m')
fi

# say TEXT: one short line of progress.
say() { printf '%s%s:%s %s\n' "$bold" "$tool" "$off" "$*" >&2; }
# note TEXT: less important than say.
note() { printf '%s%s: %s%s\n' "$dim" "$tool" "$*" "$off" >&2; }
# die CAUSE [NEXT STEP]
die() {
    printf '%s%s: %s%s\n' "$red" "$tool" "$1" "$off" >&2
    [ -z "${2:-}" ] || printf '%s: %s\n' "$tool" "$2" >&2
    exit 1
}

# quietly LOG COMMAND…: keeps a command's output in a file and shows its end only when the command fails.
quietly() {
    log=$1
    shift
    mkdir -p "$(dirname "$log")"
    if "$@" >"$log" 2>&1; then
        return 0
    fi
    tail -n 30 "$log" >&2
    die "'$1' failed" "everything it said is in $log"
}

# ca_bundle: the host's certificate authorities, a private one included, as a path; nothing when there are none.
ca_bundle() {
    for bundle in "${SSL_CERT_FILE:-}" "${PIP_CERT:-}" "${REQUESTS_CA_BUNDLE:-}" /etc/ssl/certs/ca-certificates.crt \
        /etc/pki/tls/certs/ca-bundle.crt; do
        if [ -f "$bundle" ]; then
            echo "$bundle"
            return 0
        fi
    done
    [ ! -x "$root/.venv/bin/python" ] || "$root/.venv/bin/python" -m certifi
}

# sha256 FILE…: one hash over the names and contents of files, for stamps.
sha256() { sha256sum -- "$@" | sha256sum | cut -c1-64; }

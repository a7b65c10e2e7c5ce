#!/bin/sh
# Starts Redis or Valkey, after repairing an append-only file (AOF) that a power failure has truncated.
#
#     start-redis.sh CONFIG FOLDER [server options, such as --port 6380]
#
# If Redis 7.0.15 loads an AOF that was truncated inside a transaction, it keeps the first half of the transaction and
# executes it at the next restart, together with later writes. `redis-check-aof --fix` removes the whole transaction. That is
# correct, because its EXEC was never on disk. The removed bytes are kept in FOLDER/torn-TIME.aof.
#
# REDIS_SERVER: the server's executable, if not valkey-server or redis-server on the PATH. The matching -check-aof must be in
#     the same folder.
# AOF_TORN_MAX: bytes (default 64 MB). If more would be removed, the file is damaged in another way, and a person must check it.
set -eu

say() { printf 'start-redis: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

[ $# -ge 2 ] || die 'usage: start-redis.sh CONFIG FOLDER [server options]'
config=$1 folder=$2
shift 2
server=${REDIS_SERVER:-$(command -v valkey-server || command -v redis-server)} || die 'found neither valkey-server nor redis-server'
check=${server%-server}-check-aof

repair() { # AOF
    if report=$("$check" "$1" 2>&1); then
        return
    fi
    # "AOF analyzed: filename=..., size=108, ok_up_to=50, ok_up_to_line=26, diff=58"
    torn=${report##*diff=}
    torn=${torn%%[!0-9]*}
    [ -n "$torn" ] || die "$check $1: $report"
    [ "$torn" -le "${AOF_TORN_MAX:-67108864}" ] ||
        die "$1: damaged $torn bytes before its end, expected at most AOF_TORN_MAX=${AOF_TORN_MAX:-67108864}"
    kept=$folder/torn-$(date -u +%Y%m%dT%H%M%SZ).aof
    tail -c "$torn" "$1" >"$kept"
    echo y | "$check" --fix "$1" >/dev/null || die "$1: the repair failed"
    say "$1: cut off $torn bytes of an unfinished write, kept in $kept"
}

# Only the last incremental file can be truncated: the others were complete before it was created. The file itself is checked,
# not the manifest, because valkey-check-aof up to 9.1.2 reports valid base files as damaged (valkey pull request 4739).
manifest=$folder/appendonlydir/appendonly.aof.manifest
last=
if [ -e "$manifest" ]; then
    while read -r line; do # file appendonly.aof.1.incr.aof seq 1 type i
        case $line in *' type i'*) last=${line#file } last=${last%% *} ;; esac
    done <"$manifest"
fi
if [ -n "$last" ]; then
    if [ -x "$check" ]; then
        repair "$folder/appendonlydir/$last"
    else
        say "no $check: if the AOF is truncated, the server will refuse it (aof-load-truncated no)"
    fi
fi

# The server replaces this shell, so that signals reach it.
exec "$server" "$config" --dir "$folder" "$@"

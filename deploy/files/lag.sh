#!/bin/sh
# Prints the learner's lag, one line for each actor. Needs only redis-cli.
#
#     lag.sh [RUN [redis-cli options]]        lag.sh default -h redis.example -p 6380
#
# lag: entries not read yet (nil: the server cannot compute it). pending: entries read but not committed yet. backlog: all
# entries in the stream. In a running system the numbers change between two commands, so lag + pending can differ from the
# backlog by a few entries.
# REDIS_CLI: the client, if not redis-cli or valkey-cli. REDISCLI_AUTH: the password, as for redis-cli.
set -eu

run=${1:-default}
[ $# -eq 0 ] || shift
case $run in *[!A-Za-z0-9_.-]*)
    echo "lag: run $run, expected letters, digits, '_', '.', '-'" >&2
    exit 2
    ;;
esac
cli=${REDIS_CLI:-$(command -v redis-cli || command -v valkey-cli)}
keys="broodmind:{$run}"

names=$("$cli" -e "$@" HKEYS "$keys:roster") # -e: an error reply is a failure
if [ -z "$names" ]; then
    echo "lag: no actors in run $run" >&2
    exit 1
fi

ask() { # all commands in one connection; the reply to each PING names the actor of the replies that follow
    printf '%s\n' "$names" | while IFS= read -r actor; do
        case $actor in *[!A-Za-z0-9_.-]*) continue ;; esac # the learner does not read such a name either
        stream="$keys:trajectories:$actor"
        printf 'PING "actor %s"\nXLEN %s\nXINFO GROUPS %s\n' "$actor" "$stream" "$stream"
    done
}

row() { printf '%-48s %8s %8s %8s\n' "$@"; }

show() {
    actor='' total_lag=0 total_pending=0 total_backlog=0
    while IFS= read -r line; do
        case $line in
        'actor '*)
            finish
            actor=${line#actor } backlog='' lag=nil pending=0 group='' field=''
            continue
            ;;
        esac
        if [ -z "$backlog" ]; then
            backlog=$line
        elif [ -z "$field" ]; then
            field=$line
        else
            case $field in
            name) group=$line ;;
            pending) [ "$group" != learner ] || pending=$line ;;
            lag) [ "$group" != learner ] || lag=${line:-nil} ;;
            esac
            field=''
        fi
    done
    finish
    row total "$total_lag" "$total_pending" "$total_backlog"
}

finish() { # print the row of the actor whose replies have been read
    [ -n "$actor" ] || return 0
    row "$actor" "$lag" "$pending" "$backlog"
    case $total_lag$lag in
    *nil*) total_lag=nil ;;
    *) total_lag=$((total_lag + lag)) ;;
    esac
    total_pending=$((total_pending + pending)) total_backlog=$((total_backlog + backlog))
}

answers=$(ask | "$cli" "$@")
row actor lag pending backlog
printf '%s\n' "$answers" | show

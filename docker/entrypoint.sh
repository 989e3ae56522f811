#!/bin/sh
# The image's commands. `exec`: Python must be process 1, or a stop request would never reach it.
commands="the commands are train (docker run IMAGE train) and serve (docker run -p 8080:8080 IMAGE serve)"

case "${1-}" in
train | serve)
    exec python -m "$@"
    ;;
-h | --help | help)
    echo "kennel: $commands."
    ;;
"")
    echo "kennel: no command given; $commands." >&2
    exit 2
    ;;
*)
    # python, bash and the like, for a look around.
    if command -v "$1" >/dev/null 2>&1; then exec "$@"; fi
    echo "kennel: unknown command '$1'; $commands." >&2
    exit 2
    ;;
esac

#!/usr/bin/env bash
# Asks a running server about one image and prints its answer.
#
#   local_test/predict.sh IMAGE_FILE [CONTENT_TYPE]       CONTENT_TYPE: by the file's extension when left out
#
# PORT=8080 on this machine, or URL=http://host:port. ACCEPT=text/csv asks for all probabilities.
set -euo pipefail

case "${1-}" in
    -h | --help) awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$0"; exit 0 ;;
    "") echo "predict.sh: IMAGE_FILE is missing. Usage: predict.sh IMAGE_FILE [CONTENT_TYPE]; --help says more." >&2; exit 2 ;;
esac
file=$1
url=${URL:-http://localhost:${PORT:-8080}}/invocations
[ -f "$file" ] || { echo "predict.sh: there is no file $file." >&2; exit 2; }

type=${2-}
if [ -z "$type" ]; then
    case "$(printf '%s' "${file##*.}" | tr '[:upper:]' '[:lower:]')" in
        jpg | jpeg) type=image/jpeg ;;
        png | webp | gif | bmp) type=image/$(printf '%s' "${file##*.}" | tr '[:upper:]' '[:lower:]') ;;
        tif | tiff) type=image/tiff ;;
        *) type=application/octet-stream ;; # the server looks at the bytes
    esac
fi

answer=$(mktemp)
trap 'rm -f "$answer"' EXIT
status=$(curl --silent --show-error --output "$answer" --write-out '%{http_code}' --data-binary "@$file" \
    --header "Content-Type: $type" --header "Accept: ${ACCEPT:-application/json}" "$url") || {
    echo "predict.sh: no answer from $url: start a server with local_test/serve_local.sh." >&2
    exit 1
}
if [ "$status" != 200 ]; then
    echo "predict.sh: $url answered $status to $file as $type: $(cat "$answer")" >&2
    exit 1
fi
cat "$answer"
[ -z "$(tail -c 1 "$answer")" ] || echo

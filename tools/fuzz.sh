#!/usr/bin/env bash
# Runs every fuzzer of the repository, one after the other, each for so long: tools/fuzz.sh 3s. What it finds goes to the
# package's testdata/fuzz, where make test runs it from then on; what it learned stays in Go's build cache.
set -euo pipefail
cd "$(dirname "$0")/.."
budget="${1:-60s}"
count=0
while IFS=: read -r file name; do
  count=$((count + 1))
  echo "fuzz ${file%/*} $name"
  if ! out="$(go test "./${file%/*}" -run '^$' -fuzz "^$name\$" -fuzztime "$budget" 2>&1)"; then
    printf '%s\n' "$out"
    exit 1
  fi
done < <(grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed 's|^\./||; s|:func |:|' | sort)
[ "$count" -gt 0 ] || { echo "no fuzzer was found" >&2; exit 1; }
echo "$count fuzzers ran for $budget each and found nothing"

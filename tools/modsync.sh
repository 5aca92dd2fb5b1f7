#!/usr/bin/env bash
# Writes, in each module of go.work, a replace line for every sibling it imports, directly or not, and tidies its
# requirements, so that `GOWORK=off` builds (containers) work. Replace lines are not inherited, so each module needs the
# full list. With -check it only says which module is stale or does not build alone.
set -euo pipefail
cd "$(dirname "$0")/.."
module=github.com/millrace/millrace
# module folder -> sibling folders in its closure
siblings() {
  case $1 in
  .) echo sdk ;;
  sdk) ;;
  services/api | services/scheduler | services/taskrunner) echo . sdk ;;
  services/allinone) echo . sdk services/api services/scheduler services/taskrunner ;;
  esac
}
stale=0
if grep -q '^require' sdk/go.mod; then
  echo "sdk may need nothing but the standard library, its tests neither" >&2
  exit 1
fi
for m in . sdk services/api services/scheduler services/taskrunner services/allinone; do
  work=$(mktemp -d)
  cp "$m/go.mod" "$work/go.mod"
  for s in $(siblings "$m"); do
    name=$module
    [ "$s" = . ] || name=$module/$s
    path=$(realpath -m --relative-to="$m" "$s")
    case $path in ..*) ;; *) path=./$path ;; esac
    (cd "$work" && GOWORK=off go mod edit -replace="$name=$path")
  done
  if ! cmp -s "$m/go.mod" "$work/go.mod"; then
    if [ "${1:-}" = -check ]; then
      echo "$m/go.mod is stale: run make modsync" >&2
      stale=1
    else
      cp "$work/go.mod" "$m/go.mod"
    fi
  fi
  rm -rf "$work"
  if [ "${1:-}" = -check ]; then
    (cd "$m" && GOWORK=off go vet ./...) || { echo "$m does not build alone: run make modsync" >&2; stale=1; }
  else
    (cd "$m" && GOWORK=off go mod tidy)
  fi
done
exit $stale

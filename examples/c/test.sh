#!/bin/sh
# Runs the plugin on a few ops and checks the results: sh test.sh PLUGIN
set -u
plugin=$1
failed=0

expect() {
  wanted=$1
  shift
  got=$("${GTM_HOST:-gtm-host}" try "$plugin" --output json "$@" 2>&1)
  case $got in
    *"$wanted"*) echo "ok: $wanted" ;;
    *) echo "not ok: $wanted is not in $got" >&2; failed=1 ;;
  esac
}

expect 'Hello Ada' --insert app.users '{"_id": 1, "name": "Ada", "email": "ada@example.com"}'
expect 'Subject: Hi' --insert app.users '{"_id": 1, "email": "ada@example.com"}' --set subject=Hi
expect 'email: expected a string, found nothing' --insert app.users '{"_id": 1, "name": "Ada"}'
expect '"outcome":"unwanted"' --insert app.orders '{"_id": 1}'
expect '"outcome":"unwanted"' --delete app.users '{"_id": 1}'
exit $failed

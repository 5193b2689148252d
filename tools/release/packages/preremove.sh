#!/bin/sh
# Before a removal ("remove", 0) or an upgrade ("upgrade", 1), called by dpkg and rpm.
set -e
[ -d /run/systemd/system ] || exit 0
case "$1" in
remove | 0) systemctl disable --now mintmark.service mintmark-agent.service ;;
esac

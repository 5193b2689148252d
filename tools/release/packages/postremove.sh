#!/bin/sh
# After a removal or an upgrade. The data in /var/lib/mintmark stays, also when the package is purged: the keys of the store are there.
set -e
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload

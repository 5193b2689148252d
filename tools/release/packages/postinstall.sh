#!/bin/sh
# After an installation or upgrade, called by dpkg ("configure") and rpm (the number of versions installed).
set -e
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
# Restarts what runs, and starts nothing.
systemctl try-restart mintmark.service mintmark-agent.service

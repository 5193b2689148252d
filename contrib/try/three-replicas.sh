#!/bin/sh
# Starts three etcd members and three servers over them on loopback, to try out several replicas. It needs Go and this repository.
#
#   contrib/try/three-replicas.sh [DIRECTORY]     Ctrl-C ends all of them; the directory (./three-replicas) keeps their data
#
# PORT is that of the first server (7443), ETCD_PORT that of the first etcd member (23790); each uses the next ones, too.
set -eu
umask 077
source=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "${1:-three-replicas}"
dir=$(cd "${1:-three-replicas}" && pwd)
port=${PORT:-7443}
etcd=${ETCD_PORT:-23790}

echo "Building; the first time this takes some minutes"
(cd "$source" && go build -o "$dir/" ./cmd/mintmark ./faults)

# The servers encrypt the private keys in etcd with a key that all of them have.
if [ ! -e "$dir/encryption.yaml" ]; then
	cat >"$dir/encryption.yaml" <<YAML
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets, signingkeys.mintmark.io]
  providers:
  - secretbox:
      keys:
      - {name: first, secret: $(head -c 32 /dev/urandom | base64)}
  - identity: {}
YAML
fi

pids=
finish() {
	trap - EXIT INT TERM
	for pid in $pids; do kill "$pid" 2>/dev/null || true; done
	wait
}
trap finish EXIT
trap 'exit 130' INT TERM

cluster= servers=
for i in 1 2 3; do
	cluster=$cluster${cluster:+,}etcd-$i=http://127.0.0.1:$((etcd + 9 + i))
	servers=$servers${servers:+,}http://127.0.0.1:$((etcd + i - 1))
done
for i in 1 2 3; do
	"$dir/faults" member --name "etcd-$i" --dir "$dir/etcd-$i" --client "127.0.0.1:$((etcd + i - 1))" --peer "127.0.0.1:$((etcd + 9 + i))" \
		--cluster "$cluster" --quota 2147483648 >>"$dir/etcd-$i.log" 2>&1 &
	pids="$! $pids"
done

# The first server makes the certificate authority and fixes the issuer, and the others take part in both.
for i in 1 2 3; do
	"$dir/mintmark" serve --data-dir "$dir/replica-$i" --secure-port $((port + i - 1)) --etcd-servers "$servers" \
		--encryption-provider-config "$dir/encryption.yaml" >"$dir/replica-$i.log" 2>&1 &
	server=$!
	pids="$server $pids"
	tries=0
	until "$dir/mintmark" token create default --data-dir "$dir/replica-$i" >/dev/null 2>&1; do
		tries=$((tries + 1))
		if [ $tries -gt 120 ] || ! kill -0 "$server" 2>/dev/null; then
			echo "replica-$i does not serve:" >&2
			tail -n 5 "$dir/replica-$i.log" >&2
			exit 1
		fi
		sleep 0.5
	done
	echo "replica-$i serves https://127.0.0.1:$((port + i - 1)) (process $server)"
done

cat <<TEXT

A token of the first, reviewed by the second:
  $dir/mintmark token create default --data-dir $dir/replica-1 | $dir/mintmark token review --data-dir $dir/replica-2 -
Kill any one server or etcd member, and the others go on. The logs are in $dir.
TEXT
wait

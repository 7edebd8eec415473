# shellcheck shell=bash
# Redis cluster: nodes 1-3 are primaries, node 4 follows 1, 5 follows 2, 6 follows 3. TLS only.

COMPONENT_PORTS[redis]="REDIS_1_PORT REDIS_2_PORT REDIS_3_PORT REDIS_4_PORT REDIS_5_PORT REDIS_6_PORT
  REDIS_BUS_1_PORT REDIS_BUS_2_PORT REDIS_BUS_3_PORT REDIS_BUS_4_PORT REDIS_BUS_5_PORT REDIS_BUS_6_PORT"

redis_start() {
  local user at=$DIR/redis n port bus
  user=$(service_user redis)
  folder "$user" "$at"
  certs_for "$user" "$at"
  for n in 1 2 3 4 5 6; do
    port=REDIS_${n}_PORT bus=REDIS_BUS_${n}_PORT
    folder "$user" "$at/$n"
    cat >"$at/$n/redis.conf" <<CONF
bind 127.0.0.1
port 0
tls-port ${!port}
tls-cluster yes
tls-replication yes
tls-auth-clients optional
tls-ca-cert-file $at/ca.pem
tls-cert-file $at/server.pem
tls-key-file $at/server.key
cluster-enabled yes
cluster-port ${!bus}
cluster-node-timeout 2000
cluster-config-file nodes.conf
repl-diskless-sync yes
repl-diskless-sync-delay 0
dir $at/$n
pidfile $at/$n/pid
daemonize no
save ""
appendonly no
maxmemory 256mb
maxmemory-policy allkeys-lru
timeout 300
requirepass $(secret redis)
masterauth $(secret redis)
CONF
    owned "$user" 0600 "$at/$n/redis.conf"
    redis_node "$n"
  done
  for n in 1 2 3 4 5 6; do ready "redis-$n" 15 redis_says "$n" PONG ping; done
  redis_cluster
  redis_marked
}

# redis_node N: starts it, for the first time or again with what it knows of the cluster.
redis_node() {
  process_start "redis-$1" "$(service_user redis)" "$DIR/redis/$1" "$(program redis-server)" "$DIR/redis/$1/redis.conf"
}

# redis_rejoin: whoever is down comes back as a replica. Does no harm where nobody is.
redis_rejoin() {
  local n
  for n in 1 2 3 4 5 6; do
    process_continue "redis-$n"
    process_alive "redis-$n" && continue
    # Back before its replica was promoted, it would be the primary again, with nothing in it.
    wait_until 30 redis_served "$n" || say "redis: the slots of node $n are nobody's; it takes them back empty"
    redis_node "$n"
  done
  for n in 1 2 3 4 5 6; do ready "redis-$n" 40 redis_whole "$n"; done
  redis_marked
}

# redis_served N: some other node sees node N without slots: a replica has taken them over, or N was one.
redis_served() {
  local n port=REDIS_$1_PORT
  for n in 1 2 3 4 5 6; do
    if [[ $n != "$1" ]] && process_alive "redis-$n"; then
      redis_cli "$n" cluster nodes | awk -v at=":${!port}@" 'index($2, at) && NF == 8 { found = 1 } END { exit !found }'
      return
    fi
  done
  return 1
}

# redis_marked: the pid file of the fault that loses a primary names one that has slots. Once lost, it
# is named until it is back.
redis_marked() {
  local n
  mkdir -p "$DIR/faults"
  for n in 1 2 3 4 5 6; do
    if [[ $(redis_cli "$n" role | head -n 1) == master ]]; then
      cp -- "$DIR/run/redis-$n.pid" "$DIR/faults/cache-primary.pid.new"
      mv -- "$DIR/faults/cache-primary.pid.new" "$DIR/faults/cache-primary.pid"
      return
    fi
  done
}

# The cluster is put together by hand: which node follows which is then known, and it takes a
# second where redis-cli's own command takes five.
redis_cluster() {
  local n id bus port
  local slots=("" "0 5460" "5461 10922" "10923 16383")
  for n in 1 2 3; do
    # shellcheck disable=SC2086
    redis_cli "$n" cluster addslotsrange ${slots[n]} >/dev/null
  done
  for n in 1 2 3 4 5 6; do redis_cli "$n" cluster set-config-epoch "$n" >/dev/null; done
  for n in 2 3 4 5 6; do
    port=REDIS_${n}_PORT bus=REDIS_BUS_${n}_PORT
    redis_cli 1 cluster meet 127.0.0.1 "${!port}" "${!bus}" >/dev/null
  done
  for n in 4 5 6; do
    id=$(redis_cli $((n - 3)) cluster myid)
    wait_until 15 redis_follow "$n" "$id" || fail "redis: node $n doesn't accept its primary"
  done
  for n in 1 2 3 4 5 6; do ready "redis-$n" 20 redis_whole "$n"; done
}

# Refused until node N has met the primary.
redis_follow() { redis_says "$1" OK cluster replicate "$2"; }

redis_cli() {
  local port=REDIS_$1_PORT
  shift
  REDISCLI_AUTH=$(secret redis) timeout 5 redis-cli --no-auth-warning --tls --cacert "$DIR/certs/ca.pem" \
    -h 127.0.0.1 -p "${!port}" "$@" 2>/dev/null
}

redis_says() {
  local n=$1 answer=$2
  shift 2
  [[ $(redis_cli "$n" "$@") == "$answer" ]]
}

# Node N sees all six nodes, all slots, and its own link to its primary or replica.
redis_whole() {
  local cluster role
  cluster=$(redis_cli "$1" cluster info) || return 1
  [[ $cluster == *cluster_state:ok* && $cluster == *cluster_known_nodes:6* &&
    $cluster == *cluster_slots_ok:16384* && $cluster == *cluster_size:3* ]] || return 1
  role=$(redis_cli "$1" info replication) || return 1
  [[ $role == *role:master*connected_slaves:1*state=online* || $role == *master_link_status:up* ]]
}

redis_healthy() {
  local n
  for n in 1 2 3 4 5 6; do process_alive "redis-$n" && redis_whole "$n" || return 1; done
}

redis_stop() {
  local n
  # Nothing is kept, so nothing has to be said goodbye to.
  for n in 1 2 3 4 5 6; do process_stop "redis-$n" KILL 5; done
  stop_strays "$DIR/redis"
  rm -rf -- "$DIR/redis"
}

redis_processes() { echo redis-{1..6}; }

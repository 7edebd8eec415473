# shellcheck shell=bash
# PostgreSQL: a primary and a standby that streams from it through a replication slot, what promotes
# the standby when the primary is lost (failover.sh), and the address at which the primary is found
# wherever it is (relay.sh).
#
# A node is known by its port, which its data folder is named by. Which of the two is the primary
# may change: its port is PG_PRIMARY_PORT, its pid file run/postgres-primary.pid.

COMPONENT_PORTS[postgres]="PG_PRIMARY_PORT PG_STANDBY_PORT PG_ENDPOINT_PORT"

postgres_start() {
  local user at=$DIR/postgres bin primary standby
  bin=$(pg_bin)
  primary=$(postgres_data "$PG_PRIMARY_PORT") standby=$(postgres_data "$PG_STANDBY_PORT")
  user=$(service_user postgres)
  folder "$user" "$at"
  certs_for "$user" "$at"
  # Made here, so that a failed initdb empties them and doesn't remove them: see postgres_segments.
  folder "$user" "$primary"
  folder "$user" "$standby"
  as_user "$user"
  local as=("${AS[@]}")

  secret postgres-admin >"$at/admin.pw"
  owned "$user" 0600 "$at/admin.pw"
  (cd "$at" && "${as[@]}" "$bin/initdb" -D "$primary" -U postgres --auth=scram-sha-256 \
    "--pwfile=$at/admin.pw" --no-sync --locale=C -E UTF8) >"$DIR/log/postgres-primary.log" 2>&1 ||
    fail "initdb: $(last_words postgres-primary)"
  rm -f -- "$at/admin.pw"
  cat >>"$primary/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
shared_buffers = 256MB
wal_level = replica
hot_standby = on
wal_log_hints = on
wal_keep_size = 256MB
# The slot keeps what the standby hasn't read, up to this.
max_slot_wal_keep_size = 2GB
max_replication_slots = 8
max_wal_senders = 8
# Files, not /dev/shm: a killed server then leaves nothing outside its folder.
dynamic_shared_memory_type = mmap
log_min_duration_statement = 1000
ssl = on
ssl_ca_file = '$at/ca.pem'
ssl_cert_file = '$at/server.pem'
ssl_key_file = '$at/server.key'
CONF
  postgres_node postgres-primary "$PG_PRIMARY_PORT"
  ready postgres-primary 30 "$bin/pg_isready" -q -h 127.0.0.1 -p "$PG_PRIMARY_PORT"

  postgres_admin "$PG_PRIMARY_PORT" -q >>"$DIR/log/postgres-primary.log" 2>&1 <<SQL ||
create role slatest login password '$(secret postgres)';
create role replicator login replication password '$(secret postgres-replicator)';
create database slatest owner slatest;
select pg_create_physical_replication_slot('standby', true);
SQL
    fail "PostgreSQL refused the roles: $(last_words postgres-primary)"

  # The standby keeps its password here rather than in a command line or in its settings.
  printf '127.0.0.1:*:*:replicator:%s\n' "$(secret postgres-replicator)" >"$at/pgpass"
  owned "$user" 0600 "$at/pgpass"
  (cd "$at" && PGPASSFILE=$at/pgpass "${as[@]}" "$bin/pg_basebackup" -w -D "$standby" -X stream \
    -S standby --checkpoint=fast --no-sync -R \
    -d "$(postgres_upstream)") >"$DIR/log/postgres-standby.log" 2>&1 ||
    fail "pg_basebackup: $(last_words postgres-standby)"
  postgres_node postgres-standby "$PG_STANDBY_PORT"
  ready postgres-standby 30 postgres_streaming
  relay_start
  postgres_secrets
  failover_start
  postgres_marked
}

# postgres_secrets: the addresses, by role. The first two find a role on either node, the others are
# one node's, as things stand.
postgres_secrets() {
  local login hosts
  login="postgres://slatest:$(secret postgres)@"
  hosts="127.0.0.1:$PG_PRIMARY_PORT,127.0.0.1:$PG_STANDBY_PORT"
  local tls="sslmode=verify-full&sslrootcert=$DIR/certs/ca.pem"
  secret_file database-dsn "$login$hosts/slatest?$tls&target_session_attrs=read-write"
  secret_file replicas-dsn "$login$hosts/slatest?$tls&target_session_attrs=prefer-standby"
  secret_file endpoint-dsn "${login}127.0.0.1:$PG_ENDPOINT_PORT/slatest?$tls"
  secret_file postgres-dsn "${login}127.0.0.1:$PG_PRIMARY_PORT/slatest?$tls"
  secret_file replica-dsn "${login}127.0.0.1:$PG_STANDBY_PORT/slatest?$tls"
  secret_file postgres-admin-dsn "postgres://postgres:$(secret postgres-admin)@127.0.0.1:$PG_PRIMARY_PORT/slatest?$tls"
}

# postgres_data PORT: the data folder of the node at PORT.
postgres_data() { echo "$DIR/postgres/node-$1"; }

# postgres_node PROCESS PORT: starts a node from its data.
postgres_node() {
  local data
  data=$(postgres_data "$2")
  process_start "$1" "$(service_user postgres)" "$data" "$(pg_bin)/postgres" -D "$data" -p "$2"
}

# postgres_upstream: where a standby streams from; the primary's port, or PORT.
postgres_upstream() {
  echo "host=127.0.0.1 port=${1:-$PG_PRIMARY_PORT} user=replicator application_name=standby passfile=$DIR/postgres/pgpass"
}

# postgres_admin PORT ARGUMENTS...: psql as the superuser.
postgres_admin() {
  local port=$1
  shift
  PGPASSWORD=$(secret postgres-admin) PGCONNECT_TIMEOUT=${PGCONNECT_TIMEOUT:-5} \
    timeout 20 "$(pg_bin)/psql" -X -w -v ON_ERROR_STOP=1 \
    -h 127.0.0.1 -p "$port" -U postgres -d postgres "$@"
}

# postgres_role PORT: primary or standby; fails when the node doesn't answer.
postgres_role() {
  PGCONNECT_TIMEOUT=1 postgres_admin "$1" -Atc \
    "select case when pg_is_in_recovery() then 'standby' else 'primary' end" 2>/dev/null
}

# postgres_streaming [PORT]: the standby (or the node at PORT) receives what the primary writes.
postgres_streaming() {
  [[ $(postgres_admin "${1:-$PG_STANDBY_PORT}" -Atc \
    "select pg_is_in_recovery() and exists(select from pg_stat_wal_receiver where status = 'streaming')") == t ]]
}

postgres_healthy() {
  process_alive postgres-primary && process_alive postgres-standby && process_alive postgres-failover &&
    [[ $(postgres_role "$PG_PRIMARY_PORT") == primary ]] && postgres_streaming 2>/dev/null && relay_healthy
}

postgres_stop() {
  # First, or it would take the end of the primary for its loss.
  process_stop postgres-failover
  relay_stop
  process_stop postgres-aside INT
  # INT is the fast shutdown.
  process_stop postgres-standby INT
  process_stop postgres-primary INT
  stop_strays "$DIR/postgres"
  postgres_segments "$DIR"/postgres/node-*
  rm -rf -- "$DIR/postgres"
}

# postgres_segments DATA...: removes the small System V segment that a killed server leaves behind.
# Its key is the inode of the data folder; one that is still attached is somebody else's.
postgres_segments() {
  local data key
  as_user "$(service_user postgres)"
  for data in "$@"; do
    [[ -d $data ]] || continue
    key=$(printf '0x%08x' "$(($(stat -c %i "$data") & 0xffffffff))")
    if ipcs -m | awk -v key="$key" '$1 == key && $6 == 0 { found = 1 } END { exit !found }'; then
      "${AS[@]}" ipcrm -M "$key" || true
    fi
  done
}

postgres_processes() { echo postgres-primary postgres-standby postgres-endpoint postgres-failover; }

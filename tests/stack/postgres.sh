# shellcheck shell=bash
# PostgreSQL: a primary and a standby that streams from it through a replication slot.

COMPONENT_PORTS[postgres]="PG_PRIMARY_PORT PG_STANDBY_PORT"

postgres_start() {
  local user at=$DIR/postgres bin
  bin=$(pg_bin)
  user=$(service_user postgres)
  folder "$user" "$at"
  certs_for "$user" "$at"
  # Made here, so that a failed initdb empties them and doesn't remove them: see postgres_segments.
  folder "$user" "$at/primary"
  folder "$user" "$at/standby"
  as_user "$user"
  local as=("${AS[@]}")

  secret postgres-admin >"$at/admin.pw"
  owned "$user" 0600 "$at/admin.pw"
  (cd "$at" && "${as[@]}" "$bin/initdb" -D "$at/primary" -U postgres --auth=scram-sha-256 \
    "--pwfile=$at/admin.pw" --no-sync --locale=C -E UTF8) >"$DIR/log/postgres-primary.log" 2>&1 ||
    fail "initdb: $(last_words postgres-primary)"
  rm -f -- "$at/admin.pw"
  cat >>"$at/primary/postgresql.conf" <<CONF
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
  process_start postgres-primary "$user" "$at/primary" \
    "$bin/postgres" -D "$at/primary" -p "$PG_PRIMARY_PORT"
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
  (cd "$at" && PGPASSFILE=$at/pgpass "${as[@]}" "$bin/pg_basebackup" -w -D "$at/standby" -X stream \
    -S standby --checkpoint=fast --no-sync -R \
    -d "$(postgres_upstream)") >"$DIR/log/postgres-standby.log" 2>&1 ||
    fail "pg_basebackup: $(last_words postgres-standby)"
  process_start postgres-standby "$user" "$at/standby" \
    "$bin/postgres" -D "$at/standby" -p "$PG_STANDBY_PORT"
  ready postgres-standby 30 postgres_streaming

  local tls="sslmode=verify-full&sslrootcert=$DIR/certs/ca.pem"
  secret_file postgres-dsn "postgres://slatest:$(secret postgres)@127.0.0.1:$PG_PRIMARY_PORT/slatest?$tls"
  secret_file replica-dsn "postgres://slatest:$(secret postgres)@127.0.0.1:$PG_STANDBY_PORT/slatest?$tls"
  secret_file postgres-admin-dsn "postgres://postgres:$(secret postgres-admin)@127.0.0.1:$PG_PRIMARY_PORT/slatest?$tls"
}

postgres_upstream() {
  echo "host=127.0.0.1 port=$PG_PRIMARY_PORT user=replicator application_name=standby passfile=$DIR/postgres/pgpass"
}

# postgres_admin PORT ARGUMENTS...: psql as the superuser.
postgres_admin() {
  local port=$1
  shift
  PGPASSWORD=$(secret postgres-admin) PGCONNECT_TIMEOUT=5 timeout 20 "$(pg_bin)/psql" -X -w -v ON_ERROR_STOP=1 \
    -h 127.0.0.1 -p "$port" -U postgres -d postgres "$@"
}

postgres_streaming() {
  [[ $(postgres_admin "$PG_STANDBY_PORT" -Atc \
    "select pg_is_in_recovery() and exists(select from pg_stat_wal_receiver where status = 'streaming')") == t ]]
}

postgres_healthy() {
  process_alive postgres-primary && process_alive postgres-standby &&
    [[ $(postgres_admin "$PG_PRIMARY_PORT" -Atc 'select not pg_is_in_recovery()' 2>/dev/null) == t ]] &&
    postgres_streaming 2>/dev/null
}

postgres_stop() {
  # INT is the fast shutdown.
  process_stop postgres-standby INT
  process_stop postgres-primary INT
  stop_strays "$DIR/postgres"
  postgres_segments "$DIR/postgres/primary" "$DIR/postgres/standby"
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

postgres_processes() { echo postgres-primary postgres-standby; }

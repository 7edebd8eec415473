# shellcheck shell=bash
# pgbouncer in transaction mode in front of the PostgreSQL primary.

COMPONENT_PORTS[pgbouncer]="PGBOUNCER_PORT"
COMPONENT_NEEDS[pgbouncer]="postgres"

pgbouncer_start() {
  local user at=$DIR/pgbouncer
  user=$(service_user postgres)
  folder "$user" "$at"
  # In plain, because pgbouncer needs the password itself to answer the server's SCRAM challenge.
  printf '"slatest" "%s"\n' "$(secret postgres)" >"$at/userlist.txt"
  pgbouncer_configure
  owned "$user" 0600 "$at/userlist.txt"
  process_start pgbouncer "$user" "$at" "$(program pgbouncer)" "$at/pgbouncer.ini"
  ready pgbouncer 20 pgbouncer_answers
  secret_file pgbouncer-dsn \
    "postgres://slatest:$(secret postgres)@127.0.0.1:$PGBOUNCER_PORT/slatest?sslmode=disable"
}

# pgbouncer_configure: writes its settings, with the primary as it is.
pgbouncer_configure() {
  local at=$DIR/pgbouncer
  cat >"$at/pgbouncer.ini.new" <<CONF
[databases]
slatest = host=127.0.0.1 port=$PG_PRIMARY_PORT dbname=slatest
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $PGBOUNCER_PORT
unix_socket_dir =
auth_type = scram-sha-256
auth_file = $at/userlist.txt
admin_users = slatest
pool_mode = transaction
max_client_conn = 10000
default_pool_size = 50
max_db_connections = 100
server_tls_sslmode = require
# Tried again each second while the server is away (15 by default), or pgbouncer's patience would
# be part of every recovery time.
server_login_retry = 1
ignore_startup_parameters = extra_float_digits,options
log_connections = 0
log_disconnections = 0
$(pgbouncer_prepared)
CONF
  owned "$(service_user postgres)" 0600 "$at/pgbouncer.ini.new"
  mv -- "$at/pgbouncer.ini.new" "$at/pgbouncer.ini"
}

# pgbouncer_follow: what reaches the pooler from now on goes to the primary as it is now.
pgbouncer_follow() {
  local pid
  pid=$(process_pid pgbouncer) || return 0
  pgbouncer_configure
  kill -s HUP "$pid"
}

# Since 1.21 pgbouncer can keep named prepared statements; the platform's doesn't, nor does ours.
pgbouncer_prepared() {
  local version
  version=$("$(program pgbouncer)" --version | awk 'NR == 1 { print $2 }')
  if [[ $(printf '%s\n' 1.21 "$version" | sort -V | head -n 1) == 1.21 ]]; then
    echo 'max_prepared_statements = 0'
  fi
}

pgbouncer_answers() {
  # pgbouncer lets clients wait for a dead server for two minutes: nobody here does.
  [[ $(PGPASSWORD=$(secret postgres) PGCONNECT_TIMEOUT=3 timeout 3 "$(pg_bin)/psql" -X -w -At -h 127.0.0.1 \
    -p "$PGBOUNCER_PORT" -U slatest -d slatest -c 'select 1' 2>/dev/null) == 1 ]]
}

pgbouncer_healthy() { process_alive pgbouncer && pgbouncer_answers; }

pgbouncer_stop() {
  process_stop pgbouncer INT 3
  stop_strays "$DIR/pgbouncer"
  rm -rf -- "$DIR/pgbouncer"
}

pgbouncer_processes() { echo pgbouncer; }

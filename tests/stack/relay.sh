# shellcheck shell=bash
# The address at which the primary is found wherever it is, as a cloud's endpoint name gives it: a TCP
# relay, which the API goes through. One process takes connections, each has a child of its own; while
# they are stopped nothing passes and nothing closes.

relay_start() {
  local local_side=bind=127.0.0.1,reuseaddr,fork,backlog=512,max-children=500,nodelay
  process_start postgres-endpoint "$(service_user postgres)" "$DIR/postgres" "$(program socat)" \
    "TCP-LISTEN:$PG_ENDPOINT_PORT,$local_side" "TCP:127.0.0.1:$PG_PRIMARY_PORT,nodelay"
  ready postgres-endpoint 10 port_open "$PG_ENDPOINT_PORT"
}

# relay_stop: with every connection that goes through it.
relay_stop() {
  local pid
  if pid=$(process_pid postgres-endpoint); then kill -s KILL -- "-$pid" 2>/dev/null || true; fi
  process_stop postgres-endpoint KILL
}

# relay_follow: it leads to the primary as it is now.
relay_follow() {
  relay_stop
  relay_start
}

relay_healthy() {
  process_alive postgres-endpoint &&
    [[ $(PGCONNECT_TIMEOUT=3 postgres_role "$PG_ENDPOINT_PORT") == primary ]]
}

# shellcheck shell=bash
# Faults of PostgreSQL, Redis and the way from the API to the database: what the target file names, and
# the steps that it runs (`tests/stack/stack fault NAME VERB`).

# How long the standby receives nothing before the primary is lost: that much is lost with it.
FORCED_LOSS_SECONDS=${SLATEST_STACK_FORCED_LOSS_SECONDS:-3}

# faults_database: the entries of the target's `faults`.
faults_database() {
  if is_up postgres; then
    cat <<YAML
  # The kill is the fault; promoting the standby is the platform's (failover.sh); the lost node comes
  # back as a standby when it is healed.
  database-primary-loss:
    process:
      pid_file: $DIR/faults/database-primary.pid
      signal: kill
      restart: $(fault_program database-primary-loss heal)
      probe: $(fault_program database-primary-loss probe)
  # The standby receives nothing for ${FORCED_LOSS_SECONDS}s before the primary is killed: what was acknowledged then is lost.
  database-forced-loss:
    command:
      prepare: $(fault_program database-forced-loss prepare)
      inject: $(fault_program database-forced-loss inject)
      heal: $(fault_program database-forced-loss heal)
      probe: $(fault_program database-forced-loss probe)
YAML
  fi
  if is_up redis; then
    cat <<YAML
  cache-primary-loss:
    process:
      pid_file: $DIR/faults/cache-primary.pid
      signal: kill
      restart: $(fault_program cache-primary-loss heal)
      probe: $(fault_program cache-primary-loss probe)
YAML
  fi
  if is_up postgres && is_up api; then
    cat <<YAML
  # Between the API and the database nothing passes, and nothing closes.
  api-database-blackhole:
    process: { pid_file: $DIR/run/postgres-endpoint.pid, signal: stop }
YAML
  fi
}

# fault_program NAME VERB: how a target file runs a step.
fault_program() {
  echo "{ program: $HERE/stack, args: [fault, $1, $2], env: { SLATEST_STACK_DIR: $DIR, SLATEST_STACK_TARGET: $TARGET }, timeout: 3m }"
}

fault_database_primary_loss_heal() {
  postgres_rejoin
  echo "the node at $PG_STANDBY_PORT streams from the primary at $PG_PRIMARY_PORT"
}

fault_database_primary_loss_probe() {
  postgres_healthy || fail "PostgreSQL isn't whole: $(postgres_seen)"
  if is_up pgbouncer; then pgbouncer_answers || fail "pgbouncer doesn't reach the primary"; fi
  postgres_seen
}

# postgres_seen: both nodes, in words.
postgres_seen() {
  local role port
  for role in primary standby; do
    port=PG_${role^^}_PORT
    echo -n "$role at ${!port}: $(process_alive "postgres-$role" && echo up || echo down)," \
      "$(postgres_role "${!port}" || echo silent); "
  done
  postgres_streaming 2>/dev/null && echo streaming || echo "not streaming"
}

# The standby's receiver is held while the primary goes on acknowledging.
fault_database_forced_loss_prepare() {
  local receiver
  fault_database_primary_loss_probe >/dev/null
  rm -f -- "$DIR/faults/database-lost.tsv" "$DIR/faults/database-lost.pid"
  receiver=$(postgres_receiver) || fail "the standby has no walreceiver"
  kill -s STOP "$receiver"
  sleep "$FORCED_LOSS_SECONDS"
  echo "the standby (walreceiver $receiver) has received nothing for ${FORCED_LOSS_SECONDS}s"
}

fault_database_forced_loss_inject() {
  local receiver
  receiver=$(postgres_receiver) || fail "the standby has no walreceiver"
  [[ $(ps -o stat= -p "$receiver") == T* ]] || fail "the standby's walreceiver isn't held"
  # Whoever it is later, this is the node whose rows are to be compared.
  cp -- "$DIR/run/postgres-primary.pid" "$DIR/faults/database-lost.pid"
  process_kill postgres-primary
  # It ends before it reads what still lies in its socket; held, it would hold up the promotion.
  kill -s TERM "$receiver"
  kill -s CONT "$receiver"
  echo "killed the primary at $PG_PRIMARY_PORT"
}

# Before the lost node is rewound it is asked what it alone knows.
fault_database_forced_loss_heal() {
  local receiver
  if receiver=$(postgres_receiver); then kill -s CONT "$receiver"; fi
  if [[ -e $DIR/faults/database-lost.pid && ! -e $DIR/faults/database-lost.tsv ]]; then
    wait_until 40 postgres_has_primary || fail "PostgreSQL has no primary: $(last_words postgres-failover)"
    if ! process_alive postgres-standby && cmp -s "$DIR/faults/database-lost.pid" "$DIR/run/postgres-standby.pid"; then
      postgres_lost_rows >"$DIR/faults/database-lost.tsv.new"
      mv -- "$DIR/faults/database-lost.tsv.new" "$DIR/faults/database-lost.tsv"
      echo "$(wc -l <"$DIR/faults/database-lost.tsv") rows were lost: $DIR/faults/database-lost.tsv"
    fi
  fi
  fault_database_primary_loss_heal
}

fault_database_forced_loss_probe() {
  local receiver
  receiver=$(postgres_receiver) || fail "the standby has no walreceiver: $(postgres_seen)"
  [[ $(ps -o stat= -p "$receiver") != T* ]] || fail "the standby's walreceiver is held"
  fault_database_primary_loss_probe
}

# The rows that went with the primary of the last forced loss, once it is healed: table, tab, id.
fault_database_forced_loss_lost() {
  [[ -e $DIR/faults/database-lost.tsv ]] || fail "no forced loss has been healed since the stack is up"
  cat -- "$DIR/faults/database-lost.tsv"
}

postgres_receiver() {
  local pid
  pid=$(process_pid postgres-standby) || return 1
  pid=$(ps -o pid=,args= --ppid "$pid" | awk '/walreceiver/ { print $1; exit }')
  [[ -n $pid ]] && echo "$pid"
}

# postgres_lost_rows: what the node that is down has committed and the primary doesn't have. It is
# started aside for that, at a port of its own, where nobody can write.
postgres_lost_rows() {
  local data port table at=$DIR/postgres/aside
  roles_lock 60
  data=$(postgres_data "$PG_STANDBY_PORT")
  ports_listening
  port=$PORT_FIRST
  while [[ -n ${LISTENING[$port]:-} || " ${PG_PRIMARY_PORT} ${PG_STANDBY_PORT} " == *" $port "* ]]; do port=$((port + 1)); done
  # One that a broken off heal left.
  process_stop postgres-aside INT 60
  rm -f -- "$data/postmaster.pid"
  # Cleanly, which is what rewinding asks for; also when this breaks off.
  trap 'process_stop postgres-aside INT 60' EXIT
  process_start postgres-aside "$(service_user postgres)" "$data" "$(pg_bin)/postgres" -D "$data" -p "$port" \
    -c default_transaction_read_only=on -c max_wal_senders=0 -c autovacuum=off
  ready postgres-aside 60 postgres_accepts "$port"
  mkdir -p "$at"
  for table in $(postgres_tables "$port"); do
    postgres_ids "$port" "$table" >"$at/old"
    # A table may be lost whole.
    if postgres_tables "$PG_PRIMARY_PORT" | grep -qxF -- "$table"; then
      postgres_ids "$PG_PRIMARY_PORT" "$table" >"$at/new"
    else
      : >"$at/new"
    fi
    LC_ALL=C comm -23 "$at/old" "$at/new" | sed "s/^/$table\t/"
  done
  process_stop postgres-aside INT 60
  trap - EXIT
}

# postgres_tables PORT: those whose primary key is `id`.
postgres_tables() {
  postgres_admin "$1" -d slatest -Atc "select table_name from information_schema.columns
    where table_schema = 'public' and column_name = 'id' order by 1"
}

postgres_ids() { postgres_admin "$1" -d slatest -Atc "select id from public.\"$2\"" | LC_ALL=C sort; }

fault_cache_primary_loss_heal() {
  redis_rejoin
  echo "every node of the cache serves or follows"
}

fault_cache_primary_loss_probe() {
  redis_healthy || fail "the cache isn't whole"
  echo "3 primaries with all slots, 3 replicas that follow"
}

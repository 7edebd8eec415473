# shellcheck shell=bash
# What a platform's failover manager does (Patroni, RDS): notices that the primary is lost, makes sure
# of it, promotes the standby and leads everybody there. And what its operator, or it, does later: the
# lost node comes back as the standby of the other.

# A primary is lost when it was asked so often in a row, a second apart, and did not answer.
FAILOVER_MISSES=${SLATEST_STACK_FAILOVER_MISSES:-4}

failover_start() {
  process_start postgres-failover "$(id -un)" "$DIR" "$BASH" "$HERE/stack" failover
}

# failover_watch: never ends.
failover_watch() {
  local missed=0
  while sleep 1; do
    ports_load
    if postgres_accepts "$PG_PRIMARY_PORT"; then
      missed=0
      continue
    fi
    missed=$((missed + 1))
    echo "$(date +%T.%3N) the primary at $PG_PRIMARY_PORT doesn't answer ($missed of $FAILOVER_MISSES)"
    if ((missed >= FAILOVER_MISSES)) && (failover); then missed=0; fi
  done
}

# A server that hangs accepts nothing either.
postgres_accepts() { "$(pg_bin)/pg_isready" -q -t 2 -h 127.0.0.1 -p "$1"; }

# failover: promotes the standby.
failover() {
  roles_lock 60
  if postgres_accepts "$PG_PRIMARY_PORT"; then return 0; fi
  [[ $(postgres_role "$PG_STANDBY_PORT") == standby ]] || fail "there is no standby to promote"
  # It may only be slow: two primaries would be worse than none.
  process_kill postgres-primary
  [[ $(postgres_admin "$PG_STANDBY_PORT" -Atc 'select pg_promote(true, 30)') == t ]] ||
    fail "the standby isn't promoted: $(last_words postgres-standby)"
  roles_swap
  # At once, so that the new primary keeps what the old one will have to be told.
  postgres_slot
  pgbouncer_follow
  relay_follow
  postgres_secrets
  stack_json >"$DIR/stack.json"
  echo "$(date +%T.%3N) promoted the node at $PG_PRIMARY_PORT"
}

# roles_lock SECONDS: roles change, and lost nodes return, one at a time.
roles_lock() {
  exec 8>"$DIR/run/postgres.lock"
  flock -w "$1" 8 || fail "the roles of the PostgreSQL nodes have been busy for $1s"
  ports_load
}

# roles_swap: the primary's port, pid file and log are those of the node that was promoted.
roles_swap() {
  local port=$PG_PRIMARY_PORT file
  PG_PRIMARY_PORT=$PG_STANDBY_PORT PG_STANDBY_PORT=$port
  ports_save
  for file in run/postgres-{primary,standby}.pid; do mv -- "$DIR/$file" "$DIR/$file.was"; done
  mv -- "$DIR/run/postgres-standby.pid.was" "$DIR/run/postgres-primary.pid"
  mv -- "$DIR/run/postgres-primary.pid.was" "$DIR/run/postgres-standby.pid"
}

# postgres_slot: the primary keeps what the standby has not read.
postgres_slot() {
  postgres_admin "$PG_PRIMARY_PORT" -qAtc "select pg_create_physical_replication_slot('standby', true)
    where not exists (select from pg_replication_slots where slot_name = 'standby')" >/dev/null
}

# postgres_rejoin: the pair is whole again, whatever was killed or held. Does no harm where nothing was.
postgres_rejoin() {
  process_continue postgres-primary
  process_continue postgres-standby
  process_continue postgres-endpoint
  process_stop postgres-aside INT 60
  process_alive postgres-failover || failover_start
  # Both are gone: there is nobody to fail over to.
  if ! process_alive postgres-primary && ! process_alive postgres-standby; then
    rm -f -- "$(postgres_data "$PG_PRIMARY_PORT")/postmaster.pid"
    postgres_node postgres-primary "$PG_PRIMARY_PORT"
  fi
  wait_until 40 postgres_has_primary || fail "PostgreSQL has no primary: $(last_words postgres-failover)"
  roles_lock 60
  if ! postgres_streaming 2>/dev/null; then
    # One that was held needs a moment; one that is a primary of its own never will.
    if [[ $(postgres_role "$PG_STANDBY_PORT") != standby ]] || ! wait_until 10 postgres_streaming 2>/dev/null; then
      process_kill postgres-standby
      postgres_rewind
    fi
  fi
  process_alive postgres-endpoint || relay_start
  postgres_marked
}

postgres_has_primary() {
  ports_load
  [[ $(postgres_role "$PG_PRIMARY_PORT") == primary ]]
}

# postgres_rewind: makes the node that is down the standby of the other.
postgres_rewind() {
  local data bin user log=$DIR/log/postgres-rewind.log
  data=$(postgres_data "$PG_STANDBY_PORT") bin=$(pg_bin) user=$(service_user postgres)
  postgres_slot
  # Where they parted is looked for from the last checkpoint on.
  postgres_admin "$PG_PRIMARY_PORT" -qc checkpoint
  as_user "$user"
  local as=("${AS[@]}")
  rm -f -- "$data/postmaster.pid"
  if ! (cd "$DIR/postgres" && PGPASSWORD=$(secret postgres-admin) timeout 100 "${as[@]}" "$bin/pg_rewind" \
    -D "$data" --no-sync --source-server "host=127.0.0.1 port=$PG_PRIMARY_PORT user=postgres dbname=postgres") >>"$log" 2>&1; then
    say "it can't be rewound (see $log), so it is copied anew"
    postgres_segments "$data"
    folder "$user" "$data"
    (cd "$DIR/postgres" && PGPASSFILE=$DIR/postgres/pgpass timeout 300 "${as[@]}" "$bin/pg_basebackup" -w \
      -D "$data" -X stream -S standby --checkpoint=fast --no-sync -d "$(postgres_upstream)") >>"$log" 2>&1 ||
      fail "pg_basebackup: $(last_words postgres-rewind)"
  fi
  # What was copied may name where the other one streamed from.
  printf "primary_conninfo = '%s'\nprimary_slot_name = 'standby'\n" "$(postgres_upstream)" >"$data/postgresql.auto.conf"
  touch "$data/standby.signal"
  owned "$user" 0600 "$data/postgresql.auto.conf" "$data/standby.signal"
  postgres_node postgres-standby "$PG_STANDBY_PORT"
  ready postgres-standby 60 postgres_streaming
  # A slot of its own time as the primary would keep all that it ever reads.
  postgres_admin "$PG_STANDBY_PORT" -qAtc "select pg_drop_replication_slot(slot_name)
    from pg_replication_slots where not active" >/dev/null
}

# postgres_marked: the pid file of the fault that loses the primary. It names the node that was lost
# until that is back, whoever is the primary meanwhile.
postgres_marked() {
  mkdir -p "$DIR/faults"
  cp -- "$DIR/run/postgres-primary.pid" "$DIR/faults/database-primary.pid.new"
  mv -- "$DIR/faults/database-primary.pid.new" "$DIR/faults/database-primary.pid"
}

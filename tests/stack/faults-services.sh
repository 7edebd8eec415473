# shellcheck shell=bash
# Faults of the services, of a zone and of a region: what the target file names, and the steps that it runs
# (`tests/stack/stack fault NAME VERB`).

# faults_services: the entries of the target's `faults`.
faults_services() {
  if is_up api && is_up nginx; then
    cat <<YAML
  # One of the two API processes behind the balancer.
  api-process-loss:
    process: { pid_file: $DIR/run/api-1.pid, signal: kill, restart: $(fault_program api-process-loss heal), probe: $(fault_program api-process-loss probe) }
  # One of the two sync processes: half of the documents are in its memory.
  sync-process-loss:
    process: { pid_file: $DIR/run/sync-1.pid, signal: kill, restart: $(fault_program sync-process-loss heal), probe: $(fault_program sync-process-loss probe) }
YAML
    if is_up postgres && is_up redis && is_up kafka && is_up rabbitmq; then
      cat <<YAML
  # All that runs in the zone of the PostgreSQL primary, at once.
  zone-loss: $(fault_command zone-loss)
YAML
    fi
  fi
  if is_up region; then
    cat <<YAML
  # All services and the balancer of the active region, at once. The stores are both regions'.
  region-loss: $(fault_command region-loss)
YAML
  fi
}

fault_api_process_loss_heal() {
  services_rejoin
  echo "2 API processes and 2 sync processes answer"
}

fault_api_process_loss_probe() {
  services_healthy || fail "up are $(processes_up api-{1,2} sync-{1,2})"
  echo "2 API processes and 2 sync processes answer"
}

fault_sync_process_loss_heal() { fault_api_process_loss_heal; }
fault_sync_process_loss_probe() { fault_api_process_loss_probe; }

# zone_processes A|B|C: what runs in a zone. Each shard of Redis has its primary in one and its replica
# in another; the balancer and the poolers are the platform's in all zones and are lost in none.
zone_processes() {
  case $1 in
    a) echo redis-1 redis-5 kafka-1 rabbitmq-1 api-1 sync-1 ;;
    b) echo redis-2 redis-6 kafka-2 rabbitmq-2 api-2 sync-2 ;;
    c) echo redis-3 redis-4 kafka-3 rabbitmq-3 ;;
  esac
}

# zone_of_primary: the zone in which the PostgreSQL primary runs. Its two nodes are in a and b; which is
# which goes by their data folders' ports, of which the lower is a's.
zone_of_primary() {
  if ((PG_PRIMARY_PORT < PG_STANDBY_PORT)); then echo a; else echo b; fi
}

fault_zone_loss_inject() {
  local zone lost
  zone=$(zone_of_primary)
  echo "$zone" >"$DIR/faults/zone"
  read -ra lost <<<"postgres-primary $(zone_processes "$zone")"
  process_kill_all "${lost[@]}"
  zone_reschedule "$zone"
  echo "killed all of zone $zone: ${lost[*]}"
}

# zone_reschedule A|B: what a pod's loss brings about. The sync process of the zone starts elsewhere; here, at
# the address that it had. The API's other process takes over.
zone_reschedule() {
  if [[ $1 == a ]]; then sync_process 1; else sync_process 2; fi
}

fault_zone_loss_heal() {
  local store pids=() pid failed=0
  for store in postgres redis kafka rabbitmq; do
    ("${store}_rejoin") &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
  # Last: they don't start without their stores.
  services_rejoin
  ((!failed)) || fail "not everything came back (see above)"
  ports_load
  echo "everything of zone $(cat "$DIR/faults/zone" 2>/dev/null || zone_of_primary) is back"
}

fault_zone_loss_probe() {
  local component
  local sick=()
  health postgres redis kafka rabbitmq nginx
  services_healthy || sick+=(api)
  for component in "${!WELL[@]}"; do [[ ${WELL[$component]} == yes ]] || sick+=("$component"); done
  ((${#sick[@]} == 0)) || fail "not whole: ${sick[*]}"
  echo "all components are whole; the primary is in zone $(zone_of_primary)"
}

fault_region_loss_inject() {
  process_kill_all nginx api-1 api-2 sync-1 sync-2
  echo "killed the active region: nginx api-1 api-2 sync-1 sync-2"
}

fault_region_loss_heal() {
  services_rejoin
  process_alive nginx || nginx_process
  ready nginx 15 nginx_answers
  wait_until 15 region_active || fail "the switch doesn't see the active region again: $(last_words region-switch)"
  echo "the active region serves again"
}

fault_region_loss_probe() {
  nginx_healthy && services_healthy || fail "the active region isn't whole"
  region_healthy || fail "the passive region or the switch isn't whole"
  region_active || fail "the switch leads to the passive region"
  echo "both regions are whole, and the switch leads to the active one"
}

# shellcheck shell=bash
# Faults of the services: what the target file names, and the steps that it runs
# (`tests/stack/stack fault NAME VERB`).

# faults_services: the entries of the target's `faults`.
faults_services() {
  if is_up api && is_up nginx; then
    cat <<YAML
  # One of the two API processes behind the balancer.
  api-process-loss:
    process: { pid_file: $DIR/run/api-1.pid, signal: kill, restart: $(fault_program api-process-loss heal) }
  # One of the two sync processes: half of the documents are in its memory.
  sync-process-loss:
    process: { pid_file: $DIR/run/sync-1.pid, signal: kill, restart: $(fault_program sync-process-loss heal) }
YAML
  fi
}

fault_api_process_loss_heal() {
  services_rejoin
  echo "2 API processes and 2 sync processes answer"
}

fault_sync_process_loss_heal() { fault_api_process_loss_heal; }

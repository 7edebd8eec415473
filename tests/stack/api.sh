# shellcheck shell=bash
# The platform's services: two processes of `slatest sandbox` that are its API, which stores and
# publishes in the real servers, and two that are its sync service, which keeps documents in memory.

COMPONENT_PORTS[api]="API_1_PORT API_2_PORT SYNC_1_PORT SYNC_2_PORT"
COMPONENT_NEEDS[api]="postgres redis kafka rabbitmq"

# api_binary: SLATEST_BIN, or what cargo built last in release, else in debug.
api_binary() {
  local binary folder=${CARGO_TARGET_DIR:-$ROOT/target}
  for binary in "${SLATEST_BIN:-}" "$folder/release/slatest" "$folder/debug/slatest"; do
    if [[ -n $binary && -x $binary ]]; then
      echo "$binary"
      return
    fi
    if [[ -n ${SLATEST_BIN:-} ]]; then break; fi
  done
  return 1
}

api_start() {
  local user at=$DIR/api n
  user=$(service_user nobody)
  folder "$user" "$at"
  # A copy, so that a rebuild doesn't reach into a running stack, and because the original may lie
  # where the service's user can't look.
  cp -- "$(api_binary)" "$at/slatest"
  owned "$user" 0550 "$at/slatest"
  install -m 0600 "$DIR/secrets/kafka-librdkafka.properties" "$at/kafka.properties"
  owned "$user" 0600 "$at/kafka.properties"
  # One after the other: the first creates and seeds the schema.
  for n in 1 2; do
    sync_process "$n"
    api_process "$n"
    ready "api-$n" 45 api_answers "$n"
  done
  for n in 1 2; do ready "sync-$n" 15 sync_answers "$n"; done
}

# sync_process N: starts it, for the first time or again.
sync_process() {
  local port=SYNC_$1_PORT
  process_start "${REGION:-}sync-$1" "$(service_user nobody)" "$DIR/api" "$DIR/api/slatest" sandbox --listen "127.0.0.1:${!port}" \
    --only sync --ready-json
}

sync_answers() {
  local port=SYNC_$1_PORT
  port_open "${!port}"
}

# api_process N: starts it, for the first time or again.
api_process() {
  local n=$1 user at=$DIR/api port=API_$1_PORT redis="" r name
  user=$(service_user nobody)
  for r in 1 2 3 4 5 6; do
    name=REDIS_${r}_PORT
    redis+="${redis:+,}rediss://127.0.0.1:${!name}"
  done
  (
    export SLATEST_SANDBOX_POSTGRES SLATEST_SANDBOX_REDIS_PASSWORD SLATEST_SANDBOX_AMQP
    SLATEST_SANDBOX_POSTGRES=$(cat "$DIR/secrets/endpoint-dsn")
    SLATEST_SANDBOX_REDIS_PASSWORD=$(secret redis)
    # Each process publishes to the node of its own zone.
    SLATEST_SANDBOX_AMQP=$(cat "$DIR/secrets/amqp-uri$(rabbitmq_suffix "$n")")
    export SLATEST_SANDBOX_REDIS=$redis
    export SLATEST_SANDBOX_KAFKA
    SLATEST_SANDBOX_KAFKA=$(kafka_brokers SASL)
    process_start "${REGION:-}api-$n" "$user" "$at" "$at/slatest" sandbox --listen "127.0.0.1:${!port}" \
      --only api --ready-json --postgres --redis --redis-cluster --redis-ca "$DIR/certs/ca.pem" \
      --amqp --kafka-properties "$at/kafka.properties"
  )
}

api_answers() {
  local port=API_$1_PORT
  [[ $(curl -s -o /dev/null -m 5 -w '%{http_code}' "http://127.0.0.1:${!port}/health") == 200 ]]
}

# services_rejoin: whoever is down comes back. Does no harm where nobody is.
services_rejoin() {
  local n
  for n in 1 2; do
    process_alive "api-$n" || api_process "$n"
    process_alive "sync-$n" || sync_process "$n"
  done
  for n in 1 2; do
    ready "api-$n" 45 api_answers "$n"
    ready "sync-$n" 15 sync_answers "$n"
  done
}

services_healthy() {
  local n
  for n in 1 2; do
    process_alive "api-$n" && api_answers "$n" && process_alive "sync-$n" && sync_answers "$n" || return 1
  done
}

# Healthy also means that it is the binary that was built last.
api_healthy() {
  local binary
  if binary=$(api_binary); then cmp -s "$binary" "$DIR/api/slatest" || return 1; fi
  services_healthy
}

api_stop() {
  local n
  for n in 1 2; do
    process_stop "api-$n" TERM 5
    process_stop "sync-$n" TERM 5
  done
  stop_strays "$DIR/api"
  rm -rf -- "$DIR/api"
}

api_processes() { echo api-1 api-2 sync-1 sync-2; }

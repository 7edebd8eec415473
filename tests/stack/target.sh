# shellcheck shell=bash
# What the stack tells others: the target file, stack.json and the lines of `stack env`.

TARGET=${SLATEST_STACK_TARGET:-$ROOT/targets/stack.yaml}

# target_write: names the endpoints that are up; secrets stay in their files.
target_write() {
  local ca=$DIR/certs/ca.pem secrets=$DIR/secrets faults
  mkdir -p "$(dirname "$TARGET")"
  {
    cat <<YAML
# yaml-language-server: \$schema=../schema/target.json
# Written by tests/stack/stack up; gone with the stack in $DIR.
name: stack
environment: staging
allow: { hosts: ["127.0.0.1", "localhost"], max_rate: 20000/s, drills: true }
endpoints:
YAML
    if is_up nginx && is_up api; then
      cat <<YAML
  api:      { http: "https://127.0.0.1:$(if is_up region; then echo "$REGION_PORT"; else echo "$HTTPS_PORT"; fi)", ca: $ca }
  sync:     { websocket: "wss://127.0.0.1:$HTTPS_PORT/sync", ca: $ca }
YAML
    fi
    if is_up kafka; then
      cat <<YAML
  events:   { kafka: [$(quoted "$(kafka_brokers SASL)")], security: sasl_ssl, mechanism: SCRAM-SHA-512, username: slatest, password: { file: $secrets/kafka }, ca: $ca }
YAML
    fi
    if is_up postgres; then
      cat <<YAML
  database: { postgres: { file: $secrets/database-dsn }, replicas: [{ file: $secrets/replicas-dsn }] }
YAML
    fi
    if is_up pgbouncer; then
      cat <<YAML
  pooled:   { postgres: { file: $secrets/pgbouncer-dsn }, prepared_statements: false }
YAML
    fi
    if is_up redis; then
      cat <<YAML
  cache:    { redis: [$(quoted "$(redis_urls)")], cluster: true, ca: $ca, password: { file: $secrets/redis } }
YAML
    fi
    if is_up rabbitmq; then
      cat <<YAML
  queue:    { amqp: { file: $secrets/amqp-uri }, nodes: [{ file: $secrets/amqp-uri-2 }, { file: $secrets/amqp-uri-3 }] }
YAML
    fi
    faults=$(faults_database && faults_brokers && faults_services)
    if [[ -n $faults ]]; then printf 'faults:\n%s\n' "$faults"; fi
  } >"$TARGET.new"
  mv -- "$TARGET.new" "$TARGET"
}

# target_remove: only the file that this very stack wrote.
target_remove() {
  if grep -qsF "gone with the stack in $DIR." "$TARGET"; then rm -f -- "$TARGET"; fi
}

redis_urls() {
  local n port list=""
  for n in 1 2 3 4 5 6; do
    port=REDIS_${n}_PORT
    list+="${list:+,}rediss://127.0.0.1:${!port}"
  done
  echo "$list"
}

# quoted A,B,C: "A","B","C"
quoted() { echo "\"${1//,/\",\"}\""; }

# stack_json: every port, pid file and secret's file; no secret itself.
stack_json() {
  local name separator component process file
  echo '{'
  echo '  "version": 1,'
  echo "  \"dir\": \"$DIR\","
  echo "  \"target\": \"$TARGET\","
  echo "  \"certs\": { \"ca\": \"$DIR/certs/ca.pem\", \"client\": \"$DIR/certs/client.pem\", \"client_key\": \"$DIR/certs/client.key\" },"
  echo '  "components": {'
  separator=""
  for component in "${COMPONENTS[@]}"; do
    is_up "$component" || continue
    printf '%s    "%s": { "ports": {' "$separator" "$component"
    separator=""
    for name in ${COMPONENT_PORTS[$component]}; do
      printf '%s "%s": %s' "$separator" "$name" "${!name}"
      separator=","
    done
    printf ' }, "pid_files": {'
    separator=""
    for process in $("${component}_processes"); do
      printf '%s "%s": "%s"' "$separator" "$process" "$DIR/run/$process.pid"
      separator=","
    done
    printf ' } }'
    separator=$',\n'
  done
  printf '\n  },\n  "secrets": {'
  separator=""
  for file in "$DIR"/secrets/*; do
    [[ -e $file ]] || continue
    printf '%s\n    "%s": "%s"' "$separator" "${file##*/}" "$file"
    separator=","
  done
  printf '\n  }\n}\n'
}

# stack_env: the same for a shell: eval "$(tests/stack/stack env)".
stack_env() {
  local name kind
  printf 'export SLATEST_STACK_DIR=%q\n' "$DIR"
  printf 'export SLATEST_STACK_TARGET=%q\n' "$TARGET"
  printf 'export SLATEST_STACK_CA=%q\n' "$DIR/certs/ca.pem"
  if is_up kafka; then
    for kind in SASL PLAIN SSL MTLS OAUTH; do
      printf 'export KAFKA_%s=%s\n' "$kind" "$(kafka_brokers "$kind")"
    done
  fi
  if is_up redis; then printf 'export REDIS_URLS=%s\n' "$(redis_urls)"; fi
  for name in $(printf '%s\n' "${!ALL_PORTS[@]}" | sort); do
    if [[ -n ${!name:-} ]] && is_up "${ALL_PORTS[$name]}"; then printf 'export %s=%s\n' "$name" "${!name}"; fi
  done
}

# shellcheck shell=bash
# Apache Kafka in KRaft mode: three nodes, each broker and controller, on the JVM.
#
# Each broker listens five times: SASL_SSL (SCRAM-SHA-512; the platform's), PLAINTEXT, SSL (a
# client certificate is welcome), MTLS (it is demanded) and OAUTH (SASL_SSL with OAUTHBEARER and
# Kafka's own check of unsecured tokens).

COMPONENT_PORTS[kafka]=$(echo KAFKA_{SASL,PLAIN,SSL,MTLS,OAUTH,CONTROLLER}_{1,2,3}_PORT)

KAFKA_TOPICS=(
  # name:partitions:retention in days
  task-events:12:7
  emr-verifications:6:30
  sync-operations:12:1
  handover-events:6:30
)

kafka_start() {
  local user at=$DIR/kafka n
  user=$(service_user daemon)
  folder "$user" "$at"
  folder "$user" "$at/tmp"
  certs_for "$user" "$at"
  # The jars may be kept where the service's user can't look.
  cp -al -- "$CACHE/libs" "$at/libs" 2>/dev/null || cp -a -- "$CACHE/libs" "$at/libs"
  chmod -R a+rX "$at/libs"
  cat "$at/server.key" "$at/server.pem" >"$at/keystore.pem"
  cat >"$at/log4j.properties" <<'CONF'
log4j.rootLogger=INFO, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=[%d] %p %m (%c)%n
CONF
  owned "$user" 0600 "$at/keystore.pem"
  for n in 1 2 3; do
    folder "$user" "$at/$n"
    kafka_properties "$n" >"$at/$n/server.properties"
    owned "$user" 0600 "$at/$n/server.properties"
  done
  kafka_format "$user"
  for n in 1 2 3; do kafka_node "$n"; done
  kafka_client_files "$user"
  for n in 1 2 3; do ready "kafka-$n" 120 kafka_sees_all "$n"; done
  kafka_topics "$user"
}

# kafka_node N: starts it, for the first time or again with what it has.
kafka_node() {
  local at=$DIR/kafka
  process_start "kafka-$1" "$(service_user daemon)" "$at/$1" "$(program java)" "${KAFKA_JVM[@]}" -Xms256m -Xmx384m \
    "-Djava.io.tmpdir=$at/tmp" "-Dlog4j.configuration=file:$at/log4j.properties" \
    -cp "$at/libs/*" kafka.Kafka "$at/$1/server.properties"
}

# No files outside the stack's folder, one collector thread, and compiled quickly rather than well:
# three JVMs on a small machine spend most of their start in the compiler.
KAFKA_JVM=(-XX:-UsePerfData -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -Djava.awt.headless=true)

kafka_properties() {
  local n=$1 at=$DIR/kafka name listeners="" advertised="" voters="" v port
  for name in SASL_SSL:SASL PLAINTEXT:PLAIN SSL:SSL MTLS:MTLS OAUTH:OAUTH; do
    port=KAFKA_${name#*:}_${n}_PORT
    advertised+="${advertised:+,}${name%:*}://127.0.0.1:${!port}"
  done
  port=KAFKA_CONTROLLER_${n}_PORT
  listeners="$advertised,CONTROLLER://127.0.0.1:${!port}"
  for v in 1 2 3; do
    port=KAFKA_CONTROLLER_${v}_PORT
    voters+="${voters:+,}$v@127.0.0.1:${!port}"
  done
  cat <<CONF
process.roles=broker,controller
node.id=$n
controller.quorum.voters=$voters
controller.listener.names=CONTROLLER
listeners=$listeners
advertised.listeners=$advertised
listener.security.protocol.map=SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,MTLS:SSL,OAUTH:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=SASL_SSL
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="broker" password="$(secret kafka-broker)";
listener.name.oauth.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.oauth.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";
listener.name.ssl.ssl.client.auth=requested
listener.name.mtls.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location=$at/keystore.pem
ssl.truststore.type=PEM
ssl.truststore.location=$at/ca.pem
log.dirs=$at/$n/data
auto.create.topics.enable=false
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
offsets.topic.num.partitions=12
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
transaction.state.log.num.partitions=6
group.initial.rebalance.delay.ms=0
# A dead broker is noticed in seconds, so that drills measure failover rather than patience.
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=1000
num.network.threads=2
num.io.threads=4
num.replica.fetchers=1
# What a long run may put on the disk, whatever a topic's time says: 32 MiB a partition.
log.retention.bytes=33554432
log.segment.bytes=8388608
log.retention.check.interval.ms=60000
CONF
}

# The quorum's storage, with both SCRAM users in it. One node's is made by Kafka's tool; the
# others' differ in the node's number only, and a JVM each would cost two seconds.
kafka_format() {
  local user=$1 at=$DIR/kafka n id
  as_user "$user"
  local as=("${AS[@]}")
  # A cluster id is 16 random bytes in URL-safe base64; one that starts with a dash would be
  # taken for an option.
  id=k$(openssl rand -base64 18 | tr '+/' 'ab' | cut -c 2-21)A
  # The tool takes passwords as arguments only; read from a file by java they stay out of the
  # process list.
  cat >"$at/format.args" <<ARGS
-cp "$at/libs/*"
kafka.tools.StorageTool
format
-t $id
-c "$at/1/server.properties"
--add-scram "SCRAM-SHA-512=[name=slatest,password=$(secret kafka)]"
--add-scram "SCRAM-SHA-512=[name=broker,password=$(secret kafka-broker)]"
ARGS
  owned "$user" 0600 "$at/format.args"
  (cd "$at" && "${as[@]}" "$(program java)" "${KAFKA_JVM[@]}" "-Djava.io.tmpdir=$at/tmp" \
    "-Dlog4j.configuration=file:$at/log4j.properties" "@$at/format.args") \
    >"$DIR/log/kafka-format.log" 2>&1 || fail "kafka: storage format: $(last_words kafka-format)"
  rm -f -- "$at/format.args"
  for n in 2 3; do
    cp -a -- "$at/1/data" "$at/$n/data"
    sed -i "s/^node.id=1$/node.id=$n/" "$at/$n/data/meta.properties"
    owned "$user" 0640 "$at/$n/data/meta.properties"
  done
}

# One file for Java's clients (the topics below), one for librdkafka's (kcat, and the API).
kafka_client_files() {
  local user=$1 at=$DIR/kafka
  cat >"$at/client.properties" <<CONF
security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="slatest" password="$(secret kafka)";
ssl.truststore.type=PEM
ssl.truststore.location=$at/ca.pem
CONF
  owned "$user" 0600 "$at/client.properties"
  secret_file kafka-librdkafka.properties "security.protocol=sasl_ssl
sasl.mechanism=SCRAM-SHA-512
sasl.username=slatest
sasl.password=$(secret kafka)
ssl.ca.location=$DIR/certs/ca.pem
"
}

# kafka_ports KIND: the three brokers' addresses of one listener, with commas.
kafka_brokers() {
  local n port list=""
  for n in 1 2 3; do
    port=KAFKA_$1_${n}_PORT
    list+="${list:+,}127.0.0.1:${!port}"
  done
  echo "$list"
}

kcat_scram() {
  timeout 10 kcat -F "$DIR/secrets/kafka-librdkafka.properties" "$@" 2>/dev/null
}

# Broker N takes SCRAM clients and knows all three.
kafka_sees_all() {
  local port=KAFKA_SASL_$1_PORT
  port_open "${!port}" && kcat_scram -b "127.0.0.1:${!port}" -L -m 5 | grep -q '^ 3 brokers'
}

kafka_topics() {
  local user=$1 at=$DIR/kafka topic name partitions days pids=() pid failed=0
  as_user "$user"
  local as=("${AS[@]}")
  for topic in "${KAFKA_TOPICS[@]}"; do
    IFS=: read -r name partitions days <<<"$topic"
    (cd "$at" && exec "${as[@]}" timeout 60 "$(program java)" "${KAFKA_JVM[@]}" -Xmx128m \
      "-Djava.io.tmpdir=$at/tmp" "-Dlog4j.configuration=file:$at/log4j.properties" \
      -cp "$at/libs/*" kafka.admin.TopicCommand --bootstrap-server "$(kafka_brokers SASL)" \
      --command-config "$at/client.properties" --create --if-not-exists --topic "$name" \
      --partitions "$partitions" --replication-factor 3 \
      --config "retention.ms=$((days * 86400000))" --config min.insync.replicas=2) \
      >"$DIR/log/kafka-topic-$name.log" 2>&1 &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
  ((!failed)) || fail "kafka: topics: $(tail -qn 2 "$DIR"/log/kafka-topic-*.log)"
  wait_until 20 kafka_topics_whole || fail "kafka: the topics' replicas don't come into sync"
}

# Every partition of the four topics has three replicas in sync.
kafka_topics_whole() {
  local topic all metadata
  metadata=$(kcat_scram -b "$(kafka_brokers SASL)" -L -m 5) || return 1
  for topic in "${KAFKA_TOPICS[@]}"; do
    IFS=: read -r topic all _ <<<"$topic"
    [[ $(awk -v topic="\"$topic\"" '
      $1 == "topic" { mine = ($2 == topic) }
      mine && $1 == "partition" && match($0, /isrs: [0-9,]+/) {
        if (split(substr($0, RSTART + 6, RLENGTH - 6), isr, ",") == 3) whole++
      }
      END { print whole + 0 }' <<<"$metadata") == "$all" ]] || return 1
  done
}

# kafka_leader TOPIC PARTITION: the broker that leads it.
kafka_leader() {
  local leader
  leader=$(timeout 10 kcat -b "$(kafka_brokers PLAIN)" -L -t "$1" -m 5 2>/dev/null |
    sed -n "s/^ *partition $2, leader \([0-9]\), .*/\1/p")
  [[ $leader == [123] ]] && echo "$leader"
}

# kafka_controller: the node that leads the metadata quorum, as the voters themselves have it on disk
# (what clients are told as the controller is any broker): that of the latest epoch.
kafka_controller() {
  local n state best=-1 leader=""
  for n in 1 2 3; do
    state=$(cat "$DIR/kafka/$n/data/__cluster_metadata-0/quorum-state" 2>/dev/null) || continue
    [[ $state =~ \"leaderId\":([123]),\"leaderEpoch\":([0-9]+) ]] || continue
    if ((BASH_REMATCH[2] > best)); then best=${BASH_REMATCH[2]} leader=${BASH_REMATCH[1]}; fi
  done
  [[ -n $leader ]] && echo "$leader"
}

# kafka_rejoin: whoever is down comes back, and every partition is whole again. Does no harm where nobody is.
kafka_rejoin() {
  local n
  for n in 1 2 3; do process_alive "kafka-$n" || kafka_node "$n"; done
  for n in 1 2 3; do ready "kafka-$n" 90 kafka_sees_all "$n"; done
  wait_until 90 kafka_topics_whole || fail "kafka: the topics' replicas don't come into sync: $(last_words kafka-1)"
}

kafka_healthy() {
  local n
  for n in 1 2 3; do process_alive "kafka-$n" || return 1; done
  kafka_topics_whole
}

kafka_stop() {
  local n
  # A graceful stop hands leaders over one broker at a time, for a store that is thrown away.
  for n in 1 2 3; do process_stop "kafka-$n" KILL 5; done
  stop_strays "$DIR/kafka"
  rm -rf -- "$DIR/kafka"
}

kafka_processes() { echo kafka-{1..3}; }

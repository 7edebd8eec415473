# shellcheck shell=bash
# Faults of Kafka and RabbitMQ: what the target file names, and the steps that it runs
# (`tests/stack/stack fault NAME VERB`). Which node is meant is looked up when it is broken.

# faults_brokers: the entries of the target's `faults`.
faults_brokers() {
  if is_up kafka; then
    cat <<YAML
  # The broker that leads partition 0 of task-events. Each node is a controller, too.
  kafka-leader-loss: $(fault_command kafka-leader-loss)
  # The node that leads the metadata quorum. It is a broker, too, as nodes of the stack are both.
  kafka-controller-loss: $(fault_command kafka-controller-loss)
YAML
  fi
  if is_up rabbitmq; then
    cat <<YAML
  # The node that leads the work queue.
  queue-node-loss: $(fault_command queue-node-loss)
YAML
  fi
}

# fault_command NAME: a fault whose three steps are those of this script.
fault_command() {
  echo "{ command: { inject: $(fault_program "$1" inject), heal: $(fault_program "$1" heal), probe: $(fault_program "$1" probe) } }"
}

fault_kafka_leader_loss_inject() {
  local n
  n=$(kafka_leader task-events 0) || fail "nobody is known to lead partition 0 of task-events"
  process_kill "kafka-$n"
  echo "killed broker $n, the leader of partition 0 of task-events"
}

fault_kafka_leader_loss_heal() {
  kafka_rejoin
  echo "3 brokers, every partition has 3 replicas in sync"
}

fault_kafka_leader_loss_probe() {
  kafka_healthy || fail "Kafka isn't whole: up are $(processes_up kafka-{1..3})"
  echo "3 brokers, every partition has 3 replicas in sync; broker $(kafka_leader task-events 0) leads task-events 0, node $(kafka_controller) the metadata"
}

fault_kafka_controller_loss_inject() {
  local n
  n=$(kafka_controller) || fail "nobody is known to lead the metadata quorum"
  process_kill "kafka-$n"
  echo "killed node $n, the active controller"
}

fault_kafka_controller_loss_heal() { fault_kafka_leader_loss_heal; }
fault_kafka_controller_loss_probe() { fault_kafka_leader_loss_probe; }

fault_queue_node_loss_inject() {
  local nodes
  read -ra nodes <<<"$(rabbitmq_queue)" && ((${#nodes[@]})) || fail "nobody is known to lead the queue $RABBIT_WORK_QUEUE"
  process_kill "rabbitmq-${nodes[0]}"
  echo "killed node ${nodes[0]}, the leader of the queue $RABBIT_WORK_QUEUE"
}

fault_queue_node_loss_heal() {
  rabbitmq_rejoin
  echo "3 nodes in the cluster, 3 replicas of the queue $RABBIT_WORK_QUEUE are online"
}

fault_queue_node_loss_probe() {
  local nodes
  rabbitmq_healthy || fail "RabbitMQ isn't whole: up are $(processes_up rabbitmq-{1..3})"
  read -ra nodes <<<"$(rabbitmq_queue)"
  echo "3 nodes, 3 replicas of the queue $RABBIT_WORK_QUEUE; node ${nodes[0]} leads it"
}

# processes_up NAME...: those that are alive.
processes_up() {
  local name up=""
  for name in "$@"; do if process_alive "$name"; then up+="${up:+ }$name"; fi; done
  echo "${up:-none}"
}

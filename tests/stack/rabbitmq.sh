# shellcheck shell=bash
# RabbitMQ: one node, plain AMQP and AMQPS, with an Erlang port mapper of its own.

COMPONENT_PORTS[rabbitmq]="AMQP_PORT AMQPS_PORT RABBIT_DIST_PORT RABBIT_EPMD_PORT"

rabbitmq_start() {
  local user at=$DIR/rabbitmq
  user=$(service_user rabbitmq)
  folder "$user" "$at"
  folder "$user" "$at/log"
  certs_for "$user" "$at"
  cat >"$at/rabbitmq.conf" <<CONF
listeners.tcp.1 = 127.0.0.1:$AMQP_PORT
listeners.ssl.1 = 127.0.0.1:$AMQPS_PORT
ssl_options.cacertfile = $at/ca.pem
ssl_options.certfile = $at/server.pem
ssl_options.keyfile = $at/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
default_user = slatest
default_pass = $(secret rabbitmq)
default_vhost = slatest
default_permissions.configure = .*
default_permissions.read = .*
default_permissions.write = .*
loopback_users = none
# A full disk elsewhere must not block publishers here.
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.absolute = 1GB
log.file = $at/log/node.log
log.file.level = info
CONF
  echo '[].' >"$at/enabled_plugins"
  owned "$user" 0600 "$at/rabbitmq.conf" "$at/enabled_plugins"
  rabbitmq_environment
  process_start rabbitmq-epmd "$user" "$at" "$(program epmd)" -address 127.0.0.1 -port "$RABBIT_EPMD_PORT"
  ready rabbitmq-epmd 10 port_open "$RABBIT_EPMD_PORT"
  process_start rabbitmq "$user" "$at" "$(rabbit_server)"
  ready rabbitmq 120 rabbitmq_answers
  secret_file amqp-uri "amqp://slatest:$(secret rabbitmq)@127.0.0.1:$AMQP_PORT/slatest"
  secret_file amqps-uri "amqps://slatest:$(secret rabbitmq)@127.0.0.1:$AMQPS_PORT/slatest"
}

# Everything that would otherwise be under /var or /etc is told to live in the stack's folder.
rabbitmq_environment() {
  local at=$DIR/rabbitmq
  export HOME=$at
  export RABBITMQ_NODENAME=slatest@localhost
  export RABBITMQ_CONF_ENV_FILE=$at/no-environment-file
  export RABBITMQ_CONFIG_FILE=$at/rabbitmq.conf
  export RABBITMQ_MNESIA_BASE=$at/mnesia
  export RABBITMQ_LOG_BASE=$at/log
  export RABBITMQ_ENABLED_PLUGINS_FILE=$at/enabled_plugins
  export RABBITMQ_PID_FILE=$at/pid
  # shellcheck disable=SC2153
  export RABBITMQ_DIST_PORT=$RABBIT_DIST_PORT
  export ERL_EPMD_PORT=$RABBIT_EPMD_PORT
  export ERL_EPMD_ADDRESS=127.0.0.1
  # Bound to loopback, and without the schedulers' busy waiting, which on two cores is stolen
  # from whoever is measured.
  export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none'
  # Makes the start script become the node instead of watching over it: the pid is then the node's.
  export RUNNING_UNDER_SYSTEMD=true
}

# An AMQP header is answered by Connection.Start once the node takes clients.
rabbitmq_answers() {
  local first
  first=$(
    {
      exec 3<>"/dev/tcp/127.0.0.1/$AMQP_PORT" || exit 1
      printf 'AMQP\0\0\11\1' >&3
      timeout 5 head -c 1 <&3 | od -An -tu1
    } 2>/dev/null
  ) || return 1
  [[ ${first// /} == 1 ]]
}

rabbitmq_healthy() { process_alive rabbitmq && rabbitmq_answers; }

rabbitmq_stop() {
  process_stop rabbitmq KILL 5
  process_stop rabbitmq-epmd KILL
  stop_strays "$DIR/rabbitmq"
  rm -rf -- "$DIR/rabbitmq"
}

rabbitmq_processes() { echo rabbitmq rabbitmq-epmd; }

# shellcheck shell=bash
# RabbitMQ: a cluster of three nodes, each with a plain AMQP and an AMQPS port, and one Erlang port
# mapper of their own. The work queue is a quorum queue with a replica on each.

COMPONENT_PORTS[rabbitmq]="AMQP_PORT AMQPS_PORT AMQP_2_PORT AMQPS_2_PORT AMQP_3_PORT AMQPS_3_PORT
  RABBIT_DIST_1_PORT RABBIT_DIST_2_PORT RABBIT_DIST_3_PORT RABBIT_EPMD_PORT"

# Declared here, so that its replicas are on all nodes whoever uses it first.
RABBIT_WORK_QUEUE=slatest-jobs

rabbitmq_start() {
  local user at=$DIR/rabbitmq n
  user=$(service_user rabbitmq)
  folder "$user" "$at"
  folder "$user" "$at/log"
  certs_for "$user" "$at"
  # What nodes, and those who ask them, prove to each other that they belong together with.
  secret rabbitmq-cookie >"$at/.erlang.cookie"
  owned "$user" 0400 "$at/.erlang.cookie"
  echo '[].' >"$at/enabled_plugins"
  owned "$user" 0600 "$at/enabled_plugins"
  for n in 1 2 3; do
    rabbitmq_configuration "$n" >"$at/$n.conf"
    owned "$user" 0600 "$at/$n.conf"
  done
  (
    rabbitmq_environment 1
    process_start rabbitmq-epmd "$user" "$at" "$(program epmd)" -address 127.0.0.1 -port "$RABBIT_EPMD_PORT"
  )
  ready rabbitmq-epmd 10 port_open "$RABBIT_EPMD_PORT"
  for n in 1 2 3; do rabbitmq_node "$n"; done
  for n in 1 2 3; do
    rabbitmq_ready "$n" 180
    secret_file "amqp-uri$(rabbitmq_suffix "$n")" "amqp://slatest:$(secret rabbitmq)@127.0.0.1:$(rabbitmq_port AMQP "$n")/slatest"
    secret_file "amqps-uri$(rabbitmq_suffix "$n")" "amqps://slatest:$(secret rabbitmq)@127.0.0.1:$(rabbitmq_port AMQPS "$n")/slatest"
  done
  rabbitmq_gather
  rabbitmq_declare || fail "rabbitmq: the queue $RABBIT_WORK_QUEUE can't be declared: $(last_words rabbitmq-ask)"
  rabbitmq_await_queue
  rabbitmq_lead
}

# rabbitmq_ready N SECONDS: waits until node N takes clients; says its log where it doesn't.
rabbitmq_ready() {
  local deadline=$((SECONDS + $2))
  until rabbitmq_answers "$1" >/dev/null 2>&1; do
    process_alive "rabbitmq-$1" || fail "rabbitmq: node $1 ended while starting: $(rabbitmq_words "$1")"
    ((SECONDS <= deadline)) || fail "rabbitmq: node $1 takes no clients after $2s: $(rabbitmq_words "$1")"
    sleep 0.2
  done
}

# rabbitmq_words N: the last lines that node N wrote to its log.
rabbitmq_words() {
  local log=$DIR/rabbitmq/log/node-$1.log
  echo "last lines of node $1's log ($log):"
  tail -n 12 "$log" 2>/dev/null | sed 's/^/    /'
  tail -n 3 "$DIR/log/rabbitmq-$1.log" 2>/dev/null | sed 's/^/    /'
}

# rabbitmq_gather: brings the nodes into one cluster, the first being its founder. Each node starts alone, and is
# told to join by name once both take clients: RabbitMQ's own peer discovery takes locks of the founder that
# joiners hold while they wait for it. Whoever stands alone, for whatever reason, is reset and joined.
rabbitmq_gather() {
  local n deadline=$((SECONDS + 180)) why=
  for n in 2 3; do
    until rabbitmq_joined "$n"; do
      process_alive "rabbitmq-$n" || fail "rabbitmq: node $n ended while joining: $(rabbitmq_words "$n")"
      ((SECONDS <= deadline)) || fail "rabbitmq: node $n doesn't join the first (${why:-it gives no answer}): $(rabbitmq_words "$n")"
      why=$(rabbitmq_join "$n") || true
    done
  done
  for n in 1 2 3; do rabbitmq_ready "$n" 60; done
  wait_until 60 rabbitmq_members 3 ||
    fail "rabbitmq: of three nodes only these run in the cluster: $(rabbitmq_running): $(rabbitmq_words 1)"
}

# Both node N and the first say that they are in one cluster and that both run.
rabbitmq_joined() {
  local here="[lists:member(M, rabbit_nodes:all_running()) || M <- ['slatest1@localhost', 'slatest$1@localhost']]"
  [[ $(rabbitmq_ask "$1" "lists:flatten(io_lib:format(\"~p\", [$here])).") == "[true,true]" ]] &&
    [[ $(rabbitmq_ask 1 "lists:flatten(io_lib:format(\"~p\", [$here])).") == "[true,true]" ]]
}

# rabbitmq_join N: resets node N and has it join the first; says what came of it. What the first still knows of a
# member that no longer knows itself as one is forgotten.
rabbitmq_join() {
  rabbitmq_ask 1 "case lists:member('slatest$1@localhost', rabbit_nodes:all()) of
    true -> lists:flatten(io_lib:format(\"~p\", [catch rabbit_mnesia:forget_cluster_node('slatest$1@localhost', false)]));
    false -> \"unknown\" end." >/dev/null || true
  RABBIT_ASK_SECONDS=60 rabbitmq_ask "$1" "rabbit:stop(),
    Joined = (catch rabbit_mnesia:join_cluster('slatest1@localhost', disc)),
    Started = (catch rabbit:start()),
    lists:flatten(io_lib:format(\"~0p, ~0p\", [Joined, Started]))." || echo "it gives no answer"
}

# rabbitmq_running: the nodes that run, by the cluster's own word.
rabbitmq_running() {
  local n
  n=$(rabbitmq_live) || return 0
  rabbitmq_ask "$n" 'lists:flatten(io_lib:format("~0p", [rabbit_nodes:all_running()])).' || true
}

rabbitmq_await_queue() {
  wait_until 60 rabbitmq_queue_whole ||
    fail "rabbitmq: the queue $RABBIT_WORK_QUEUE has its leader and replicas on nodes $(rabbitmq_queue | tr ' ' ','), not on all: $(rabbitmq_words 1)"
}

# rabbitmq_lead: the first node leads the work queue, as after a rebalance of leaders. Clients try it first,
# so its loss takes their connections too.
rabbitmq_lead() {
  wait_until 20 rabbitmq_handed_over || warn "rabbitmq: the first node doesn't lead the queue $RABBIT_WORK_QUEUE"
}

# Asked again until it is so: one that has just come back may not be ready to lead.
rabbitmq_handed_over() {
  local n
  if rabbitmq_first_leads; then return 0; fi
  n=$(rabbitmq_live) || return 1
  rabbitmq_ask "$n" "{ok, Q} = rabbit_amqqueue:lookup($RABBIT_WORK_QUEUE_RESOURCE),
    lists:flatten(io_lib:format(\"~p\", [rabbit_quorum_queue:transfer_leadership(Q, 'slatest1@localhost')]))." >/dev/null || true
  rabbitmq_first_leads
}

rabbitmq_first_leads() { [[ $(rabbitmq_queue) == "1 "* ]]; }

# The first node's names have no number: whoever needs just a broker takes it.
rabbitmq_suffix() { if (($1 > 1)); then echo "-$1"; fi; }

# rabbitmq_port AMQP|AMQPS N
rabbitmq_port() {
  local suffix port
  suffix=$(rabbitmq_suffix "$2")
  port=$1${suffix/-/_}_PORT
  echo "${!port}"
}

# rabbitmq_node N: starts it, for the first time or again with what it had.
rabbitmq_node() {
  (
    rabbitmq_environment "$1"
    process_start "rabbitmq-$1" "$(service_user rabbitmq)" "$DIR/rabbitmq" "$(rabbit_server)"
  )
}

rabbitmq_configuration() {
  local n=$1 at=$DIR/rabbitmq
  cat <<CONF
listeners.tcp.1 = 127.0.0.1:$(rabbitmq_port AMQP "$n")
listeners.ssl.1 = 127.0.0.1:$(rabbitmq_port AMQPS "$n")
ssl_options.cacertfile = $at/ca.pem
ssl_options.certfile = $at/server.pem
ssl_options.keyfile = $at/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
# Each node finds itself alone at once; the others are told to join the first when they are up.
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.classic_config.nodes.1 = slatest$n@localhost
cluster_formation.randomized_startup_delay_range.min = 0
cluster_formation.randomized_startup_delay_range.max = 0
# As Amazon MQ's clusters do: who is cut off from the others stops rather than goes its own way.
cluster_partition_handling = pause_minority
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
log.file = $at/log/node-$n.log
log.file.level = info
CONF
}

# rabbitmq_environment N: everything that would otherwise be under /var or /etc is told to live in
# the stack's folder.
rabbitmq_environment() {
  local n=$1 at=$DIR/rabbitmq dist=RABBIT_DIST_$1_PORT
  export HOME=$at
  export RABBITMQ_NODENAME=slatest$n@localhost
  export RABBITMQ_CONF_ENV_FILE=$at/no-environment-file
  export RABBITMQ_CONFIG_FILE=$at/$n.conf
  export RABBITMQ_MNESIA_BASE=$at/mnesia
  export RABBITMQ_LOG_BASE=$at/log
  export RABBITMQ_ENABLED_PLUGINS_FILE=$at/enabled_plugins
  export RABBITMQ_PID_FILE=$at/$n.pid
  export RABBITMQ_DIST_PORT=${!dist}
  export ERL_EPMD_PORT=$RABBIT_EPMD_PORT
  export ERL_EPMD_ADDRESS=127.0.0.1
  # Three nodes on a small machine: one scheduler of each kind, few threads for files, no busy
  # waiting, which would be stolen from whoever is measured. Bound to loopback.
  export RABBITMQ_IO_THREAD_POOL_SIZE=4
  export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +SDcpu 1:1 +SDio 2 +sbwt none +sbwtdcpu none +sbwtdio none'
  # Makes the start script become the node instead of watching over it: the pid is then the node's.
  export RUNNING_UNDER_SYSTEMD=true
}

# An AMQP header is answered by Connection.Start once the node takes clients.
rabbitmq_answers() {
  local first port
  port=$(rabbitmq_port AMQP "$1")
  first=$(
    {
      exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 1
      printf 'AMQP\0\0\11\1' >&3
      timeout 5 head -c 1 <&3 | od -An -tu1
    } 2>/dev/null
  ) || return 1
  [[ ${first// /} == 1 ]]
}

# rabbitmq_ask N EXPRESSION: has node N evaluate Erlang that gives a string, and prints it. A program
# in C asks, in a hundredth of a second; rabbitmqctl boots a virtual machine for it.
rabbitmq_ask() {
  local said seconds=${RABBIT_ASK_SECONDS:-5}
  as_user "$(service_user rabbitmq)"
  said=$(
    cd "$DIR/rabbitmq" && HOME=$DIR/rabbitmq ERL_EPMD_PORT=$RABBIT_EPMD_PORT timeout $((seconds + 5)) \
      "${AS[@]}" "$(program erl_call)" -r -timeout "$seconds" -sname "slatest$1@localhost" -e <<<"$2" 2>&1
  ) || return 1
  if [[ $said != '{ok, "'*'"}' ]]; then
    echo "$said" >>"$DIR/log/rabbitmq-ask.log"
    return 1
  fi
  said=${said#'{ok, "'}
  echo "${said%'"}'}"
}

# rabbitmq_live: the number of a node that answers questions.
rabbitmq_live() {
  local n
  for n in 1 2 3; do
    if process_alive "rabbitmq-$n" && rabbitmq_answers "$n"; then
      echo "$n"
      return
    fi
  done
  return 1
}

# rabbitmq_members COUNT: as many nodes run in the cluster.
rabbitmq_members() {
  local n
  n=$(rabbitmq_live) || return 1
  [[ $(rabbitmq_ask "$n" 'integer_to_list(length(rabbit_nodes:all_running())).') == "$1" ]]
}

RABBIT_WORK_QUEUE_RESOURCE="rabbit_misc:r(<<\"slatest\">>, queue, <<\"$RABBIT_WORK_QUEUE\">>)"

rabbitmq_declare() {
  [[ $(rabbitmq_ask 1 "case rabbit_amqqueue:declare($RABBIT_WORK_QUEUE_RESOURCE, true, false,
    [{<<\"x-queue-type\">>, longstr, <<\"quorum\">>}], none, <<\"slatest\">>) of
      {new, _} -> \"declared\"; {existing, _} -> \"declared\" end.") == declared ]]
}

# rabbitmq_queue: the nodes of the work queue, by their numbers: its leader, then those whose
# replica is online.
rabbitmq_queue() {
  local n
  n=$(rabbitmq_live) || return 1
  rabbitmq_ask "$n" "{ok, Q} = rabbit_amqqueue:lookup($RABBIT_WORK_QUEUE_RESOURCE),
    {Name, Leader} = amqqueue:get_pid(Q),
    Online = [N || N <- maps:get(nodes, amqqueue:get_type_state(Q)), is_pid(catch erpc:call(N, erlang, whereis, [Name], 2000))],
    lists:flatten(lists:join(\" \", [string:slice(hd(string:split(atom_to_list(N), \"@\")), 7) || N <- [Leader | Online]]))."
}

# The work queue has a leader and three replicas that are there.
rabbitmq_queue_whole() {
  local nodes
  read -ra nodes <<<"$(rabbitmq_queue)" && ((${#nodes[@]} == 4))
}

# rabbitmq_rejoin: whoever is down comes back, and the work queue is whole again. Does no harm where nobody is.
rabbitmq_rejoin() {
  local n
  for n in 1 2 3; do process_alive "rabbitmq-$n" || rabbitmq_node "$n"; done
  for n in 1 2 3; do rabbitmq_ready "$n" 120; done
  wait_until 60 rabbitmq_members 3 ||
    fail "rabbitmq: of three nodes only these run in the cluster: $(rabbitmq_running): $(rabbitmq_words 1)"
  rabbitmq_await_queue
  rabbitmq_lead
}

rabbitmq_healthy() {
  local n
  for n in 1 2 3; do process_alive "rabbitmq-$n" && rabbitmq_answers "$n" || return 1; done
  rabbitmq_members 3 && rabbitmq_queue_whole
}

rabbitmq_stop() {
  local n
  for n in 1 2 3; do process_stop "rabbitmq-$n" KILL 5; done
  process_stop rabbitmq-epmd KILL
  stop_strays "$DIR/rabbitmq"
  rm -rf -- "$DIR/rabbitmq"
}

rabbitmq_processes() { echo rabbitmq-{1..3} rabbitmq-epmd; }

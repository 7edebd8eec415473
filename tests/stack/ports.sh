# shellcheck shell=bash
# Ports: chosen free when a component starts, written to ports.env, kept while the stack is up.

# Below the range from which the kernel picks the ports of outgoing connections (32768 and up):
# under load such a connection would otherwise sit on the port of a server that restarts.
PORT_FIRST=20000
PORT_LAST=31999

declare -A LISTENING=()

ports_load() {
  if [[ -s $DIR/ports.env ]]; then
    # shellcheck disable=SC1091
    source "$DIR/ports.env"
  fi
}

# ports_listening: fills LISTENING with every TCP port of this machine that somebody listens on.
ports_listening() {
  local hex
  LISTENING=()
  while read -r hex; do LISTENING[$((16#$hex))]=1; done < <(
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
      awk '$4 == "0A" { n = split($2, part, ":"); print part[n] }'
  )
}

# ports_take NAME...: gives each variable NAME a free port; one that it has already is kept if free.
ports_take() {
  local name port tries
  ports_listening
  for name in "${!ALL_PORTS[@]}"; do
    port=${!name:-}
    # Ports of the stack's other components are not up for grabs while those are down.
    if [[ -n $port && " $* " != *" $name "* ]]; then LISTENING[$port]=1; fi
  done
  for name in "$@"; do
    port=${!name:-}
    tries=0
    until [[ -n $port && -z ${LISTENING[$port]:-} ]]; do
      ((++tries <= 1000)) || fail "no free port between $PORT_FIRST and $PORT_LAST on this machine"
      port=$((PORT_FIRST + RANDOM % (PORT_LAST - PORT_FIRST + 1)))
    done
    LISTENING[$port]=1
    printf -v "$name" '%s' "$port"
  done
  ports_save
}

ports_save() {
  local name
  for name in "${!ALL_PORTS[@]}"; do
    if [[ -n ${!name:-} ]]; then printf '%s=%s\n' "$name" "${!name}"; fi
  done | sort >"$DIR/ports.env.new"
  mv -- "$DIR/ports.env.new" "$DIR/ports.env"
}

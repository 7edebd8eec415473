# shellcheck shell=bash
# Processes of the stack: started detached under a user of their own, known by a pid file that
# also holds the process's start time, so that a recycled pid is never taken for one of ours.

# as_user USER: sets AS to the words that run a command as USER (nothing when that is us already).
as_user() {
  AS=()
  if ((EUID == 0)); then
    AS=(setpriv "--reuid=$1" "--regid=$(id -g "$1")" --clear-groups --)
  fi
}

# service_user PREFERRED: the user to run a service as. Without root it is whoever we are.
service_user() {
  if ((EUID != 0)); then
    id -un
  elif id -u "$1" >/dev/null 2>&1; then
    echo "$1"
  else
    echo nobody
  fi
}

# owned USER MODE PATH...: hands files or folders to a service.
owned() {
  local user=$1 mode=$2
  shift 2
  chmod "$mode" "$@"
  if ((EUID == 0)); then chown "$user:$(id -g "$user")" "$@"; fi
}

# folder USER PATH: an empty folder that belongs to a service.
folder() {
  rm -rf -- "$2"
  mkdir -p -- "$2"
  owned "$1" 0750 "$2"
}

# start_time PID: kernel ticks since boot at which PID started; fails for the dead and for zombies.
start_time() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # The command name may hold blanks, so fields are counted from its closing bracket.
  read -ra stat <<<"${stat##*) }"
  [[ ${stat[0]} != [ZX] ]] && echo "${stat[19]}"
}

# process_pid NAME: prints the pid of a process of ours that is alive.
process_pid() {
  local pid started
  [[ -s $DIR/run/$1.pid ]] || return 1
  { read -r pid && read -r started; } <"$DIR/run/$1.pid" || return 1
  [[ $(start_time "$pid") == "$started" ]] && echo "$pid"
}

process_alive() { process_pid "$1" >/dev/null; }

# process_start NAME USER FOLDER COMMAND...: output goes to log/NAME.log, the pid to run/NAME.pid.
process_start() {
  local name=$1 user=$2 where=$3 pid started
  shift 3
  as_user "$user"
  (
    cd "$where"
    raise_file_limit
    export HOME=$where
    # The locks' descriptors stay behind, or the locks would live as long as the service.
    exec 8>&- 9>&- </dev/null >>"$DIR/log/$name.log" 2>&1
    exec setsid "${AS[@]}" "$@"
  ) &
  pid=$!
  disown "$pid"
  started=$(start_time "$pid") || fail "$name ended at once: see $DIR/log/$name.log"
  printf '%s\n%s\n' "$pid" "$started" >"$DIR/run/$name.pid"
}

# process_stop NAME [SIGNAL [SECONDS]]: asks, waits, then insists; takes its process group along.
process_stop() {
  local name=$1 signal=${2:-TERM} seconds=${3:-10} pid
  if pid=$(process_pid "$name"); then
    kill -s "$signal" "$pid" 2>/dev/null || true
    if ! wait_until "$seconds" process_gone "$name"; then
      kill -s KILL -- "-$pid" 2>/dev/null || kill -s KILL "$pid" 2>/dev/null || true
      wait_until 5 process_gone "$name" || warn "$name (pid $pid) doesn't end"
    fi
  fi
  rm -f -- "$DIR/run/$name.pid"
}

process_gone() { ! process_alive "$1"; }

# process_kill NAME: ends a process and its children, of whom none gets to act on its parent's end.
process_kill() {
  local pid children
  pid=$(process_pid "$1") || return 0
  kill -s STOP "$pid" 2>/dev/null || return 0
  mapfile -t children < <(ps -o pid= --ppid "$pid" | tr -d ' ')
  kill -s KILL "${children[@]}" "$pid" 2>/dev/null || true
  wait_until 10 process_gone "$1" || fail "$1 (pid $pid) doesn't end"
}

# process_kill_all NAME...: ends all of them and their children as if at once: none sees another end.
process_kill_all() {
  local name pid pids=() children
  for name in "$@"; do
    pid=$(process_pid "$name") || continue
    mapfile -t children < <(ps -o pid= --ppid "$pid" | tr -d ' ')
    pids+=("$pid" "${children[@]}")
  done
  ((${#pids[@]})) || return 0
  kill -s STOP "${pids[@]}" 2>/dev/null || true
  kill -s KILL "${pids[@]}" 2>/dev/null || true
  for name in "$@"; do wait_until 10 process_gone "$name" || fail "$name doesn't end"; done
}

# process_continue NAME: whatever of a process and its children was stopped goes on.
process_continue() {
  local pid children
  pid=$(process_pid "$1") || return 0
  mapfile -t children < <(ps -o pid= --ppid "$pid" | tr -d ' ')
  kill -s CONT "${children[@]}" "$pid" 2>/dev/null || true
}

# raise_file_limit: as many open files as this machine grants, up to what 30,000 connections need.
raise_file_limit() {
  ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)" 2>/dev/null || true
}

# wait_until SECONDS COMMAND...: polls a condition; fails when the time is over.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS <= deadline)) || return 1
    sleep 0.1
  done
}

# ready NAME SECONDS COMMAND...: waits for a started process's condition, with words when it fails.
ready() {
  local name=$1 deadline=$((SECONDS + $2)) seconds=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    process_alive "$name" || fail "$name ended while starting: $(last_words "$name")"
    ((SECONDS <= deadline)) || fail "$name isn't ready after ${seconds}s: $(last_words "$name")"
    sleep 0.1
  done
}

last_words() {
  echo "last lines of $DIR/log/$1.log:"
  tail -n 12 "$DIR/log/$1.log" 2>/dev/null | sed 's/^/    /'
}

# port_open PORT: something accepts on loopback.
port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# stray_pids FOLDER: processes of the stack's programs that work inside FOLDER, pid file or not
# (children that outlived a killed parent). Asked as each service's user, because in a container
# even root may not look into another user's processes.
stray_pids() {
  local user
  [[ -d $1 ]] || return 0
  for user in $(printf '%s\n' "$(id -un)" "$(service_user postgres)" "$(service_user redis)" \
    "$(service_user rabbitmq)" "$(service_user daemon)" "$(service_user www-data)" \
    "$(service_user nobody)" | sort -u); do
    as_user "$user"
    # shellcheck disable=SC2016
    "${AS[@]}" "$BASH" -c '
      cd /
      for p in $(find /proc -mindepth 2 -maxdepth 2 -name cwd \
        \( -lname "$1" -o -lname "$1 (deleted)" -o -lname "$1/*" \) -printf "%h\n" 2>/dev/null); do
        exe=$(readlink "$p/exe" 2>/dev/null) || continue
        exe=${exe% (deleted)}
        case ${exe##*/} in
          postgres | pgbouncer | socat | redis-server | java | beam.smp | erl_child_setup | inet_gethost \
            | erlexec | epmd | nginx | haproxy | slatest) echo "${p#/proc/}" ;;
        esac
      done' stray "$1"
  done | sort -un
}

# stop_strays FOLDER
stop_strays() {
  local pid pids
  pids=$(stray_pids "$1")
  for pid in $pids; do kill -s KILL "$pid" 2>/dev/null || true; done
  for pid in $pids; do wait_until 5 pid_gone "$pid" || true; done
}

pid_gone() { ! start_time "$1" >/dev/null; }

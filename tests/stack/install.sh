# shellcheck shell=bash
# What the stack needs on the machine, and how it gets there: Debian packages, and Apache Kafka,
# which Debian doesn't have, as jars through Maven.

KAFKA_VERSION=3.5.1
CACHE=${SLATEST_STACK_CACHE:-$HOME/.cache/slatest}/kafka-$KAFKA_VERSION

# program NAME: where a program is; service programs live outside an ordinary user's PATH.
program() { PATH=$PATH:/usr/sbin:/usr/local/sbin:/sbin command -v "$1"; }

# pg_bin: the folder of PostgreSQL's programs; 15 is what the platform runs, newer will do.
pg_bin() {
  local folder
  for folder in /usr/lib/postgresql/15/bin $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV); do
    if [[ -x $folder/postgres ]]; then
      echo "$folder"
      return
    fi
  done
  return 1
}

rabbit_server() {
  [[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]] && echo /usr/lib/rabbitmq/bin/rabbitmq-server
}

kafka_jars() { [[ -s $CACHE/complete ]]; }

# packages_missing COMPONENT...: the Debian packages that the components still lack. `a|b` is a, or
# b in a release that has no a.
packages_missing() {
  local component
  {
    program openssl >/dev/null || echo openssl
    program setpriv >/dev/null || echo util-linux
    for component in "$@"; do
      case $component in
        postgres)
          pg_bin >/dev/null || echo postgresql-15
          program socat >/dev/null || echo socat
          ;;
        pgbouncer)
          program pgbouncer >/dev/null || echo pgbouncer
          pg_bin >/dev/null || echo 'postgresql-15|postgresql'
          ;;
        redis) program redis-server >/dev/null || echo redis-server ;;
        kafka)
          program java >/dev/null || echo 'openjdk-17-jre-headless|default-jre-headless'
          program kcat >/dev/null || echo kcat
          kafka_jars || program mvn >/dev/null || echo maven
          ;;
        rabbitmq) rabbit_server >/dev/null || echo rabbitmq-server ;;
        region) program haproxy >/dev/null || echo haproxy ;;
        nginx) program nginx >/dev/null || echo nginx-light ;;
        alertmanager) program prometheus-alertmanager >/dev/null || echo prometheus-alertmanager ;;
        prometheus) program prometheus >/dev/null || echo prometheus ;;
        api) program curl >/dev/null || echo curl ;;
      esac
    done
  } | sort -u
}

# install_missing COMPONENT...: gets what is missing; says what it does; fails when it can't.
install_missing() {
  local packages failed=0 component
  mapfile -t packages < <(packages_missing "$@")
  if ((${#packages[@]})); then install_packages "${packages[@]}" || failed=1; fi
  for component in "$@"; do
    if [[ $component == kafka ]] && ! kafka_jars; then install_kafka || failed=1; fi
  done
  return "$failed"
}

install_packages() {
  local root=() wanted="${*//|/ or }" status=0
  if ! command -v apt-get >/dev/null; then
    warn "missing: $wanted (Debian's names); this machine has no apt-get, so install them by hand"
    return 1
  fi
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
      warn "missing: $wanted; not root, and no sudo without a password: install them with apt-get"
      return 1
    fi
    root=(sudo -n)
  fi
  say "installing $wanted"
  APT=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=120)
  APT_LOG=$(mktemp "${TMPDIR:-/tmp}/slatest-apt.XXXXXX")
  policy_off "${root[@]}"
  # Package lists are fetched only when those at hand don't do.
  apt_install "$@" || { apt_get update && apt_install "$@"; } || status=$?
  policy_on "${root[@]}"
  if ((status)); then
    warn "apt-get could not install $wanted:"
    tail -n 5 "$APT_LOG" >&2
  fi
  rm -f -- "$APT_LOG"
  return "$status"
}

apt_get() { timeout 900 "${APT[@]}" "$@" </dev/null >"$APT_LOG" 2>&1; }

apt_install() {
  local package choice names=()
  for package in "$@"; do
    choice=${package%%|*}
    if [[ $package == *"|"* && -z $(apt-cache madison "$choice" 2>/dev/null) ]]; then
      choice=${package##*|}
    fi
    names+=("$choice")
  done
  apt_get install --no-install-recommends "${names[@]}"
}

# Debian's own switch: while this file answers 101, package scripts start no service. Every process
# here is to be the stack's own.
policy_off() {
  [[ -e /usr/sbin/policy-rc.d ]] && return
  printf '#!/bin/sh\n# slatest stack\nexit 101\n' | "$@" tee /usr/sbin/policy-rc.d >/dev/null
  "$@" chmod 755 /usr/sbin/policy-rc.d
}

policy_on() {
  if grep -qs '^# slatest stack$' /usr/sbin/policy-rc.d; then "$@" rm -f /usr/sbin/policy-rc.d; fi
}

# In a subshell, so that its lock ends with it.
install_kafka() (
  local try log cache
  if ! command -v mvn >/dev/null; then
    warn "kafka: Apache Kafka $KAFKA_VERSION comes through Maven, and there is no mvn"
    return 1
  fi
  say "fetching Apache Kafka $KAFKA_VERSION through Maven into $CACHE"
  mkdir -p "$CACHE"
  # Two stacks may share the cache; who comes second finds the work done.
  exec {cache}<"$CACHE"
  flock -w 900 "$cache" || true
  kafka_jars && return
  log=$CACHE/maven.log
  for try in 1 2 3; do
    if timeout 300 mvn -q -B -C -Dstyle.color=never -f "$HERE/kafka-pom.xml" dependency:copy-dependencies \
      "-DoutputDirectory=$CACHE/libs" </dev/null >"$log" 2>&1 &&
      compgen -G "$CACHE/libs/kafka_2.13-$KAFKA_VERSION.jar" >/dev/null; then
      echo "$KAFKA_VERSION" >"$CACHE/complete"
      rm -f -- "$log"
      return
    fi
    warn "kafka: Maven failed (try $try of 3): $(grep -m1 ERROR "$log" || tail -n 1 "$log")"
  done
  warn "kafka: can't be had; Maven's words are in $log"
  return 1
)

# shellcheck shell=bash
# A second region, and what leads clients from one to the other: a balancer with services of its own,
# passive, and a switch in front of both balancers, as the platform's DNS with health checks is. While
# this component is up, the target's `api` goes through the switch.
#
# Scaled: the platform's health check runs every 60 s and trips after 3 failures; here it runs every
# second. Clients of DNS go on to the old address for as long as they remember it; here connections that
# are open stay, and new ones follow at once. The stores are both regions'.

COMPONENT_PORTS[region]="REGION_PORT REGION_STATUS_PORT REGION_HTTPS_PORT REGION_HTTPS_MTLS_PORT REGION_HTTP_PORT
  REGION_API_1_PORT REGION_API_2_PORT REGION_SYNC_1_PORT REGION_SYNC_2_PORT"
COMPONENT_NEEDS[region]="api nginx"

region_start() {
  local user at=$DIR/region n
  user=$(service_user nobody)
  folder "$user" "$at"
  for n in 1 2; do
    region_ports api_process "$n"
    region_ports sync_process "$n"
  done
  for n in 1 2; do ready "region-api-$n" 45 region_ports api_answers "$n"; done
  region_ports nginx_folder "$DIR/region-nginx"
  region_ports nginx_process region-nginx
  region_ports ready region-nginx 15 nginx_answers
  region_switch_configuration >"$at/haproxy.cfg"
  owned "$user" 0640 "$at/haproxy.cfg"
  process_start region-switch "$user" "$at" "$(program haproxy)" -db -f "$at/haproxy.cfg"
  ready region-switch 15 region_active
}

# region_ports COMMAND...: what makes the active region, with the passive one's ports and names.
region_ports() {
  (
    # shellcheck disable=SC2153
    API_1_PORT=$REGION_API_1_PORT API_2_PORT=$REGION_API_2_PORT
    SYNC_1_PORT=$REGION_SYNC_1_PORT SYNC_2_PORT=$REGION_SYNC_2_PORT
    HTTPS_PORT=$REGION_HTTPS_PORT HTTPS_MTLS_PORT=$REGION_HTTPS_MTLS_PORT HTTP_PORT=$REGION_HTTP_PORT
    REGION=region-
    "$@"
  )
}

# TCP passes as it is: TLS ends at the balancer of the region, as it does behind a DNS name.
region_switch_configuration() {
  cat <<CONF
global
    maxconn 8000
    stats socket $DIR/region/switch.sock mode 600
defaults
    mode tcp
    timeout connect 2s
    timeout client 1h
    timeout server 1h
frontend edge
    bind 127.0.0.1:$REGION_PORT
    default_backend regions
backend regions
    option httpchk GET /health
    http-check expect status 200
    default-server check check-ssl verify none inter 1s fall 3 rise 2
    server active 127.0.0.1:$HTTPS_PORT
    server passive 127.0.0.1:$REGION_HTTPS_PORT backup
frontend status
    mode http
    bind 127.0.0.1:$REGION_STATUS_PORT
    http-request return status 200 content-type text/plain string active if { srv_is_up(regions/active) }
    http-request return status 200 content-type text/plain string passive if { srv_is_up(regions/passive) }
    http-request return status 503
CONF
}

# region_active: the switch leads to the active region.
region_active() { [[ $(curl -s -m 5 "http://127.0.0.1:$REGION_STATUS_PORT/") == active ]]; }

region_healthy() {
  local n
  for n in 1 2; do
    process_alive "region-api-$n" && region_ports api_answers "$n" && process_alive "region-sync-$n" || return 1
  done
  process_alive region-nginx && process_alive region-switch &&
    grep -qs "127.0.0.1:$HTTPS_PORT$" "$DIR/region/haproxy.cfg" &&
    [[ $(curl -s -m 5 -o /dev/null -w '%{http_code}' "http://127.0.0.1:$REGION_STATUS_PORT/") == 200 ]]
}

region_stop() {
  local process
  for process in $(region_processes); do process_stop "$process" TERM 3; done
  stop_strays "$DIR/region"
  stop_strays "$DIR/region-nginx"
  rm -rf -- "$DIR/region" "$DIR/region-nginx"
}

region_processes() { echo region-switch region-nginx region-api-{1,2} region-sync-{1,2}; }

# shellcheck shell=bash
# nginx as the load balancer: TLS, HTTP/1.1 and HTTP/2, sticky sessions, WebSockets.

COMPONENT_PORTS[nginx]="HTTPS_PORT HTTPS_MTLS_PORT HTTP_PORT"
COMPONENT_NEEDS[nginx]="api"

nginx_start() {
  nginx_folder "$DIR/nginx"
  nginx_process
  ready nginx 15 nginx_answers
}

# nginx_folder FOLDER: all that a balancer reads, in a folder of its own.
nginx_folder() {
  local user at=$1
  user=$(service_user www-data)
  folder "$user" "$at"
  certs_for "$user" "$at"
  nginx_configuration "$at" >"$at/nginx.conf"
  owned "$user" 0640 "$at/nginx.conf"
}

# nginx_process [NAME]: starts the balancer whose folder has that name, for the first time or again.
nginx_process() {
  local at=$DIR/${1:-nginx}
  process_start "${1:-nginx}" "$(service_user www-data)" "$at" "$(program nginx)" -p "$at" -c "$at/nginx.conf" -e stderr
}

nginx_configuration() {
  local at=$1 files workers=1 connections=30000
  files=$(raise_file_limit && ulimit -n)
  # A proxied session takes two descriptors; where one process may not have enough, two share.
  if [[ $files != unlimited ]] && ((files < 2 * 15000 + 200)); then
    workers=2
    connections=$((files - 100))
  fi
  cat <<CONF
daemon off;
pid $at/nginx.pid;
worker_processes $workers;
error_log stderr warn;
events {
    worker_connections $connections;
    multi_accept on;
}
http {
    access_log off;
    server_tokens off;
    client_body_temp_path $at/body;
    proxy_temp_path $at/proxy;
    fastcgi_temp_path $at/fastcgi;
    scgi_temp_path $at/scgi;
    uwsgi_temp_path $at/uwsgi;
    client_max_body_size 4m;
    keepalive_timeout 300s;
    keepalive_requests 10000000;
    http2_recv_buffer_size 256k;
    tcp_nodelay on;

    # The platform's balancer sticks a user to a process by a cookie of its own, for 24 hours.
    # Without a cookie that names a process, the request's random id picks one.
    split_clients \$request_id \$fresh { 50% one; * two; }
    map \$cookie_AWSALB \$sticky { one one; two two; default \$fresh; }

    # Each process's list ends with the other: a stuck user survives its process. As with the platform's
    # balancer, no request is sent twice, and a process is left out only after some have failed; it is
    # tried again every 30 s.
    proxy_next_upstream off;
    upstream one {
        server 127.0.0.1:$API_1_PORT max_fails=5 fail_timeout=30s;
        server 127.0.0.1:$API_2_PORT backup;
        keepalive 512;
        keepalive_requests 10000000;
    }
    upstream two {
        server 127.0.0.1:$API_2_PORT max_fails=5 fail_timeout=30s;
        server 127.0.0.1:$API_1_PORT backup;
        keepalive 512;
        keepalive_requests 10000000;
    }
    # All replicas of a document meet in one process, and in no other while that one is away:
    # two halves of a document that never meet would be worse than a refused connection.
    upstream documents {
        hash \$uri consistent;
        server 127.0.0.1:$SYNC_1_PORT max_fails=0;
        server 127.0.0.1:$SYNC_2_PORT max_fails=0;
    }

    ssl_certificate $at/server.pem;
    ssl_certificate_key $at/server.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:10m;
    ssl_client_certificate $at/ca.pem;
    proxy_http_version 1.1;
    proxy_set_header Host \$host;
    proxy_set_header X-Forwarded-For \$remote_addr;
    proxy_set_header X-Forwarded-Proto \$scheme;
    proxy_connect_timeout 2s;

    server {
        listen 127.0.0.1:$HTTPS_PORT ssl http2 backlog=16384;
        ssl_verify_client off;
        include $at/locations.conf;
    }
    # The same for clients that must show a certificate.
    server {
        listen 127.0.0.1:$HTTPS_MTLS_PORT ssl http2;
        ssl_verify_client on;
        include $at/locations.conf;
    }
    server {
        listen 127.0.0.1:$HTTP_PORT;
        return 301 https://\$host:$HTTPS_PORT\$request_uri;
    }
}
CONF
  cat >"$at/locations.conf" <<'CONF'
location ~ ^/(sync/|echo$) {
    proxy_pass http://documents;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection upgrade;
    proxy_set_header Host $host;
    proxy_buffering off;
    proxy_read_timeout 3600s;
    proxy_send_timeout 3600s;
}
# What makes the API misbehave is asked of a process itself, never of the balancer.
location /control/ {
    return 404;
}
location / {
    proxy_pass http://$sticky;
    # An empty header instead of "close" is what keeps upstream connections alive.
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_read_timeout 60s;
    add_header Set-Cookie "AWSALB=$sticky; Max-Age=86400; Path=/; Secure; HttpOnly" always;
}
CONF
  chmod a+r "$at/locations.conf"
}

nginx_answers() {
  [[ $(curl -s -o /dev/null -m 5 -w '%{http_code}' "http://127.0.0.1:$HTTP_PORT/") == 301 ]]
}

# Healthy also means that it points at the services' present ports.
nginx_healthy() {
  local port
  process_alive nginx && nginx_answers || return 1
  for port in "$API_1_PORT" "$API_2_PORT" "$SYNC_1_PORT" "$SYNC_2_PORT"; do
    grep -qs "127.0.0.1:$port " "$DIR/nginx/nginx.conf" || return 1
  done
}

nginx_stop() {
  process_stop nginx TERM 3
  stop_strays "$DIR/nginx"
  rm -rf -- "$DIR/nginx"
}

nginx_processes() { echo nginx; }

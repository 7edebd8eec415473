# shellcheck shell=bash
# Certificates and passwords: one CA, one server certificate, one client certificate, all made
# here and thrown away with the stack. Elliptic keys, because they are made in milliseconds.

certs_make() {
  local certs=$DIR/certs work
  [[ -s $certs/client.pem ]] && return
  work=$(mktemp -d "$DIR/certs.XXXXXX")
  cat >"$work/openssl.cnf" <<'CNF'
[req]
distinguished_name = name
prompt = no
[name]
CN = set by -subj
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
# Brokers and Redis nodes are each other's clients too.
extendedKeyUsage = serverAuth,clientAuth
subjectAltName = DNS:localhost,IP:127.0.0.1
[client]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
CNF
  (
    cd "$work"
    umask 077
    {
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
        -subj '/CN=slatest test CA' -config openssl.cnf -extensions ca -keyout ca.key -out ca.pem
      local kind cn
      for kind in server client; do
        cn=localhost
        if [[ $kind == client ]]; then cn=slatest; fi
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$cn" \
          -config openssl.cnf -keyout "$kind.key" -out "$kind.csr"
        openssl x509 -req -in "$kind.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
          -extfile openssl.cnf -extensions "$kind" -out "$kind.pem"
      done
    } >openssl.log 2>&1 || fail "openssl could not make the certificates: $(tail -n 5 openssl.log)"
  )
  mkdir -p "$certs"
  install -m 0644 "$work/ca.pem" "$work/server.pem" "$certs"
  install -m 0600 "$work/server.key" "$work/client.key" "$certs"
  # Last, because its presence says that the set is whole.
  install -m 0644 "$work/client.pem" "$certs"
  rm -rf -- "$work"
}

# certs_for USER FOLDER: the server's certificate and key where a service can read them.
certs_for() {
  install -m 0644 "$DIR/certs/ca.pem" "$DIR/certs/server.pem" "$2"
  install -m 0600 "$DIR/certs/server.key" "$2"
  owned "$1" 0600 "$2/server.key"
}

# secret NAME: prints the password NAME, made at first use.
secret() {
  local file=$DIR/secrets/$1
  if [[ ! -s $file ]]; then
    (umask 077 && openssl rand -hex 20 >"$file.new" && mv -- "$file.new" "$file")
  fi
  cat -- "$file"
}

# secret_file NAME VALUE: keeps a value that clients read (a DSN, a URI); no newline at its end.
secret_file() {
  (umask 077 && printf '%s' "$2" >"$DIR/secrets/$1.new" && mv -- "$DIR/secrets/$1.new" "$DIR/secrets/$1")
}

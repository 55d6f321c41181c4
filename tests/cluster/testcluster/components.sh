# The processes of the cluster: how each is configured, started, waited for and stopped.

# In the order in which they start.
COMPONENTS=(etcd kube-apiserver kube-controller-manager kube-scheduler containerd kubelet
  kube-proxy coredns s3)
S3_USER=test
S3_PASSWORD=testsecret

prepare() { # certificates and configuration, once per `down`
  mkdir -p "$STATE"/{log,pid,pki,etcd,s3,cni}
  ln -sfn "$BIN" "$STATE/bin"
  certificates
  local name
  for name in admin controller-manager scheduler proxy kubelet; do
    kubeconfig "$STATE/$name.conf" $name
  done
  node_files
  touch "$STATE/prepared"
}

certificates() {
  (
    cd "$STATE/pki"
    openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 365 \
      -subj /CN=test-ca 2>/dev/null
    openssl genrsa -out sa.key 2048 2>/dev/null
    openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
    local names=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost
    cert apiserver /CN=kube-apiserver "IP:$NODE_IP,IP:${SERVICE_CIDR%0/*}1,IP:127.0.0.1,$names"
    cert admin /O=system:masters/CN=admin
    cert controller-manager /CN=system:kube-controller-manager
    cert scheduler /CN=system:kube-scheduler
    cert proxy /CN=system:kube-proxy
    cert kubelet /O=system:nodes/CN=system:node:node-0 "IP:$NODE_IP,DNS:node-0"
  )
}

cert() { # name subject [alternative names]
  openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -subj "$2" -out "$1.csr" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 \
    -out "$1.crt" ${3:+-extfile <(printf 'subjectAltName=%s' "$3")} 2>/dev/null
}

kubeconfig() { # file certificate
  cat >"$1" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: $API, certificate-authority: $STATE/pki/ca.crt}}]
users: [{name: $2, user: {client-certificate: $STATE/pki/$2.crt, client-key: $STATE/pki/$2.key}}]
contexts: [{name: test, context: {cluster: test, user: $2}}]
current-context: test
YAML
}

node_files() {
  cat >"$STATE/cni/10-bridge.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "test", "plugins": [
  {"type": "bridge", "bridge": "cni-test0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$POD_CIDR"}]],
            "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "$STATE/ipam"}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
  # Without restrict_oom_score_adj no container starts inside a container or a small VM.
  cat >"$STATE/containerd.toml" <<TOML
version = 2
root = "$CACHE/containerd"
state = "$RUNTIME"
[grpc]
  address = "$RUNTIME/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "test/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$STATE/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
TOML
  cat >"$STATE/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $NODE_IP
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $STATE/pki/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: $STATE/pki/kubelet.crt
tlsPrivateKeyFile: $STATE/pki/kubelet.key
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix://$RUNTIME/containerd.sock
clusterDNS: [$NODE_IP]
clusterDomain: cluster.local
failSwapOn: false
failCgroupV1: false
resolvConf: ""
evictionHard: {memory.available: 200Mi, nodefs.available: 1Gi, imagefs.available: 1Gi}
imageGCHighThresholdPercent: 100
YAML
  cat >"$STATE/Corefile" <<CONF
.:53 {
  bind $NODE_IP
  errors
  kubernetes cluster.local {
    kubeconfig $STATE/admin.conf
  }
}
CONF
}

start() { # name: in the background, with its process remembered
  local arguments
  mapfile -t arguments < <(command_of "$1")
  # Locks stay with this script, or a component would hold them for as long as it runs.
  setsid "${arguments[@]}" >>"$STATE/log/$1.log" 2>&1 </dev/null 8>&- 9>&- &
  echo "$! $(started $!)" >"$STATE/pid/$1"
}

command_of() { # name: one word of the command line on each line
  local kube=$BIN/hyperkube pki=$STATE/pki
  # By default 20 requests a second: a thousand Jobs of one benchmark would hold up all others.
  local quick=(--kube-api-qps 500 --kube-api-burst 1000)
  case $1 in
    etcd) printf '%s\n' "$kube" etcd --data-dir "$STATE/etcd" --unsafe-no-fsync \
      --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
      --listen-peer-urls http://127.0.0.1:2380 --log-level warn ;;
    kube-apiserver) printf '%s\n' "$kube" kube-apiserver --etcd-servers http://127.0.0.1:2379 \
      --secure-port 6443 --advertise-address $NODE_IP --tls-cert-file "$pki/apiserver.crt" \
      --tls-private-key-file "$pki/apiserver.key" --client-ca-file "$pki/ca.crt" \
      --service-account-issuer https://kubernetes.default.svc \
      --service-account-key-file "$pki/sa.pub" \
      --service-account-signing-key-file "$pki/sa.key" --authorization-mode Node,RBAC \
      --enable-admission-plugins NodeRestriction --service-cluster-ip-range $SERVICE_CIDR \
      --allow-privileged --kubelet-client-certificate "$pki/admin.crt" \
      --kubelet-client-key "$pki/admin.key" --kubelet-preferred-address-types InternalIP ;;
    kube-controller-manager) printf '%s\n' "$kube" kube-controller-manager \
      --kubeconfig "$STATE/controller-manager.conf" --leader-elect=false \
      --service-account-private-key-file "$pki/sa.key" --root-ca-file "$pki/ca.crt" \
      --use-service-account-credentials --cluster-signing-cert-file "$pki/ca.crt" \
      --cluster-signing-key-file "$pki/ca.key" "${quick[@]}" ;;
    kube-scheduler) printf '%s\n' "$kube" kube-scheduler \
      --kubeconfig "$STATE/scheduler.conf" --leader-elect=false "${quick[@]}" ;;
    containerd) printf '%s\n' containerd --config "$STATE/containerd.toml" ;;
    kubelet) printf '%s\n' "$kube" kubelet --config "$STATE/kubelet.yaml" \
      --kubeconfig "$STATE/kubelet.conf" --hostname-override node-0 --node-ip $NODE_IP \
      --root-dir "$STATE/kubelet" --cert-dir "$STATE/kubelet-certs" ;;
    kube-proxy) printf '%s\n' "$kube" kube-proxy --kubeconfig "$STATE/proxy.conf" \
      --hostname-override node-0 --cluster-cidr $POD_CIDR --proxy-mode iptables \
      --conntrack-max-per-core 0 --conntrack-tcp-timeout-established 0s \
      --conntrack-tcp-timeout-close-wait 0s ;;
    coredns) printf '%s\n' "$BIN/coredns" -conf "$STATE/Corefile" ;;
    s3) printf '%s\n' env ROOT_ACCESS_KEY=$S3_USER ROOT_SECRET_KEY=$S3_PASSWORD \
      "$BIN/versitygw" --port $NODE_IP:$S3_PORT posix "$STATE/s3" ;;
    kwok) kwok_command ;;
  esac
}

ready_etcd() { wait_for 30 etcd curl -fs http://127.0.0.1:2379/health; }
ready_kube_apiserver() { wait_for 90 kube-apiserver kube get --raw /readyz; }
ready_kube_controller_manager() { wait_for 30 kube-controller-manager true; }
ready_kube_scheduler() { wait_for 30 kube-scheduler true; }
ready_containerd() {
  wait_for 30 containerd containers version
  has_pause_image || pause_image
}
ready_kubelet() { wait_for 60 kubelet kube wait --for=condition=Ready node/node-0 --timeout=1s; }
ready_kube_proxy() { wait_for 30 kube-proxy true; }
ready_coredns() { wait_for 30 coredns true; }
ready_s3() { wait_for 30 s3 curl -s http://$NODE_IP:$S3_PORT/; }

wait_for() { # seconds name command...: until it succeeds; a component that ended is started again
  local limit=$1 name=$2 i
  shift 2
  for ((i = 0; i < limit * 5; i++)); do
    if ! is_running "$name"; then
      start "$name"
    elif "$@" >/dev/null 2>&1; then
      return
    fi
    sleep 0.2
  done
  die "gave up waiting for $name; its log is $STATE/log/$name.log"
}

started() { # pid: when it started, in clock ticks since boot; a pid alone may be used again
  awk '{sub(/^.*\) /, ""); if ($1 != "Z") print $20}' "/proc/$1/stat" 2>/dev/null
}

is_running() { # name
  local pid when
  read -r pid when 2>/dev/null <"$STATE/pid/$1" || return 1
  [[ -n $when && $(started "$pid") = "$when" ]]
}

stop() { # name [signal]
  if is_running "$1"; then
    local pid i
    read -r pid _ <"$STATE/pid/$1"
    kill -"${2:-TERM}" "$pid" 2>/dev/null || true
    for ((i = 0; i < 50; i++)); do
      is_running "$1" || break
      sleep 0.1
    done
    if is_running "$1"; then kill -KILL "$pid" 2>/dev/null || true; fi
  fi
  rm -f "$STATE/pid/$1"
}

containers() { ctr -a "$RUNTIME/containerd.sock" -n k8s.io "$@"; }

kill_containers() { # all pods, whatever became of containerd and kubelet
  local shim
  for shim in $(pgrep -f -- "^/usr/bin/containerd-shim.* -address $RUNTIME/containerd.sock"); do
    pkill -KILL -P "$shim" || true
    kill -KILL "$shim" 2>/dev/null || true
  done
  [[ -e $STATE/containerd.toml ]] || return 0
  wait_for 30 containerd containers version
  local id
  for id in $(containers containers ls -q); do
    containers tasks rm -f "$id" >/dev/null 2>&1 || true
    containers containers rm "$id" >/dev/null 2>&1 || true
  done
}

# What is made once per machine: Debian's packages, and the binaries in $CACHE/<digest>.

KUBERNETES=v1.34.4
VERSITYGW=v1.8.0
HELM=v4.2.4
KWOK=v0.8.0

digest() { # of everything that the binaries are made of
  {
    echo $KUBERNETES $VERSITYGW $HELM $KWOK
    cat "$HERE"/{hyperkube,coredns}/go.{mod,sum} "$HERE"/{hyperkube,coredns,pause}/*.go
  } | sha256sum | cut -c1-16
}

build() { # each binary gets its name when it is complete, so that a killed build goes on
  mkdir -p "$BIN"
  exec 9>"$CACHE/build.lock"
  flock 9
  [[ ! -x $BIN/kubectl ]] || return 0
  command -v go >/dev/null || die "Go is needed to build Kubernetes; install it from go.dev/dl"
  say "building Kubernetes (once per machine, 6 to 12 minutes on 2 cores)"
  installed versitygw github.com/versity/versitygw/cmd/versitygw@$VERSITYGW
  compiled pause ''
  compiled coredns ''
  compiled hyperkube "-X k8s.io/component-base/version.gitVersion=$KUBERNETES \
    -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34"
  installed helm helm.sh/helm/v4/cmd/helm@$HELM
  installed kwok sigs.k8s.io/kwok/cmd/kwok@$KWOK
  cp -r "$(go env GOMODCACHE)/sigs.k8s.io/kwok@$KWOK/kustomize/stage" "$BIN/"
  chmod -R u+w "$BIN/stage"
  printf '#!/bin/sh\nexec %s/hyperkube kubectl "$@"\n' "$BIN" >"$BIN/kubectl.part"
  chmod +x "$BIN/kubectl.part"
  mv "$BIN/kubectl.part" "$BIN/kubectl"
  exec 9>&-
}

compiled() { # name linker-flags: from the module of this name beside this file
  [[ ! -x $BIN/$1 ]] || return 0
  (cd "$HERE/$1" && CGO_ENABLED=0 GOFLAGS=-mod=mod \
    go build -buildvcs=false -ldflags "-s -w $2" -o "$BIN/$1.part" .)
  mv "$BIN/$1.part" "$BIN/$1"
}

installed() { # name module@version
  [[ ! -x $BIN/$1 ]] || return 0
  CGO_ENABLED=0 GOBIN=$BIN/part go install -ldflags '-s -w' "$2"
  mv "$BIN/part/$1" "$BIN/$1"
}

packages() {
  install_packages containerd:containerd runc:runc iptables:iptables buildah:buildah \
    mmdebstrap:mmdebstrap conntrack:conntrack ip:iproute2 openssl:openssl curl:curl \
    prometheus:prometheus pgrep:procps \
    /usr/lib/cni/bridge:containernetworking-plugins
}

install_packages() { # command:package...
  local missing=() pair
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  say "installing ${missing[*]}"
  apt-get update -q >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q "${missing[@]}" >/dev/null
}

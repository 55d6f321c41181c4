# Images for the node, and nodes that are not there.

# So many layers are worth compressing; more are the heavy ones of a first load.
FEW=3

has_pause_image() { containers images ls -q | grep -qx docker.io/test/pause:1; }

blob() { # file media-type: moves the file into the archive and prints its descriptor
  local sum size
  sum=$(sha256sum "$1" | cut -d' ' -f1)
  size=$(stat -c %s "$1")
  mv "$1" "$(dirname "$1")/blobs/sha256/$sum"
  printf '"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%s' \
    "$2" "$sum" "$size"
}

pause_image() { # one static binary on nothing, as an OCI archive
  local work layer config manifest
  work=$(mktemp -d)
  mkdir -p "$work/blobs/sha256"
  tar -C "$BIN" --owner 0 --group 0 -cf "$work/layer" pause
  layer=$(blob "$work/layer" layer.v1.tar)
  [[ $layer =~ sha256:[0-9a-f]+ ]]
  printf '{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/pause"],
    "User":"65535:65535"},"rootfs":{"type":"layers","diff_ids":["%s"]}}' "${BASH_REMATCH[0]}" \
    >"$work/config"
  config=$(blob "$work/config" config.v1+json)
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
    "config":{%s},"layers":[{%s}]}' "$config" "$layer" >"$work/manifest"
  manifest=$(blob "$work/manifest" manifest.v1+json)
  archive_index "$work" "$manifest" docker.io/test/pause:1
  tar -C "$work" -cf "$work.tar" oci-layout index.json blobs
  containers images import "$work.tar" >/dev/null
  rm -rf "$work" "$work.tar"
}

image_id() { buildah inspect --type image --format '{{.FromImageID}}' "$1" 2>/dev/null; }

base_image() {
  local archive container
  ! image_id localhost/python-base:bookworm >/dev/null || return 0
  archive=$(mktemp --suffix .tar)
  mmdebstrap -q --variant=minbase --include=python3,python3-venv,ca-certificates bookworm \
    "$archive"
  container=$(buildah from scratch)
  buildah add -q "$container" "$archive" / >/dev/null
  rm "$archive"
  buildah commit -q "$container" localhost/python-base:bookworm >/dev/null
  buildah rm "$container" >/dev/null
}

load() { # image: only the layers that the node lacks travel; nothing to do where it has them all
  local id old work=$CACHE/load
  id=$(image_id "$1") || die "buildah has no image $1"
  old=$(containers images ls "name==$1" | sed -n 's/.*testcluster.id=\([0-9a-f]*\).*/\1/p')
  [[ $old != "$id" ]] || return 0
  exec 7>"$work.lock"
  flock 7
  rm -rf "$work" # of a load that was killed
  mkdir -p "$work/blobs/sha256"
  containers content ls -q | sed 's|^sha256:|./blobs/sha256/|' >"$work.there"
  if [[ $(layers "$1" | grep -vcxFf <(sed 's|.*/||' "$work.there")) -le $FEW ]]; then
    add_layers "$1" "$work"
  else
    all_layers "$1" "$work"
  fi
  # The node may just be collecting layers of an older image that this one shares; the second
  # time it has them all.
  tar -C "$work" --exclude-from="$work.there" -cf - . | containers images import - >/dev/null ||
    tar -C "$work" -cf - . | containers images import - >/dev/null
  rm -rf "$work"
  containers images label "$1" "testcluster.id=$id" >/dev/null
  [[ -z $old ]] || containers images rm "sha256:$old" >/dev/null 2>&1 || true
}

layers() { # image: the digest of each layer
  buildah inspect --type image --format '{{range .OCIv1.RootFS.DiffIDs}}{{println .}}{{end}}' "$1" |
    sed -n 's/^sha256://p'
}

add_layers() { # image folder: as an OCI layout; buildah takes layers that lie there for written
  cp -al "$CACHE/containerd/io.containerd.content.v1.content/blobs/sha256/." "$2/blobs/sha256/"
  buildah push -q "$1" "oci:$2:$1" >/dev/null
}

all_layers() { # image folder: by way of a plain folder, where files are named by their digest,
  # because buildah compresses what it writes to an OCI layout: minutes for 6 GB
  local manifest
  buildah push -q --disable-compression "$1" "dir:$2.plain" >/dev/null
  mv "$2.plain/manifest.json" "$2/manifest"
  rm "$2.plain/version"
  mv "$2.plain"/* "$2/blobs/sha256/"
  rmdir "$2.plain"
  manifest=$(blob "$2/manifest" manifest.v1+json)
  archive_index "$2" "$manifest" "$1"
}

archive_index() { # folder manifest image
  printf '{"imageLayoutVersion":"1.0.0"}' >"$1/oci-layout"
  printf '{"schemaVersion":2,"manifests":[{%s,"annotations":{
    "io.containerd.image.name":"%s"}}]}' "$2" "$3" >"$1/index.json"
}

gpus() { # number
  local path=nvidia.com~1gpu
  kube patch node node-0 --subresource status --type json -p \
    "[{\"op\":\"add\",\"path\":\"/status/capacity/$path\",\"value\":\"$1\"},
      {\"op\":\"add\",\"path\":\"/status/allocatable/$path\",\"value\":\"$1\"}]" >/dev/null
}

kwok_command() {
  local stage=$BIN/stage
  printf '%s\n' "$BIN/kwok" --kubeconfig "$STATE/admin.conf" \
    --manage-nodes-with-annotation-selector kwok.x-k8s.io/node=fake \
    --node-lease-duration-seconds 40 --config "$stage/node/fast/node-initialize.yaml" \
    --config "$stage/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml" \
    --config "$stage/pod/fast/pod-ready.yaml" --config "$stage/pod/fast/pod-complete.yaml" \
    --config "$stage/pod/fast/pod-delete.yaml"
}

fake_nodes() { # number: so many there shall be
  [[ $1 =~ ^[0-9]+$ ]] || die "fake-nodes wants a number, not $1"
  local i surplus
  surplus=$(kube get nodes -l type=kwok -o name | awk -F- -v most="$1" '$NF > most')
  # shellcheck disable=SC2086
  [[ -z $surplus ]] || kube delete --wait=false $surplus >/dev/null
  if [[ $1 = 0 ]]; then
    stop kwok
    return
  fi
  for ((i = 1; i <= $1; i++)); do fake_node "$i"; done | kube apply -f - >/dev/null
  wait_for 60 kwok fake_nodes_are_ready
}

fake_nodes_are_ready() { # `kubectl wait` takes 0.1 s for each
  ! kube get nodes -l type=kwok --no-headers | grep -qv ' Ready '
}

fake_node() { # number: the manifest
  cat <<YAML
---
apiVersion: v1
kind: Node
metadata:
  name: fake-$1
  annotations: {kwok.x-k8s.io/node: fake}
  labels:
    type: kwok
    kubernetes.io/hostname: fake-$1
    kubernetes.io/arch: amd64
    kubernetes.io/os: linux
    nvidia.com/gpu.product: NVIDIA-A100-SXM4-80GB
spec: {taints: [{key: kwok.x-k8s.io/node, value: fake, effect: NoSchedule}]}
status:
  capacity: &all {cpu: 96, memory: 1Ti, pods: 110, nvidia.com/gpu: 8, ephemeral-storage: 1Ti}
  allocatable: *all
YAML
}

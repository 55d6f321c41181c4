# Images for the node, and nodes that are not there.

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
  printf '{"imageLayoutVersion":"1.0.0"}' >"$work/oci-layout"
  printf '{"schemaVersion":2,"manifests":[{%s,"annotations":{
    "io.containerd.image.name":"docker.io/test/pause:1",
    "org.opencontainers.image.ref.name":"1"}}]}' "$manifest" >"$work/index.json"
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

load() { # image; nothing to do where the node has it
  local archive id
  id=$(image_id "$1") || die "buildah has no image $1"
  ! containers images ls "name==$1" | grep -q "testcluster.id=$id" || return 0
  archive=$(mktemp -u --suffix .tar)
  buildah push -q --disable-compression "$1" "oci-archive:$archive:$1" >/dev/null
  containers images import "$archive" >/dev/null
  rm "$archive"
  containers images label "$1" "testcluster.id=$id" >/dev/null
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

fake_nodes() { # number
  local i
  is_running kwok || start kwok
  for ((i = 1; i <= $1; i++)); do
    cat <<YAML
---
apiVersion: v1
kind: Node
metadata:
  name: fake-$i
  annotations: {kwok.x-k8s.io/node: fake}
  labels:
    type: kwok
    kubernetes.io/hostname: fake-$i
    kubernetes.io/arch: amd64
    kubernetes.io/os: linux
    nvidia.com/gpu.product: NVIDIA-A100-SXM4-80GB
spec: {taints: [{key: kwok.x-k8s.io/node, value: fake, effect: NoSchedule}]}
status:
  capacity: &all {cpu: 96, memory: 1Ti, pods: 110, nvidia.com/gpu: 8, ephemeral-storage: 1Ti}
  allocatable: *all
YAML
  done | kube apply -f - >/dev/null
}

{{- /* The pod of every stage: dict "root" $ "stage" STAGE. */ -}}
{{- define "speech-run.pod" -}}
{{- $pod := .root.Values.pod }}
{{- $cluster := .root.Values.cluster }}
{{- $resources := .root.Values.resources }}
metadata:
  labels: {{ toJson .stage.labels }}
  annotations:
    {{- range $key, $value := $pod.annotations }}
    {{ toJson $key }}: {{ toJson $value }}
    {{- end }}
    prometheus.io/scrape: "true"
    prometheus.io/path: /metrics
    prometheus.io/port: {{ printf "%d" (int64 $pod.metricsPort) | toJson }}
spec:
  restartPolicy: Never
  # Time to save a checkpoint between SIGTERM and SIGKILL.
  terminationGracePeriodSeconds: {{ int64 .stage.graceSeconds }}
  serviceAccountName: {{ toJson $cluster.service_account }}
  # A stage writes its progress on its Job and releases the next; k8s/base/admission.yaml allows
  # nothing else.
  automountServiceAccountToken: true
  enableServiceLinks: false
  {{- with $cluster.priority_class }}
  priorityClassName: {{ toJson . }}
  {{- end }}
  {{- with $cluster.image_pull_secret }}
  imagePullSecrets:
    - name: {{ toJson . }}
  {{- end }}
  {{- include "speech-run.nodes" . | nindent 2 }}
  securityContext:
    runAsNonRoot: true
    runAsUser: {{ int64 $pod.user }}
    runAsGroup: {{ int64 $pod.user }}
    fsGroup: {{ int64 $pod.user }}
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: stage
      image: {{ toJson $cluster.image }}
      imagePullPolicy: IfNotPresent
      command: [tini, --, python, -m, jobrunner.core]
      args: {{ toJson .stage.args }}
      env:
        {{- include "speech-run.environment" . | nindent 8 }}
      ports:
        - name: metrics
          containerPort: {{ int64 $pod.metricsPort }}
          protocol: TCP
      resources:
        # No CPU limit: throttling starves a GPU. Memory and GPUs cannot be shared, so they are equal.
        requests:
          cpu: {{ toJson .stage.cpu }}
          memory: {{ toJson .stage.memory }}
          {{- if .stage.gpus }}
          nvidia.com/gpu: {{ int64 .stage.gpus }}
          {{- end }}
        limits:
          memory: {{ toJson .stage.memory }}
          {{- if .stage.gpus }}
          nvidia.com/gpu: {{ int64 .stage.gpus }}
          {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      terminationMessagePolicy: FallbackToLogsOnError
      volumeMounts:
        - {name: spec, mountPath: /etc/jobrunner, readOnly: true}
        - {name: scratch, mountPath: /scratch}
        - {name: temporary, mountPath: /tmp}
        - {name: shared-memory, mountPath: /dev/shm}
  volumes:
    - name: spec
      configMap:
        name: {{ toJson .root.Values.run }}
    - name: scratch
      emptyDir:
        sizeLimit: {{ toJson $resources.scratch }}
    - name: temporary
      emptyDir:
        sizeLimit: {{ toJson $pod.temporary }}
    - name: shared-memory
      emptyDir:
        medium: Memory
        sizeLimit: {{ toJson $resources.shared_memory }}
{{- end }}

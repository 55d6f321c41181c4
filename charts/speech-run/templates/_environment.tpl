{{- /* Environment of a stage: dict "root" $ "stage" STAGE. jobrunner/core/__main__.py reads it. */ -}}
{{- define "speech-run.environment" -}}
{{- $cluster := .root.Values.cluster }}
- {name: JOBRUNNER_SPEC, value: /etc/jobrunner/run.json}
- {name: JOBRUNNER_RUN, value: {{ toJson .root.Values.run }}}
- {name: JOBRUNNER_STAGE, value: {{ toJson .stage.name }}}
- {name: JOBRUNNER_NAMESPACE, value: {{ toJson $cluster.namespace }}}
- {name: JOBRUNNER_ATTEMPT, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
- {name: JOBRUNNER_GRACE_SECONDS, value: {{ printf "%d" (int64 .stage.graceSeconds) | toJson }}}
- {name: JOBRUNNER_NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
- {name: JOBRUNNER_METRICS_PORT, value: {{ printf "%d" (int64 .root.Values.pod.metricsPort) | toJson }}}
- {name: JOBRUNNER_SCRATCH, value: /scratch}
# The root is read-only and the user has no home: every cache gets its own folder.
- {name: USER, value: jobrunner}
- {name: HOME, value: /tmp}
- {name: TMPDIR, value: /tmp}
- {name: XDG_CACHE_HOME, value: /scratch/cache}
- {name: HF_HOME, value: /scratch/cache/huggingface}
- {name: HF_HUB_DISABLE_TELEMETRY, value: "1"}
- {name: TORCHINDUCTOR_CACHE_DIR, value: /scratch/cache/inductor}
- {name: TRITON_CACHE_DIR, value: /scratch/cache/triton}
{{- if ne .stage.kind "prepare" }}
# Models and data come from storage; a request to the hub would only hang on the network policy.
- {name: HF_HUB_OFFLINE, value: "1"}
{{- else if $cluster.hub_secret }}
- {name: HF_TOKEN, valueFrom: {secretKeyRef: {name: {{ toJson $cluster.hub_secret }}, key: HF_TOKEN}}}
{{- end }}
{{- if $cluster.storage_secret }}
{{- range .root.Values.pod.storageVariables }}
- {name: {{ toJson .name }}, valueFrom: {secretKeyRef: {name: {{ toJson $cluster.storage_secret }}, key: {{ toJson .name }}, optional: {{ .optional }}}}}
{{- end }}
{{- end }}
{{- end }}

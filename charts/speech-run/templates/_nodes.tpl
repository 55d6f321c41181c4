{{- /* Nodes that a stage may use: dict "root" $ "stage" STAGE. */ -}}
{{- define "speech-run.nodes" -}}
{{- $pod := .root.Values.pod }}
{{- $cluster := .root.Values.cluster }}
{{- $product := .root.Values.resources.gpu_product }}
{{- if and .stage.gpus $product }}
nodeSelector:
  {{ toJson $cluster.gpu_label }}: {{ toJson $product }}
{{- end }}
{{- if not $cluster.spot }}
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms:
        - matchExpressions:
            {{- range $pod.spotLabels }}
            - {key: {{ toJson .key }}, operator: NotIn, values: [{{ toJson .value }}]}
            {{- end }}
{{- end }}
{{- $keys := list }}
{{- if .stage.gpus }}{{ $keys = $cluster.tolerations }}{{ end }}
{{- if $cluster.spot }}{{ $keys = concat $keys $pod.spotTaints }}{{ end }}
{{- if $keys }}
tolerations:
  {{- range uniq $keys }}
  - {key: {{ toJson . }}, operator: Exists}
  {{- end }}
{{- end }}
{{- end }}

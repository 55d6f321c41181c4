{{- /* Name, namespace and labels of an object: dict "root" $ "name" NAME "labels" LABELS. */ -}}
{{- define "speech-run.metadata" -}}
name: {{ toJson .name }}
namespace: {{ toJson .root.Values.cluster.namespace }}
labels: {{ toJson .labels }}
{{- end }}

{{- define "autodev.name" -}}
{{- $both := ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) -}}
{{- $both | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "autodev.services" -}}
gateway: { port: 50051, internalPort: 50050 }
capability: { port: 50052 }
learning: { port: 50053 }
fitness: { port: 50054 }
sandbox: { port: 50055 }
{{- end }}

{{/* Who calls whom behind the gateway's public door: autodev_runtime/peers.py holds the services to the same. */}}
{{- define "autodev.callers" -}}
gateway: [capability, fitness, learning]
capability: [gateway, learning]
learning: [gateway]
fitness: [gateway, learning]
sandbox: [gateway, learning]
{{- end }}

{{- define "autodev.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "autodev.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "autodev.image" -}}
{{- $image := .root.Values.image -}}
{{- with $image.registry }}{{ . }}/{{ end }}{{ $image.prefix }}-{{ .target }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- define "autodev.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
# Secrets are mounted for this group alone.
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
{{- end }}

{{- define "autodev.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

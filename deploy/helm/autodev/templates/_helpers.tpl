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

{{/* What a service is told by its environment. */}}
{{- define "autodev.settings" -}}
{{- $root := .root -}}
{{- $service := .service -}}
{{- $name := include "autodev.name" $root -}}
{{- $ports := index (include "autodev.services" $root | fromYaml) $service -}}
{{- $prefix := printf "AUTODEV_%s" (upper $service) -}}
{{- $values := index $root.Values.services $service -}}
{{ $prefix }}_HOST: 0.0.0.0
{{ $prefix }}_PORT: {{ $ports.port | quote }}
# For the kubelet's probes and for Prometheus; the network policy says who else gets there.
{{ $prefix }}_METRICS_HOST: 0.0.0.0
{{ $prefix }}_METRICS_PORT: "9464"
{{ $prefix }}_DATA_DIR: /tmp
AUTODEV_MESH_CA_FILE: /run/autodev/mesh/ca.crt
AUTODEV_MESH_CERT_FILE: /run/autodev/mesh/tls.crt
AUTODEV_MESH_KEY_FILE: /run/autodev/mesh/tls.key
{{- with $root.Values.telemetry.otlpEndpoint }}
AUTODEV_OTLP_ENDPOINT: {{ . | quote }}
{{- end }}
{{- if ne $service "sandbox" }}
AUTODEV_SECRETS_DIR: /run/autodev/secrets
{{- end }}
{{- if eq $service "gateway" }}
AUTODEV_GATEWAY_MODE: production
AUTODEV_GATEWAY_INTERNAL_HOST: 0.0.0.0
AUTODEV_GATEWAY_INTERNAL_PORT: {{ $ports.internalPort | quote }}
AUTODEV_GATEWAY_API_KEYS_FILE: /run/autodev/keys/keys.json
{{- if $root.Values.gateway.tlsSecret }}
AUTODEV_GATEWAY_TLS_CERT_FILE: /run/autodev/public/tls.crt
AUTODEV_GATEWAY_TLS_KEY_FILE: /run/autodev/public/tls.key
{{- else if $root.Values.gateway.allowPlaintext }}
AUTODEV_GATEWAY_ALLOW_PLAINTEXT: "true"
{{- else }}
{{- fail "gateway.tlsSecret is empty: name a secret with the public certificate, or set gateway.allowPlaintext" }}
{{- end }}
{{- if $root.Values.gateway.webhooks.secret }}
AUTODEV_GATEWAY_WEBHOOK_HOST: 0.0.0.0
AUTODEV_GATEWAY_WEBHOOK_PORT: "8080"
AUTODEV_GATEWAY_WEBHOOK_SECRETS_FILE: /run/autodev/webhooks/webhooks.json
{{- end }}
{{- end }}
{{- range $callee, $callers := include "autodev.callers" $root | fromYaml }}
{{- if has $service $callers }}
{{- $called := index (include "autodev.services" $root | fromYaml) $callee }}
{{ $prefix }}_{{ upper $callee }}_ADDRESS: dns:///{{ $name }}-{{ $callee }}.{{ $root.Release.Namespace }}.svc:{{ $called.internalPort | default $called.port }}
{{- end }}
{{- end }}
{{- if and (eq $service "gateway") (eq $root.Values.eventLog.engine "jetstream") }}
AUTODEV_GATEWAY_EVENT_LOG: jetstream
AUTODEV_GATEWAY_NATS_URL: {{ required "eventLog.natsUrl is needed for jetstream" $root.Values.eventLog.natsUrl | quote }}
{{- with $root.Values.eventLog.natsMonitorUrls }}
AUTODEV_GATEWAY_NATS_MONITOR_URLS: {{ . | quote }}
{{- end }}
AUTODEV_GATEWAY_JETSTREAM_REPLICAS: {{ $root.Values.eventLog.jetstreamReplicas | quote }}
{{- if $root.Values.eventLog.natsCredentialsSecret }}
AUTODEV_GATEWAY_NATS_CREDENTIALS_FILE: /run/autodev/nats/nats.creds
{{- end }}
{{- end }}
{{- range $setting, $value := $values.settings }}
{{- /* Numbers of a values file are floats, and Go would write great ones as 1e+06. */}}
{{- /* The one of them that is named as the whole mesh's. */}}
{{ ternary "AUTODEV" $prefix (eq $setting "trace_ratio") }}_{{ upper $setting }}: {{ ternary (toJson $value) $value (kindIs "float64" $value) | quote }}
{{- end }}
{{- end }}

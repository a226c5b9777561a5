{{- define "dataops.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "dataops.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "dataops.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "dataops.selectorLabels" -}}
app.kubernetes.io/name: {{ include "dataops.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "dataops.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "dataops.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: exporter
app.kubernetes.io/part-of: dataops
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "dataops.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "dataops.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- define "dataops.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end }}

{{- define "dataops.scheme" -}}
{{- ternary "HTTPS" "HTTP" .Values.web.tls -}}
{{- end }}

{{/* Name of the ConfigMap with the CA certificates; empty if none is configured. */}}
{{- define "dataops.caConfigMap" -}}
{{- if .Values.ca.injectOpenShift -}}
{{- printf "%s-trusted-ca" (include "dataops.fullname" .) -}}
{{- else -}}
{{- .Values.ca.configMap -}}
{{- end -}}
{{- end }}

{{/* Hash of the Secrets that are used as environment; constant if they cannot be read. */}}
{{- define "dataops.secretChecksum" -}}
{{- $found := list -}}
{{- range .Values.secrets.env -}}
{{- $found = append $found (lookup "v1" "Secret" $.Release.Namespace .).data -}}
{{- end -}}
{{- toJson $found | sha256sum -}}
{{- end }}

{{/* Validation of the values beyond the schema. */}}
{{- define "dataops.check" -}}
{{- $name := include "dataops.fullname" . -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) -}}
{{- fail (printf "`%s` can be no Service's name, which begins with a letter and has no dot: set `fullnameOverride`" $name) -}}
{{- end -}}
{{- if and (not .Values.config) (not .Values.existingConfigMap) -}}
{{- fail "nothing to watch: set `config` to your dataops.toml (--set-file config=dataops.toml), or `existingConfigMap`" -}}
{{- end -}}
{{- if and .Values.config .Values.existingConfigMap -}}
{{- fail "`config` and `existingConfigMap` exclude each other: keep one" -}}
{{- end -}}
{{- if and .Values.web.tls (not .Values.web.configSecret) -}}
{{- fail "`web.tls` needs `web.configSecret`, which has the certificate" -}}
{{- end -}}
{{- if and .Values.route.enabled (ne .Values.route.termination "edge") (not .Values.web.tls) -}}
{{- fail (printf "`route.termination: %s` needs `web.tls`" .Values.route.termination) -}}
{{- end -}}
{{- if and .Values.route.enabled (eq .Values.route.termination "edge") .Values.web.tls -}}
{{- fail "`web.tls` needs `route.termination: reencrypt` or `passthrough`" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled -}}
{{- fail "`serviceMonitor` and `podMonitor` would scrape the exporter twice: enable one" -}}
{{- end -}}
{{- if and .Values.ca.configMap .Values.ca.injectOpenShift -}}
{{- fail "`ca.configMap` and `ca.injectOpenShift` exclude each other: keep one" -}}
{{- end -}}
{{- end }}

{{/* One endpoint of a ServiceMonitor or PodMonitor. */}}
{{- define "dataops.endpoint" -}}
port: http
path: /metrics
scheme: {{ include "dataops.scheme" . | lower }}
interval: {{ .Values.serviceMonitor.interval }}
scrapeTimeout: {{ .Values.serviceMonitor.scrapeTimeout }}
{{- with .Values.serviceMonitor.bearerToken.secret }}
authorization:
  type: Bearer
  credentials:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- with .Values.serviceMonitor.basicAuth }}
basicAuth:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.serviceMonitor.tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.serviceMonitor.relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.serviceMonitor.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Only Release.Name and Release.Namespace are used of the release: EKS add-ons know no other. */}}

{{- define "tollkeeper.fullname" -}}
{{- if contains "tollkeeper" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-tollkeeper" (.Release.Name | trunc 41 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "tollkeeper.serviceAccountName" -}}
{{- if .Values.serviceAccount.name -}}
{{- .Values.serviceAccount.name -}}
{{- else if .Values.serviceAccount.create -}}
{{- include "tollkeeper.fullname" . -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{- define "tollkeeper.selectorLabels" -}}
app.kubernetes.io/name: tollkeeper
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tollkeeper.labels" -}}
{{ include "tollkeeper.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: operator
app.kubernetes.io/managed-by: Helm
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "tollkeeper.subject" -}}
- kind: ServiceAccount
  name: {{ include "tollkeeper.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{- define "tollkeeper.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository .Values.image.tag -}}
{{- end -}}
{{- end -}}

{{/* What the operator needs in every namespace that it watches. */}}
{{- define "tollkeeper.rules" -}}
# Products and bindings are people's: they are read, and `patch` is there for finalizers.
- apiGroups: [tollkeeper.dev]
  resources: [marketplaceproducts, licensebindings]
  verbs: [get, list, watch, patch]
- apiGroups: [tollkeeper.dev]
  resources: [marketplaceproducts/status, licensebindings/status]
  verbs: [update, patch]
# For owner references that block the deletion of their owner.
- apiGroups: [tollkeeper.dev]
  resources: [marketplaceproducts/finalizers, licensebindings/finalizers]
  verbs: [update, patch]
# The ledger is the operator's own. `delete` is for what statements have counted, and for statements past their retention.
- apiGroups: [tollkeeper.dev]
  resources: [usagereports]
  verbs: [create, get, list, patch, delete]
- apiGroups: [tollkeeper.dev]
  resources: [usagestatements]
  verbs: [create, list, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
# Inputs. Metrics are read at the pods' IPs, not through the API server.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list]
# Plugins that come from a ConfigMap, whose name the product chooses.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
# Service accounts that are provisioned for bindings.
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get, create, update, patch, delete]
{{- with .Values.inputs.extraRules }}
# Further inputs, as the values say.
{{ toYaml . }}
{{- end }}
{{- end -}}

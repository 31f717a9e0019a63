{{/* What the bridge reads: the values' `config`, and what the chart alone can know. */}}
{{- define "vodbridge.config" -}}
{{- $own := dict
      "http" (dict "listen" (printf "0.0.0.0:%v" .Values.ports.callback))
      "admin" (dict "listen" (printf "0.0.0.0:%v" .Values.ports.admin))
      "journal" (dict "path" "/var/lib/vodbridge/journal") }}
{{- $config := mergeOverwrite (deepCopy .Values.config) $own }}
{{- range $config.applications }}
{{- if and (kindIs "map" .callback) (kindIs "bool" .callback.spool) }}
{{- $_ := set .callback "spool" (include "vodbridge.word" .callback.spool) }}
{{- end }}
{{- end }}
{{- range $config.connectors }}
{{- if kindIs "bool" .idempotence }}
{{- $_ := set . "idempotence" (include "vodbridge.word" .idempotence) }}
{{- end }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* Helm's YAML makes truth values of `on` and `off` before a template sees them. */}}
{{- define "vodbridge.word" -}}
{{- if kindIs "bool" . }}{{ ternary "on" "off" . }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{/* The applications as the bridge sees them, in JSON: without any, `default` takes callbacks. */}}
{{- define "vodbridge.applications" -}}
{{- .Values.config.applications | default (dict "default" (dict "callback" dict)) | toJson }}
{{- end }}

{{/* The names of the applications that take callbacks, in JSON: { names: [...], paths: [...] }. */}}
{{- define "vodbridge.callbacks" -}}
{{- $names := list }}
{{- $paths := list }}
{{- range $name, $application := include "vodbridge.applications" . | fromJson }}
{{- if kindIs "map" $application.callback }}
{{- $names = append $names $name }}
{{- $paths = append $paths ($application.callback.path | default (printf "/vod/%s" $name)) }}
{{- end }}
{{- end }}
{{- dict "names" $names "paths" $paths | toJson }}
{{- end }}

{{/* The connectors as the bridge sees them, in JSON: without any, `journal` is the one. */}}
{{- define "vodbridge.connectors" -}}
{{- .Values.config.connectors | default (dict "journal" (dict "type" "journal")) | toJson }}
{{- end }}

{{/* The connectors that must acknowledge an event of some route, in JSON: { names: [...] }. */}}
{{- define "vodbridge.required" -}}
{{- $names := list }}
{{- if kindIs "slice" .Values.config.routes }}
{{- range .Values.config.routes }}
{{- $names = concat $names (.to | default list) }}
{{- end }}
{{- else }}
{{- $names = keys (include "vodbridge.connectors" . | fromJson) }}
{{- end }}
{{- dict "names" (uniq $names | sortAlpha) | toJson }}
{{- end }}

{{/* Milliseconds of a duration as the configuration writes it ("25s", "1m 30s", "250ms"). */}}
{{- define "vodbridge.milliseconds" -}}
{{- $units := dict
      "ms" 1 "msec" 1 "millis" 1
      "s" 1000 "sec" 1000 "secs" 1000 "second" 1000 "seconds" 1000
      "m" 60000 "min" 60000 "mins" 60000 "minute" 60000 "minutes" 60000
      "h" 3600000 "hr" 3600000 "hrs" 3600000 "hour" 3600000 "hours" 3600000 }}
{{- if not (regexMatch "^ *([0-9]+ *[a-z]+ *)+$" (toString .value)) }}
{{- fail (printf "config.%s: found %v, expected a duration such as 25s or 1m 30s." .key .value) }}
{{- end }}
{{- $sum := 0 }}
{{- range regexFindAll "[0-9]+ *[a-z]+" .value -1 }}
{{- $unit := regexFind "[a-z]+" . }}
{{- if not (hasKey $units $unit) }}
{{- fail (printf "config.%s: found %v, whose unit %q is none of ms, s, m and h." $.key $.value $unit) }}
{{- end }}
{{- $sum = add $sum (mul (regexFind "[0-9]+" . | atoi) (get $units $unit)) }}
{{- end }}
{{- $sum }}
{{- end }}

{{/* MiB of a size as the configuration (64MiB, 1GiB, 1GB) or Kubernetes (2Gi, 500M) writes it, up or down. */}}
{{- define "vodbridge.mebibytes" -}}
{{- /* A plain number would be written with an exponent. */}}
{{- $text := ternary (printf "%.0f" (float64 .)) (toString .) (kindIs "float64" .) }}
{{- $number := regexFind "^[0-9.]+" $text | float64 }}
{{- $unit := regexFind "[A-Za-z]+" $text | trimSuffix "B" }}
{{- $factors := dict "" 0.00000095367 "k" 0.00095367 "K" 0.00095367 "Ki" 0.0009765625 "M" 0.95367 "Mi" 1.0 "G" 953.67 "Gi" 1024.0 "T" 953674.0 "Ti" 1048576.0 }}
{{- mulf $number (get $factors $unit | default 1.0) | int64 }}
{{- end }}

{{/* MiB that the journal's file and its log may take. */}}
{{- define "vodbridge.journalMebibytes" -}}
{{- $journal := .Values.config.journal | default dict }}
{{- add (include "vodbridge.mebibytes" ($journal.size_max | default "1GiB") | int64) (include "vodbridge.mebibytes" ($journal.wal_max | default "64MiB") | int64) }}
{{- end }}

{{/* The journal's place without a volume: a pod that outgrows the limit is evicted, so it has room for
     what lies beside file and log, and never less than 2Gi. */}}
{{- define "vodbridge.journalInPod" -}}
emptyDir: { sizeLimit: {{ max 2048 (add (include "vodbridge.journalMebibytes" . | int64) 64) }}Mi }
{{- end }}

{{/* MiB that what is under way may take: the process's, and what each broker's client holds. */}}
{{- define "vodbridge.inFlightMebibytes" -}}
{{- $sum := include "vodbridge.mebibytes" ((.Values.config.limits | default dict).in_flight_bytes | default "256MiB") | int64 }}
{{- range $name, $connector := include "vodbridge.connectors" . | fromJson }}
{{- if ne $connector.type "journal" }}
{{- $sum = add $sum (include "vodbridge.mebibytes" ($connector.in_flight_bytes | default "64MiB") | int64) }}
{{- end }}
{{- end }}
{{- $sum }}
{{- end }}

{{- define "vodbridge.graceSeconds" -}}
{{- $ms := include "vodbridge.milliseconds" (dict "key" "grace" "value" (.Values.config.grace | default "25s")) | int64 }}
{{- div (add $ms 999) 1000 }}
{{- end }}

{{/* More than grace: the bridge ends by itself, and a pod is not killed while it does. */}}
{{- define "vodbridge.terminationSeconds" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds }}
{{- add (include "vodbridge.graceSeconds" . | int64) 20 }}
{{- else }}
{{- .Values.terminationGracePeriodSeconds | int64 }}
{{- end }}
{{- end }}

{{/* The port of an address, or that of its scheme, or the usual one. Takes: url, usual. */}}
{{- define "vodbridge.port" -}}
{{- $place := regexReplaceAll "^[a-z]+://([^/@]*@)?" .url "" | regexFind "^[^/?]*" }}
{{- $port := regexFind ":[0-9]+$" $place | trimPrefix ":" }}
{{- $schemes := dict "amqps://" 5671 "https://" 443 "http://" 80 }}
{{- $port | default (get $schemes (regexFind "^[a-z]+://" .url) | default .usual) }}
{{- end }}

{{/* The ports of the brokers, of VOD and of where credentials come from, in JSON: { ports: [...] }. */}}
{{- define "vodbridge.egressPorts" -}}
{{- $usual := dict "kafka" 9092 "rabbitmq" 5672 "nats" 4222 }}
{{- $ports := list }}
{{- range $name, $connector := include "vodbridge.connectors" . | fromJson }}
{{- $sasl := $connector.sasl | default dict }}
{{- range concat ($connector.brokers | default list) ($connector.urls | default list) ($connector.servers | default list) (compact (list $connector.management_url $connector.monitoring_url $sasl.token_url)) }}
{{- $ports = append $ports (include "vodbridge.port" (dict "url" . "usual" (get $usual $connector.type)) | atoi) }}
{{- end }}
{{- end }}
{{- range $name, $application := include "vodbridge.applications" . | fromJson }}
{{- if kindIs "map" $application.pull }}
{{- $credentials := $application.pull.credentials | default dict }}
{{- /* VOD and, for roles, STS. */}}
{{- $ports = append $ports 443 }}
{{- $urls := list $application.pull.endpoint $credentials.sts_endpoint }}
{{- /* The metadata of the machine. */}}
{{- if has ($credentials.from | default "chain") (list "chain" "cvm_role") }}
{{- $urls = append $urls ($credentials.metadata_endpoint | default "http://metadata.tencentyun.com") }}
{{- end }}
{{- /* A proxy out of a Secret is not known here: networkPolicy.extraEgress. */}}
{{- if kindIs "string" $application.pull.proxy }}
{{- $urls = append $urls $application.pull.proxy }}
{{- end }}
{{- range compact $urls }}
{{- $ports = append $ports (include "vodbridge.port" (dict "url" . "usual" 443) | atoi) }}
{{- end }}
{{- end }}
{{- end }}
{{- dict "ports" (uniq $ports) | toJson }}
{{- end }}

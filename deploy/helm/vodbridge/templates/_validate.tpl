{{/* Fails with everything that cannot work, a sentence each. */}}
{{- define "vodbridge.validate" -}}
{{- $wrong := list }}
{{- $values := .Values }}
{{- $config := .Values.config }}
{{- $applications := include "vodbridge.applications" . | fromJson }}
{{- $callbacks := (include "vodbridge.callbacks" . | fromJson).names }}
{{- $connectors := include "vodbridge.connectors" . | fromJson }}

{{- if (get ($config.http | default dict) "listen") }}
{{- $wrong = append $wrong "config.http.listen follows from ports.callback: say it there." }}
{{- end }}
{{- if (get ($config.admin | default dict) "listen") }}
{{- $wrong = append $wrong "config.admin.listen follows from ports.admin: say it there." }}
{{- end }}
{{- if (get ($config.journal | default dict) "path") }}
{{- $wrong = append $wrong "config.journal.path is the volume's: leave it out." }}
{{- end }}
{{- if eq (int .Values.ports.callback) (int .Values.ports.admin) }}
{{- $wrong = append $wrong (printf "ports.callback and ports.admin are both %v: give each its own." .Values.ports.admin) }}
{{- end }}

{{- if kindIs "slice" $config.routes }}
{{- range $n, $route := $config.routes }}
{{- range concat ($route.to | default list) ($route.also | default list) }}
{{- if not (hasKey $connectors .) }}
{{- $wrong = append $wrong (printf "config.routes.%d goes to the connector %s, which config.connectors does not name." $n .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- $letters := (get ($config.dead_letter | default dict) "to") | default "journal" }}
{{- if not (or (eq $letters "journal") (hasKey $connectors $letters)) }}
{{- $wrong = append $wrong (printf "config.dead_letter.to is the connector %s, which config.connectors does not name." $letters) }}
{{- end }}

{{- if not .Values.persistence.enabled }}
{{- range $name, $application := $applications }}
{{- if kindIs "map" $application.callback }}
{{- if ne (include "vodbridge.word" $application.callback.spool) "off" }}
{{- $wrong = append $wrong (printf "config.applications.%s.callback would spool to nowhere, because persistence.enabled is false: enable it, or say `spool: off` there and that what no broker takes in time is gone." $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- range (include "vodbridge.required" . | fromJson).names }}
{{- if eq (get (get $connectors . | default dict) "type") "journal" }}
{{- $wrong = append $wrong (printf "a route waits for the connector %s, a journal on a disk that ends with its pod, because persistence.enabled is false: enable it, or route to a broker." .) }}
{{- end }}
{{- end }}
{{- $letterType := get (get $connectors $letters | default (dict "type" (ternary "journal" "" (eq $letters "journal")))) "type" }}
{{- if or (eq $letters "journal") (eq $letterType "journal") }}
{{- $wrong = append $wrong "dead letters would go to a journal on a disk that ends with its pod, because persistence.enabled is false: enable it, or name a broker's connector in config.dead_letter.to." }}
{{- end }}
{{- end }}

{{- with dig "limits" "memory" "" (.Values.resources | default dict) }}
{{- $held := include "vodbridge.inFlightMebibytes" $ | int64 }}
{{- if lt (include "vodbridge.mebibytes" . | int64) $held }}
{{- $wrong = append $wrong (printf "resources.limits.memory (%v) is less than config.limits.in_flight_bytes and the connectors' in_flight_bytes together (%d MiB): the pod would be killed under load; enlarge the one or lessen the others." . $held) }}
{{- end }}
{{- end }}

{{- $grace := include "vodbridge.graceSeconds" . | int64 }}
{{- $termination := include "vodbridge.terminationSeconds" . | int64 }}
{{- if ge $grace $termination }}
{{- $wrong = append $wrong (printf "terminationGracePeriodSeconds is %d and config.grace %v: the pod would be killed while the bridge settles what it holds; let the period be the longer, or leave it out." $termination ($config.grace | default "25s")) }}
{{- end }}
{{- $drain := include "vodbridge.milliseconds" (dict "key" "drain_delay" "value" ($config.drain_delay | default "0s")) | int64 }}
{{- if ge $drain (mul $grace 1000) }}
{{- $wrong = append $wrong (printf "config.drain_delay (%v) is a part of config.grace (%v) and must be less." $config.drain_delay ($config.grace | default "25s")) }}
{{- end }}

{{- if .Values.persistence.enabled }}
{{- $needed := include "vodbridge.journalMebibytes" . | int64 }}
{{- if lt (include "vodbridge.mebibytes" .Values.persistence.size | int64) $needed }}
{{- $wrong = append $wrong (printf "persistence.size (%v) is less than config.journal.size_max and wal_max together (%d MiB): enlarge the one or lessen the others." .Values.persistence.size $needed) }}
{{- end }}
{{- if .Values.autoscaling.enabled }}
{{- $wrong = append $wrong "autoscaling.enabled needs persistence.enabled=false: a replica that is scaled away would leave its spool behind." }}
{{- end }}
{{- $claim := printf "data-%s-" (include "vodbridge.fullname" .) }}
{{- range .Values.adopt.claims }}
{{- $ordinal := trimPrefix $claim . }}
{{- if and (hasPrefix $claim .) (regexMatch "^[0-9]+$" $ordinal) (lt (atoi $ordinal) (int $values.replicas)) }}
{{- $wrong = append $wrong (printf "adopt.claims names %s, the volume of replica %s, which runs: a spool has one owner." . $ordinal) }}
{{- end }}
{{- end }}
{{- end }}

{{- if not $callbacks }}
{{- if .Values.ingress.enabled }}
{{- $wrong = append $wrong "ingress.enabled is true, but no application takes callbacks: there is nothing to bring in." }}
{{- end }}
{{- if .Values.httpRoute.enabled }}
{{- $wrong = append $wrong "httpRoute.enabled is true, but no application takes callbacks: there is nothing to bring in." }}
{{- end }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
{{- $wrong = append $wrong "httpRoute.enabled is true, but httpRoute.parentRefs names no gateway." }}
{{- end }}
{{- if .Values.tests.callback.enabled }}
{{- $application := .Values.tests.callback.application | default (first $callbacks) | default "" }}
{{- if not $callbacks }}
{{- $wrong = append $wrong "tests.callback.enabled is true, but no application takes callbacks: there is nothing to send to." }}
{{- else if not (has $application $callbacks) }}
{{- $wrong = append $wrong (printf "tests.callback.application is %s, which takes no callbacks." $application) }}
{{- end }}
{{- if ($config.http | default dict).tls }}
{{- $wrong = append $wrong "tests.callback.enabled sends plain HTTP, and config.http.tls is set: switch one off." }}
{{- end }}
{{- end }}
{{- range $name, $application := $applications }}
{{- if and (eq (dig "pull" "credentials" "from" "" (dict "pull" ($application.pull | default dict))) "tke_oidc") (not $values.serviceAccount.tke.roleArn) (not (hasKey $values.serviceAccount.annotations "tke.cloud.tencent.com/role-arn")) $values.serviceAccount.create }}
{{- $wrong = append $wrong (printf "config.applications.%s.pull takes its credential from the pod's identity, but serviceAccount.tke.roleArn is not set." $name) }}
{{- end }}
{{- end }}

{{- with $wrong }}
{{- fail (join "\n" .) }}
{{- end }}
{{- end }}

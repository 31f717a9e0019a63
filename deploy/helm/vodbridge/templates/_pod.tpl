{{/* The pod of either shape, and of a Job that adopts a volume.
     Takes: root, component, args, journal (the volume's source in YAML; "" where a claim
     template brings it), callbacks (whether the callback port is named), once (whether it
     ends by itself and is not probed), restartPolicy, spread. */}}
{{- define "vodbridge.pod" -}}
{{- $root := .root }}
{{- with $root.Values }}
metadata:
  labels:
    # The chart's version is not among them: it would make other pods of the same.
    app.kubernetes.io/name: {{ include "vodbridge.name" $root }}
    app.kubernetes.io/instance: {{ $root.Release.Name }}
    app.kubernetes.io/component: {{ $.component }}
    {{- with .commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with .podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # A pod reads its configuration once: another one makes another pod.
    checksum/config: {{ include "vodbridge.config" $root | sha256sum }}
    {{- with .podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "vodbridge.serviceAccountName" $root }}
  # The bridge never speaks to Kubernetes; TKE's pod identity brings a token of its own.
  automountServiceAccountToken: false
  # VODBRIDGE_... variables of Services are not for the bridge.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "vodbridge.terminationSeconds" $root }}
  {{- with .imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- toYaml .podSecurityContext | nindent 4 }}
  {{- if $.restartPolicy }}
  restartPolicy: {{ $.restartPolicy }}
  {{- end }}
  containers:
    - name: vodbridge
      image: {{ include "vodbridge.image" $root }}
      imagePullPolicy: {{ .image.pullPolicy }}
      args:
        {{- toYaml $.args | nindent 8 }}
      {{- with .env }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .envFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if not $.once }}
      ports:
        {{- if $.callbacks }}
        - name: callback
          containerPort: {{ .ports.callback }}
          protocol: TCP
        {{- end }}
        - name: admin
          containerPort: {{ .ports.admin }}
          protocol: TCP
      startupProbe:
        httpGet: { path: /livez, port: admin }
        {{- toYaml .probes.startup | nindent 8 }}
      livenessProbe:
        httpGet: { path: /livez, port: admin }
        {{- toYaml .probes.liveness | nindent 8 }}
      readinessProbe:
        httpGet: { path: /readyz, port: admin }
        {{- toYaml .probes.readiness | nindent 8 }}
      {{- end }}
      securityContext:
        {{- toYaml .securityContext | nindent 8 }}
      {{- with .resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - name: config
          mountPath: /etc/vodbridge
          readOnly: true
        - name: data
          mountPath: /var/lib/vodbridge
        - name: tmp
          mountPath: /tmp
        {{- range .secrets }}
        - name: {{ printf "secret-%s" .name | replace "." "-" | trunc 63 | trimSuffix "-" }}
          mountPath: {{ .mountPath }}
          readOnly: true
        {{- end }}
        {{- range .configMaps }}
        - name: {{ printf "configmap-%s" .name | replace "." "-" | trunc 63 | trimSuffix "-" }}
          mountPath: {{ .mountPath }}
          readOnly: true
        {{- end }}
        {{- with .extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "vodbridge.fullname" $root }}
    - name: tmp
      emptyDir: { sizeLimit: 64Mi }
    {{- with $.journal }}
    - name: data
      {{- . | nindent 6 }}
    {{- end }}
    {{- range .secrets }}
    - name: {{ printf "secret-%s" .name | replace "." "-" | trunc 63 | trimSuffix "-" }}
      secret:
        secretName: {{ .name }}
        defaultMode: 0440
    {{- end }}
    {{- range .configMaps }}
    - name: {{ printf "configmap-%s" .name | replace "." "-" | trunc 63 | trimSuffix "-" }}
      configMap:
        name: {{ .name }}
    {{- end }}
    {{- with .extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $.spread }}
  topologySpreadConstraints:
    {{- . | nindent 4 }}
  {{- end }}
  {{- with .affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "vodbridge.spread" -}}
{{- if kindIs "invalid" .Values.topologySpreadConstraints }}
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- topologyKey: {{ $key }}
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "vodbridge.selectorLabels" $ | nindent 6 }}
{{- end }}
{{- else }}
{{- toYaml .Values.topologySpreadConstraints }}
{{- end }}
{{- end }}

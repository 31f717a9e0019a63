# The schema of the chart's values, of its hand-written part and the schema of the configuration.
.[0] as $chart | .[1] as $configuration
| $chart
| .properties.config = ($configuration | del(."$schema", ."$defs"))
| ."$defs" = $configuration."$defs"
# Helm's YAML makes truth values of `on` and `off`; the templates make words of them again.
| (."$defs".Spool, ."$defs".Idempotence) |= { anyOf: [., { type: "boolean" }] }

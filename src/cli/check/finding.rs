use std::fmt::{self, Display};
use std::io::Write;

use serde_json::{Map, Value, json};

/// How bad it is; the worst is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    Good = 0,
    Warning = 1,
    Critical = 2,
}

/// What was looked at, and how it is.
#[derive(Debug)]
struct Finding {
    severity: Severity,
    what: String,
    how: String,
    /// What an operator can do about it.
    advice: Option<String>,
    /// More of it for programs.
    details: Map<String, Value>,
}

/// Everything that was found, in the order in which it was looked for.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

// === impl Findings ===

impl Findings {
    pub(super) fn add(&mut self, severity: Severity, what: &str, how: impl Display) {
        let (what, how) = (what.to_owned(), how.to_string());
        self.0.push(Finding { severity, what, how, advice: None, details: Map::new() });
    }

    /// Adds a finding with what an operator can do about it, if anything, and with more of it for
    /// programs.
    pub(super) fn advise(
        &mut self,
        severity: Severity,
        what: &str,
        how: impl Display,
        advice: Option<String>,
        details: Map<String, Value>,
    ) {
        let (what, how) = (what.to_owned(), how.to_string());
        self.0.push(Finding { severity, what, how, advice, details });
    }

    /// Puts those found elsewhere behind these.
    pub(super) fn append(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }

    pub(super) fn worst(&self) -> Severity {
        self.0.iter().map(|f| f.severity).max().unwrap_or(Severity::Good)
    }

    pub(super) fn text(&self, out: &mut dyn Write) -> std::io::Result<()> {
        for finding in &self.0 {
            writeln!(out, "{:9} {}: {}", finding.severity, finding.what, finding.how)?;
            if let Some(advice) = &finding.advice {
                writeln!(out, "{:9} -> {advice}", "")?;
            }
        }
        Ok(())
    }

    pub(super) fn json(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let findings = self.0.iter().map(|f| {
            let severity = f.severity.to_string();
            let mut one = json!({ "severity": severity, "what": f.what, "how": f.how });
            if let Some(one) = one.as_object_mut() {
                one.extend(f.advice.iter().map(|advice| ("advice".to_owned(), json!(advice))));
                one.extend(f.details.clone());
            }
            one
        });
        let findings: Vec<_> = findings.collect();
        let all = json!({ "status": self.worst().to_string(), "findings": findings });
        writeln!(out, "{all}")
    }

    /// The plug-in protocol of Nagios: one line that begins with the state, what is worst first.
    pub(super) fn nagios(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let worst = self.worst();
        let state = match worst {
            Severity::Good => "OK",
            Severity::Warning => "WARNING",
            Severity::Critical => "CRITICAL",
        };
        let worst = self.0.iter().filter(|f| f.severity == worst);
        let text: Vec<_> = worst.map(|f| format!("{}: {}", f.what, f.how)).collect();
        // A bar would begin the performance data.
        writeln!(out, "VODBRIDGE {state} - {}", text.join("; ").replace('|', "/"))
    }
}

impl Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Critical => "critical",
        })
    }
}

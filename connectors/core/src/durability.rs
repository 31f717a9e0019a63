use std::borrow::Cow;

/// What a broker's acknowledgement survives: four independent answers.
///
/// They form no ladder: a stream with three replicas in memory survives the loss of a machine and
/// not a power cut of the site; a single disk with a flush per message survives the power cut and
/// not the loss of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durability {
    /// The broker's process is killed.
    pub process: Answer,
    /// One machine loses power, or its kernel; its disk is intact.
    pub machine: Answer,
    /// One node is lost for good, its disk included.
    pub node: Answer,
    /// All nodes lose power at once.
    pub all: Answer,
}

/// One of the faults that a [`Durability`] speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The broker's process is killed.
    Process,
    /// One machine loses power.
    Machine,
    /// One node is lost for good.
    Node,
    /// All nodes lose power at once.
    All,
}

impl Fault {
    /// All four, in the order of [`Durability`].
    pub const ALL: [Self; 4] = [Self::Process, Self::Machine, Self::Node, Self::All];
}

/// Whether an acknowledged event survives one fault, and how we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The answer.
    pub survives: Survives,
    /// Who said so.
    pub provenance: Provenance,
    /// The one setting that would turn a no into a yes.
    pub remedy: Option<Cow<'static, str>>,
}

/// Whether an acknowledged event survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Survives {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// It cannot be told.
    Unknown,
}

/// Where an answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provenance {
    /// The broker said so over the connection that events take.
    Broker,
    /// The broker's monitoring or management address said so.
    Monitoring,
    /// Documented behaviour, or the operator's word.
    Assumed,
    /// The broker would know, but does not tell this user: never read as fine, never as missing.
    NotVisible,
}

// === impl Durability ===

impl Durability {
    /// The four answers with the fault that each is about, in the order of [`Fault`].
    pub fn answers(&self) -> [(Fault, &Answer); 4] {
        [
            (Fault::Process, &self.process),
            (Fault::Machine, &self.machine),
            (Fault::Node, &self.node),
            (Fault::All, &self.all),
        ]
    }
}

// === impl Fault ===

impl Fault {
    /// The name in configuration, metrics and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Machine => "machine",
            Self::Node => "node",
            Self::All => "all",
        }
    }
}

// === impl Survives ===

impl Survives {
    /// The answer in one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

// === impl Provenance ===

impl Provenance {
    /// Who said so, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Broker => "told by the broker",
            Self::Monitoring => "told by its monitoring",
            Self::Assumed => "assumed",
            Self::NotVisible => "not visible",
        }
    }
}

// === impl Answer ===

impl Answer {
    /// It survives, as said by `provenance`.
    pub fn yes(provenance: Provenance) -> Self {
        Self { survives: Survives::Yes, provenance, remedy: None }
    }

    /// It does not survive, and what would change that.
    pub fn no(provenance: Provenance, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self { survives: Survives::No, provenance, remedy: Some(remedy.into()) }
    }

    /// It cannot be told.
    pub fn unknown(provenance: Provenance) -> Self {
        Self { survives: Survives::Unknown, provenance, remedy: None }
    }
}

use smol_str::SmolStr;

use crate::catalogue::Entry;
use crate::content::Format;
use crate::literal;
use crate::outline::{Node, Outline};

/// What a payload says of itself.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) file: Option<SmolStr>,
    pub(crate) task: Option<SmolStr>,
    pub(crate) cast: Option<SmolStr>,
    pub(crate) status: Option<SmolStr>,
}

/// Where the file of a type stands that the catalogue does not know.
const UNKNOWN_FILES: &[&str] = &["FileId"];

/// Where the file stands in format 2.0; new files before their sources.
const V2_FILES: &[&str] = &["fileId", "fileInfo.fileId", "fileInfo[].fileId", "srcFileId"];

/// The first text or number at `path`, in which a dot leads into an object and `[]` to each
/// element of an array: `MediaProcessResultSet[].TranscodeTask.Output.FileId`.
pub(crate) fn first(outline: &Outline<'_>, path: &str) -> Option<SmolStr> {
    descend(outline, outline.root(), path)
}

fn descend(outline: &Outline<'_>, node: Node, path: &str) -> Option<SmolStr> {
    let (step, rest) = path.split_once('.').unwrap_or((path, ""));
    let arrive = |node| match rest {
        "" => text(outline, node, step),
        rest => descend(outline, node, rest),
    };
    match step.strip_suffix("[]") {
        Some(name) => outline.elements(outline.member(node, name)?).find_map(arrive),
        None => arrive(outline.member(node, step)?),
    }
}

fn text(outline: &Outline<'_>, node: Node, name: &str) -> Option<SmolStr> {
    let text = literal::scalar(outline.written(node))?;
    // A source of ComposeMedia is a FileId or the URL of any other file.
    (name != "SourceMedia" || !text.contains("://")).then(|| SmolStr::new(text))
}

// === impl Facts ===

impl Facts {
    pub(crate) fn of(outline: &Outline<'_>, format: Format, entry: Option<&'static Entry>) -> Self {
        let (files, task, status) = match format {
            Format::V3 => (entry.map_or(UNKNOWN_FILES, |e| e.files), "TaskId", "Status"),
            Format::V2 => (V2_FILES, "vodTaskId", "status"),
        };
        Self {
            file: files.iter().find_map(|path| first(outline, path)),
            task: first(outline, task),
            cast: first(outline, "CastId"),
            status: first(outline, status),
        }
    }

    /// What the event is about.
    pub(crate) fn subject(&self) -> Option<&SmolStr> {
        self.file.as_ref().or(self.task.as_ref()).or(self.cast.as_ref())
    }
}

use super::{ENTRIES, Entry, IdRule};

/// The catalogue as a Markdown table: type, member, id, subject and partition key of each.
pub fn markdown() -> String {
    let head = [
        "| EventType | Member | `id` | `subject`: the first of | Partition key |",
        "| --- | --- | --- | --- | --- |",
    ];
    let rows = ENTRIES.iter().map(row);
    head.into_iter().map(str::to_owned).chain(rows).map(|line| line + "\n").collect()
}

fn row(entry: &Entry) -> String {
    let subject = subject(entry);
    let key = match entry {
        _ if subject.is_empty() => "none",
        Entry { files: [], cast: true, .. } => "cast",
        Entry { files: [], .. } => "task",
        Entry { task: true, .. } => "file, else task",
        _ => "file",
    };
    let members: Vec<_> = entry.members().map(code).collect();
    let subject = if subject.is_empty() { "none".to_owned() } else { subject.join(", ") };
    format!(
        "| {}{} | {} | {} | {subject} | {key} |",
        entry.event_type,
        if entry.switch.is_some() { " (off by default)" } else { "" },
        members.join(", "),
        id(entry),
    )
}

fn subject(entry: &Entry) -> Vec<String> {
    let task = entry.task.then_some("TaskId");
    let cast = entry.cast.then_some("CastId");
    entry.files.iter().copied().chain(task).chain(cast).map(code).collect()
}

fn id(entry: &Entry) -> String {
    let ty = entry.event_type;
    match entry.id {
        IdRule::Task => code(&format!("{ty}:<TaskId>")),
        IdRule::TaskState => code(&format!("{ty}:<TaskId>:<Status>:<digest>")),
        IdRule::Members(names) => {
            let parts: String = names.iter().map(|name| format!(":<{name}>")).collect();
            code(&format!("{ty}{parts}"))
        }
        IdRule::Content => code(&format!("{ty}:<digest>")),
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

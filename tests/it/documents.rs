//! What documents show and name is what there is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(project().join(path)).unwrap()
}

/// The fenced blocks of a document: the language, and the lines between.
fn blocks(document: &str) -> Vec<(String, String)> {
    let mut blocks: Vec<(String, String)> = Vec::new();
    let mut is_inside = false;
    for line in document.lines() {
        match line.strip_prefix("```") {
            Some(_) if is_inside => is_inside = false,
            Some(language) => {
                is_inside = true;
                blocks.push((language.to_owned(), String::new()));
            }
            None if is_inside => {
                let (_, block) = blocks.last_mut().expect("inside of one");
                *block += &format!("{line}\n");
            }
            None => {}
        }
    }
    assert!(!is_inside, "a block without an end");
    blocks
}

/// What stands in backticks, outside of blocks.
fn quoted(document: &str) -> BTreeSet<&str> {
    document.split('`').skip(1).step_by(2).collect()
}

#[test]
fn translations_show_the_commands_and_yaml_of_the_readme() {
    let readme = read("README.md");
    let original = blocks(&readme);
    for translation in ["README.ko.md", "README.zh-CN.md"] {
        assert!(readme.contains(&format!("]({translation})")), "{translation} is linked nowhere");
        let shown = blocks(&read(translation));
        for block in &shown {
            assert!(original.contains(block), "{translation} is stale: {}", block.1);
        }
        for needed in ["make run", "curl ", "sub_app_id:"] {
            assert!(shown.iter().any(|(_, b)| b.contains(needed)), "{translation}: {needed}");
        }
    }
}

#[test]
fn yaml_in_the_readme_is_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    for (n, (language, block)) in blocks(&read("README.md")).into_iter().enumerate() {
        if language != "yaml" {
            continue;
        }
        let file = folder.path().join(format!("{n}.yaml"));
        // Its files and variables are the reader's.
        let block = block
            .replace("{ file: /run/secrets/admin-token }", "a")
            .replace("{ file: /run/secrets/token }", "t")
            .replace("{ file: /run/secrets/sign-key }", "k")
            .replace("{ env: RABBIT }", "p")
            .replace(", tls: { cert_file: /run/tls/tls.crt, key_file: /run/tls/tls.key }", "");
        fs::write(&file, &block).unwrap();
        let checked = std::process::Command::new(env!("CARGO_BIN_EXE_vodbridge"))
            .args(["check", "--offline", "--config"])
            .arg(&file)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&checked.stdout);
        assert!(said.contains("configuration: no errors"), "{block}\n{said}");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let documents =
        ["README.md", "README.ko.md", "README.zh-CN.md", "ARCHITECTURE.md", "CONTRIBUTING.md"];
    let documents = documents.map(PathBuf::from).into_iter().chain(documents_in("docs"));
    for document in documents {
        let text = read(document.to_str().unwrap());
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap();
            if path.is_empty() || target.contains("://") {
                continue;
            }
            let folder = project().join(&document);
            let to = folder.parent().unwrap().join(path);
            assert!(to.exists(), "{}: {target} leads nowhere", document.display());
        }
    }
}

#[test]
fn every_test_and_fault_that_the_list_of_failures_names_is_there() {
    let document = read("docs/failures.md");
    let rows: Vec<_> = document.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    assert_eq!(rows.len(), 12, "one row for each failure");
    let (tests, faults) = (tests(), read("tests/prove/src/fault.rs"));
    for row in rows {
        let shown: BTreeSet<_> = quoted(row.split('|').nth(3).unwrap());
        let names = shown.iter().filter(|name| name.contains(['_', '-']));
        let mut found = 0;
        for name in names {
            let is_fault = faults.contains(&format!("\"{name}\""));
            assert!(is_fault || tests.contains(*name), "no test and no fault: {name}");
            found += 1;
        }
        assert!(found > 0, "nothing shows this: {row}");
    }
}

/// The names of all functions in test code: tests, clauses that every connector is put to, and
/// cases that share a broker.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in ["src", "tests", "connectors"] {
        for file in files(&project().join(folder), "rs") {
            let text = fs::read_to_string(file).unwrap();
            let starts = text.split("fn ").skip(1);
            let name = |rest: &str| {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                end.map(|end| rest[..end].to_owned())
            };
            names.extend(starts.filter_map(name));
        }
    }
    names
}

fn documents_in(folder: &str) -> impl Iterator<Item = PathBuf> {
    let found = files(&project().join(folder), "md").into_iter();
    found.map(|file| file.strip_prefix(project()).unwrap().to_owned())
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found
}

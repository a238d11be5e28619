//! The order of the rooms: a file imports only from the rooms above its own.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The rooms, from the ground up. Rooms of one row do not import each other.
const ROWS: &[&[&str]] = &[
    &["head"],
    &["config"],
    &["clock"],
    &["secret"],
    &["random"],
    &["crypto"],
    &["problem"],
    &["principal"],
    &["client_ip"],
    &["audit"],
    &["body"],
    &["guard"],
    &["fetch"],
    &["store"],
    &["replay"],
    &["headers", "rate_limit", "jwt", "authz", "webhook"],
    &["tokens"],
    &["test_util"],
];

/// Past this many lines there are two things in a file.
const MOST_LINES: usize = 400;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    assert!(found.len() > 15, "the sources were not found");
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(&root).unwrap().to_owned(), text)
    };
    found.into_iter().map(read).collect()
}

fn room_of(path: &Path) -> String {
    let first = path
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap();
    first.trim_end_matches(".rs").to_owned()
}

fn row_of(room: &str) -> usize {
    ROWS.iter()
        .position(|row| row.contains(&room))
        .unwrap_or_else(|| panic!("no row has {room}"))
}

/// The rooms that a text's code names after `crate::`, in grouped imports too.
fn rooms_named(text: &str) -> Vec<String> {
    let code: Vec<&str> = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or(""))
        .collect();
    let code = code.join("\n");
    let word = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            rooms.push(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut item = String::new();
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => rooms.push(word(&std::mem::take(&mut item))),
                _ if depth == 0 => item.push(c),
                _ => {}
            }
        }
        rooms.push(word(&item));
    }
    rooms.retain(|room| !room.is_empty());
    rooms
}

#[test]
fn a_file_imports_only_from_the_rooms_above_it() {
    let mut edges = 0;
    for (path, text) in all_sources()
        .iter()
        .filter(|(path, _)| path != Path::new("lib.rs"))
    {
        let room = room_of(path);
        for named in rooms_named(text).iter().filter(|named| **named != room) {
            edges += 1;
            assert!(
                row_of(named) < row_of(&room),
                "{} names crate::{named}, which is not above {room}",
                path.display(),
            );
        }
    }
    assert!(
        edges > 20,
        "only {edges} imports were found: the reader of this test is broken"
    );
}

#[test]
fn no_file_has_two_things_in_it() {
    for (path, text) in all_sources() {
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines", path.display());
    }
}

#[test]
fn sources_never_unwrap_and_leave_nothing_undone() {
    let of_tests = |path: &Path| path.file_name().is_some_and(|name| name == "tests.rs");
    for (path, text) in all_sources()
        .into_iter()
        .filter(|(path, _)| !of_tests(path))
    {
        let code = text.split("#[cfg(test)]").next().unwrap_or("");
        for forbidden in [
            ".unwrap()",
            "todo!(",
            "unimplemented!(",
            "dbg!(",
            "println!(",
        ] {
            let found = code
                .lines()
                .find(|line| !line.trim_start().starts_with("//") && line.contains(forbidden));
            assert!(
                found.is_none(),
                "{} has {forbidden}: {found:?}",
                path.display()
            );
        }
    }
}

#[test]
fn the_reader_of_imports_reads_groups_and_paths() {
    let text =
        "use crate::{audit::{A, B}, head::C};\nlet x = crate::clock::now(); // crate::guard\n";
    assert_eq!(rooms_named(text), ["audit", "head", "clock"]);
}

//! Every exported function runs inside the panic firewall, is in the symbol list, and is called
//! by the test that injects panics. Found by reading the sources as text.

#![allow(clippy::unwrap_used, reason = "a test ends where its preparation fails")]

use std::path::{Path, PathBuf};

fn source(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(path).unwrap()
}

/// The name and the body of every exported function.
fn exports() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let texts = files.iter().map(|path| std::fs::read_to_string(path).unwrap());
    let mut found: Vec<_> = texts
        .flat_map(|text| {
            let functions = text.split("#[unsafe(no_mangle)]\n").skip(1);
            functions.map(name_and_body).collect::<Vec<_>>()
        })
        .collect();
    found.sort();
    found
}

/// Takes a function apart, given the text from behind its attribute on.
fn name_and_body(text: &str) -> (String, String) {
    let (head, rest) = text.split_once(" {\n").unwrap();
    let (body, _) = rest.split_once("\n}\n").unwrap();
    let name = head.split_once("extern \"C\" fn ").unwrap().1.split_once('(').unwrap().0;
    let code = body.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    (name.to_owned(), code.collect::<Vec<_>>().join("\n"))
}

#[test]
fn every_export_is_nothing_but_a_guarded_body() {
    let exports = exports();
    assert!(exports.len() >= 35, "only {} exports were found", exports.len());
    for (name, body) in exports {
        let guarded = body.starts_with("guard(error, ") || body.starts_with("guard_value(");
        assert!(guarded, "{name} does something outside of guard");
        // The guard's closing parenthesis is the last of the body, so nothing follows it.
        let mut depth = 0;
        let closes = body.char_indices().find(|(_, c)| {
            depth += i32::from(*c == '(') - i32::from(*c == ')');
            *c == ')' && depth == 0
        });
        assert_eq!(closes.map(|(at, _)| at + 1), Some(body.len()), "{name}");
    }
}

#[test]
fn every_export_is_in_the_symbol_list() {
    let names: String = exports().iter().map(|(name, _)| format!("{name}\n")).collect();
    assert_eq!(names, source("../cmake/batpak.symbols"));
}

#[test]
fn every_export_meets_an_injected_panic() {
    let guard = source("src/guard.rs");
    let (_, test) = guard.split_once("fn every_export_contains_a_panic()").unwrap();
    for (name, _) in exports() {
        assert!(test.contains(&format!("{name}(")), "{name} is not called by the test");
    }
}

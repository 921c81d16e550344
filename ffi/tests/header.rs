//! `include/batpak.h` is what cbindgen makes of the sources, and `cmake/batpak.symbols` lists its
//! functions. With `BATPAK_BLESS=1` in the environment both are written instead of compared.

#![allow(clippy::unwrap_used, reason = "a test ends where its preparation fails")]

use batpak::{
    BATPAK_VERSION_MAJOR, BATPAK_VERSION_MINOR, BATPAK_VERSION_PATCH, batpak_export_options,
    batpak_fence_options, batpak_options, batpak_repair_options, batpak_retention,
};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The macros that need a value from the sources, or that Rust has no word for.
fn macros() -> String {
    let text = "{0, 0}";
    let (id, hash) = ("{{0}}", "{{0}}");
    let o = batpak_options::defaults();
    let export = batpak_export_options::defaults();
    let fence = batpak_fence_options::defaults();
    let repair = batpak_repair_options::defaults();
    let retention = batpak_retention::defaults();
    let init = |name: &str, fields: &str| {
        let macro_name = name.to_uppercase();
        format!("#define {macro_name}_INIT \\\n    {{sizeof({name}), {fields}}}\n")
    };
    let inits = [
        init("batpak_error", "0, 0, 0, 0, 0, 0, 0, {0}"),
        init(
            "batpak_options",
            &format!(
                "{}, {}, {}u, {}u, {}u, {}u, {}u, 0, 0, 0, {}u, \\\n     {}u, {}u",
                o.mode,
                o.durability,
                o.max_payload_bytes,
                o.segment_bytes,
                o.buffer_bytes,
                o.buffer_ms,
                o.max_open_files,
                o.cache_bytes,
                o.restarts,
                o.restart_window_ms
            ),
        ),
        init("batpak_open_report", "0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0"),
        init("batpak_frontier", "0, 0, 0, 0, 0"),
        init("batpak_stats", &format!("0, 0, 0, 0, 0, 0, {id}, {id}")),
        init("batpak_directory_state", &format!("0, 0, {id}, {id}")),
        init("batpak_verify_report", &format!("0, 0, 0, 0, {hash}, {hash}, 0, 0, 0")),
        init("batpak_import_options", "0, 0, 0"),
        init("batpak_import_report", &format!("0, {id}, 0, 0, 0, 0, 0, 0, 0, 0, 0")),
        init("batpak_export_options", &format!("{}, {}u", export.plain, export.segment_bytes)),
        init("batpak_export_report", "0, 0, 0, 0, 0, 0, 0"),
        init(
            "batpak_new_event",
            &format!(
                "0, {text}, {text}, {text}, {id}, {id}, {id}, 0, 0, 0, 0, \\\n     \
                 0, 0, 0, 0, 0, 0, 0, 0, 0"
            ),
        ),
        init("batpak_gate", &format!("0, {text}, 0, 0")),
        init("batpak_gate_outcome", &format!("0, {text}, {text}, {text}")),
        init("batpak_query", &format!("0, 0, 0, {text}, {text}, 0, 0, 0, 0, 0, 0")),
        init("batpak_fence_options", &format!("0, {}u", fence.memory_bytes)),
        init("batpak_committed", "0, 0, 0"),
        init("batpak_snapshot_options", &format!("0, {text}")),
        init("batpak_fork_options", "0, 0, 0, 0"),
        init("batpak_copy_report", &format!("0, {id}, 0, {hash}, 0, 0, 0, 0")),
        init("batpak_diff", "0, 0, 0, 0"),
        init(
            "batpak_retention",
            &format!(
                "{}, 0, 0, 0, 0, 0, 0, 0, {}, 0, 0, {}u, {}u",
                retention.unwanted,
                retention.key_overflow,
                retention.key_window,
                retention.key_most
            ),
        ),
        init("batpak_compact_options", "0, 0, 0, 0, 0"),
        init("batpak_compact_report", "0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0"),
        init(
            "batpak_repair_options",
            &format!("0, {}u, {}u, 0, 0, 0", repair.max_lost, repair.segment_bytes),
        ),
        init("batpak_repair_report", &format!("0, {id}, {id}, 0, 0, 0, 0, 0, 0, 0")),
    ];
    format!(
        "\n/* Before each declaration; define it to import from a DLL or to export again. */\n\
         #ifndef BATPAK_API\n#define BATPAK_API\n#endif\n\n\
         /* The version of this header as batpak_version_number gives that of the library. */\n\
         #define BATPAK_VERSION_NUMBER {}u\n\
         #define BATPAK_VERSION_TEXT \"{BATPAK_VERSION_MAJOR}.{BATPAK_VERSION_MINOR}.\
         {BATPAK_VERSION_PATCH}\"\n\n\
         /* The length of a text that ends with a NUL. */\n\
         #define BATPAK_NUL_TERMINATED SIZE_MAX\n\n\
         /* The initial values of the structs that begin with their size. */\n{}",
        batpak::batpak_version_number(),
        inits.concat()
    )
}

fn generated_header() -> String {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config = cbindgen::Config::from_file(crate_dir.join("cbindgen.toml")).unwrap();
    config.after_includes = Some(macros());
    let bindings = cbindgen::generate_with_config(crate_dir, config).unwrap();
    let mut header = Vec::new();
    bindings.write(&mut header);
    String::from_utf8(header).unwrap().trim_start().to_owned()
}

/// The functions that the header declares, sorted.
fn declared_functions(header: &str) -> String {
    let mut names: Vec<&str> = header
        .split("\nBATPAK_API\n")
        .skip(1)
        .filter_map(|declaration| declaration.split('(').next()?.rsplit([' ', '*']).next())
        .collect();
    names.sort_unstable();
    names.iter().map(|name| format!("{name}\n")).collect()
}

fn compare_or_bless(path: &str, expected: &str) {
    let file = root().join(path);
    if std::env::var_os("BATPAK_BLESS").is_some() {
        std::fs::write(&file, expected).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == expected,
        "{path} is not what the sources say; run \
         `BATPAK_BLESS=1 cargo test -p batpak-ffi --test header` and commit it"
    );
}

#[test]
fn the_header_is_generated_from_the_sources() {
    compare_or_bless("include/batpak.h", &generated_header());
}

#[test]
fn the_symbol_list_is_that_of_the_header() {
    compare_or_bless("cmake/batpak.symbols", &declared_functions(&generated_header()));
}

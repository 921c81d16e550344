//! The processes of the test: each is started, says lines, and is killed when it is dropped.

use crate::Failure;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;

/// Who says a line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// The writer, in this life, from 1.
    Writer(u32),
    /// The follower with this number, from 0.
    Follower(usize),
}

/// A line, or `None` when the process has closed its output.
pub(crate) type Line = (Who, Option<String>);

/// How a process is started.
pub(crate) struct Program {
    pub(crate) name: String,
    program: PathBuf,
    script: Option<PathBuf>,
}

impl Program {
    /// From `NAME=PROGRAM[,SCRIPT]`.
    pub(crate) fn parse(name: &str, command: &str) -> Self {
        let (program, script) = match command.split_once(',') {
            Some((program, script)) => (program, Some(script.into())),
            None => (command, None),
        };
        Self { name: name.to_owned(), program: program.into(), script }
    }
}

/// A process that runs.
pub(crate) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    errors: PathBuf,
}

impl Process {
    /// Starts a program. What it says goes to `lines`; its errors go to a file named after it.
    pub(crate) fn start(
        program: &Program,
        arguments: &[String],
        folder: &Path,
        who: Who,
        lines: Sender<Line>,
    ) -> Result<Self, Failure> {
        let errors = folder.join(format!("{}.stderr", program.name));
        let start = || {
            Command::new(&program.program)
                .args(&program.script)
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(File::create(&errors)?)
                .spawn()
        };
        let mut child = start().map_err(|e| format!("cannot start {}: {e}", program.name))?;
        if let Some(output) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _ = lines.send((who, Some(line)));
                }
                let _ = lines.send((who, None));
            });
        }
        let input = child.stdin.take();
        Ok(Self { child, input, errors })
    }

    /// Tells the process that nothing more comes.
    pub(crate) fn close_input(&mut self) {
        self.input = None;
    }

    /// Waits for its end.
    pub(crate) fn finish(&mut self) -> Result<ExitStatus, Failure> {
        self.child.wait().map_err(|e| format!("cannot wait for a process: {e}"))
    }

    /// Ends the process with SIGKILL, in the middle of anything.
    pub(crate) fn kill(&mut self) -> Result<ExitStatus, Failure> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map_err(|e| format!("cannot kill a process: {e}"))
    }

    /// What it wrote to its error output.
    pub(crate) fn errors(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap_or_default().trim().to_owned()
    }
}

impl Drop for Process {
    /// Leaves no process behind.
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

//! One life: a worker is started, works, and is killed.

use crate::account::Attempt;
use crate::{Failure, HANG};
use std::fs::File;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How a worker of one language is started.
pub(crate) struct Worker {
    pub(crate) language: &'static str,
    program: PathBuf,
    script: Option<PathBuf>,
}

impl Worker {
    /// From `LANGUAGE=PROGRAM[,SCRIPT]`.
    pub(crate) fn parse(language: &str, command: &str) -> Result<Self, Failure> {
        let known = ["rust", "c", "python", "node"].into_iter().find(|known| *known == language);
        let language = known.ok_or_else(|| format!("there is no worker in `{language}`"))?;
        let (program, script) = match command.split_once(',') {
            Some((program, script)) => (program, Some(script.into())),
            None => (command, None),
        };
        Ok(Self { language, program: program.into(), script })
    }

    /// Whether an interpreter has to come up before the work can begin.
    pub(crate) fn starts_slowly(&self) -> bool {
        self.script.is_some()
    }
}

/// When a life ends.
#[derive(Clone, Copy)]
pub(crate) enum Moment {
    /// So long after it began to open the store.
    Opening(Duration),
    /// So long after its first acknowledgement.
    Appending(Duration),
}

/// What is chosen for a life beforehand.
pub(crate) struct LifePlan<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) segment_bytes: u32,
    pub(crate) buffer_ms: u32,
    pub(crate) moment: Moment,
}

/// A life, with what is known when it begins.
pub(crate) struct Life<'a> {
    pub(crate) plan: &'a LifePlan<'a>,
    pub(crate) seed: u32,
    /// From 1.
    pub(crate) number: u32,
    /// The append to repeat first: the one during which the life before was killed.
    pub(crate) retry: Option<Attempt>,
    pub(crate) store: &'a Path,
    pub(crate) log: &'a Path,
}

impl Life<'_> {
    /// From the start to the kill. That the worker ends in another way is a failure.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let errors = self.log.with_extension("stderr");
        let mut child = self.start(&errors).map_err(|e| format!("cannot start the worker: {e}"))?;
        let waited = wait_for(&mut child, self.plan.moment);
        // The kill comes first whatever happened, so that no worker is left behind.
        let killed = child.kill().and_then(|()| child.wait());
        waited?;
        let status = killed.map_err(|e| format!("cannot kill the worker: {e}"))?;
        if status.signal() == Some(9) {
            return Ok(());
        }
        let said = std::fs::read_to_string(errors).unwrap_or_default();
        Err(format!("the worker was not killed, but ended with {status}: {}", said.trim()))
    }

    fn start(&self, errors: &Path) -> std::io::Result<Child> {
        let LifePlan { worker, segment_bytes, buffer_ms, .. } = *self.plan;
        let retry = self.retry.unwrap_or(Attempt { life: 0, operation: 0 });
        let numbers =
            [self.seed, self.number, segment_bytes, buffer_ms, retry.life, retry.operation];
        Command::new(&worker.program)
            .args(&worker.script)
            .args([self.store, self.log])
            .args(numbers.map(|number| number.to_string()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(errors)?)
            .spawn()
    }
}

/// Waits for the moment to kill; returns early when the worker ends by itself.
fn wait_for(child: &mut Child, moment: Moment) -> Result<(), Failure> {
    let (said, hear) = mpsc::channel();
    let mut output = child.stdout.take().ok_or("the worker has no output")?;
    // It reads to the end, so that the worker never waits for a full pipe.
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = output.read(&mut bytes) {
            let _ = said.send(bytes[..count].contains(&b'a'));
        }
    });
    let (appending, pause) = match moment {
        Moment::Opening(pause) => (false, pause),
        Moment::Appending(pause) => (true, pause),
    };
    loop {
        match hear.recv_timeout(HANG) {
            Ok(acknowledged) if acknowledged || !appending => break,
            Ok(_) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
            Err(mpsc::RecvTimeoutError::Timeout) => return Err("the worker hangs".to_owned()),
        }
    }
    std::thread::sleep(pause);
    Ok(())
}

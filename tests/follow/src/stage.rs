//! The store, its writer and its followers, and what they have said so far.

use crate::process::{Line, Process, Program, Who};
use crate::{Arguments, Failure, HANG};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};

/// A follower.
pub(crate) struct Follower {
    pub(crate) name: String,
    /// It said that there is no store yet.
    pub(crate) met_nothing: bool,
    /// It has the store open.
    pub(crate) open: bool,
    /// Up to where it has last seen all that was visible.
    pub(crate) seen: u64,
    /// How many such ends it has met.
    pub(crate) ends: u64,
    /// Its last word: what it answers when no writer comes any more.
    pub(crate) answer: Option<String>,
    process: Process,
}

/// The writer in one of its lives.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) opening: bool,
    /// So many events must have survived the lives before: they were acknowledged as written or
    /// durable, or shown to a follower.
    floor: u64,
    /// The events that it has acknowledged as written or durable.
    pub(crate) kept: u64,
    process: Option<Process>,
}

/// All of them.
pub(crate) struct Stage<'a> {
    arguments: &'a Arguments,
    folder: &'a Path,
    pub(crate) followers: Vec<Follower>,
    pub(crate) writer: Writer,
    /// Lives of the writer so far.
    pub(crate) lives: u32,
    lines: (Sender<Line>, Receiver<Line>),
}

impl<'a> Stage<'a> {
    pub(crate) fn new(arguments: &'a Arguments, folder: &'a Path) -> Self {
        Self {
            arguments,
            folder,
            followers: Vec::new(),
            writer: Writer::default(),
            lives: 0,
            lines: mpsc::channel(),
        }
    }

    /// The directory of the store.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// The file with the hashes of the events that a follower saw.
    pub(crate) fn hashes(&self, follower: &str) -> PathBuf {
        self.folder.join(format!("{follower}.hashes"))
    }

    fn start(&self, program: &Program, who: Who, arguments: &[&str]) -> Result<Process, Failure> {
        let store = self.store().display().to_string();
        let arguments: Vec<_> =
            [store.as_str()].iter().chain(arguments).map(|word| (*word).to_owned()).collect();
        Process::start(program, &arguments, self.folder, who, self.lines.0.clone())
    }

    pub(crate) fn start_follower(&mut self, program: &Program) -> Result<(), Failure> {
        let hashes = self.hashes(&program.name).display().to_string();
        let total = self.arguments.events.to_string();
        let who = Who::Follower(self.followers.len());
        self.followers.push(Follower {
            name: program.name.clone(),
            met_nothing: false,
            open: false,
            seen: 0,
            ends: 0,
            answer: None,
            process: self.start(program, who, &[&hashes, &total])?,
        });
        Ok(())
    }

    /// Starts the next life of the writer, which appends until there are so many events.
    pub(crate) fn start_writer(&mut self, until: u64) -> Result<(), Failure> {
        self.lives += 1;
        let seed = self.arguments.seed.to_string();
        let until = until.to_string();
        let who = Who::Writer(self.lives);
        let shown = self.followers.iter().map(|follower| follower.seen);
        let floor = shown.fold(self.writer.floor.max(self.writer.kept), u64::max);
        let process = Some(self.start(&self.arguments.writer, who, &[&seed, &until])?);
        self.writer = Writer { floor, process, ..Writer::default() };
        Ok(())
    }

    /// Kills the writer, wherever it is.
    pub(crate) fn kill_writer(&mut self) -> Result<(), Failure> {
        let Some(mut process) = self.writer.process.take() else { return Ok(()) };
        let status = process.kill()?;
        if status.signal() != Some(9) {
            return Err(format!("the writer was not killed, but ended: {}", process.errors()));
        }
        // What it said before is taken in.
        let last = (Who::Writer(self.lives), None);
        while self.listen("the writer's last line")? != last {}
        Ok(())
    }

    /// Waits until something holds.
    pub(crate) fn wait_until(
        &mut self,
        what: &str,
        holds: impl Fn(&Self) -> bool,
    ) -> Result<(), Failure> {
        while !holds(self) {
            self.listen(what)?;
        }
        Ok(())
    }

    /// Takes in the next line.
    fn listen(&mut self, what: &str) -> Result<Line, Failure> {
        let (who, line) = self.lines.1.recv_timeout(HANG).map_err(|_| {
            let seen = self.followers.iter().map(|f| format!("{} has seen {}", f.name, f.seen));
            let seen = seen.collect::<Vec<_>>().join(", ");
            format!("nothing happens: waiting for {what}; {seen}")
        })?;
        match (who, &line) {
            (Who::Writer(_), Some(line)) => self.writer.hear(line)?,
            (Who::Writer(_), None) => {
                if let Some(mut process) = self.writer.process.take() {
                    process.finish()?;
                    return Err(format!("the writer ended by itself: {}", process.errors()));
                }
            }
            (Who::Follower(number), line) => self.followers[number].hear(line.as_deref())?,
        }
        Ok((who, line))
    }

    /// Tells the followers that no writer comes any more, and waits for their answers.
    pub(crate) fn dismiss_followers(&mut self) -> Result<(), Failure> {
        for follower in &mut self.followers {
            follower.process.close_input();
        }
        self.wait_until("the followers' answers", |stage| {
            stage.followers.iter().all(|follower| follower.answer.is_some())
        })?;
        for Follower { name, process, .. } in &mut self.followers {
            let status = process.finish()?;
            if !status.success() {
                return Err(format!("{name} ended with {status}: {}", process.errors()));
            }
        }
        Ok(())
    }
}

impl Writer {
    fn hear(&mut self, line: &str) -> Result<(), Failure> {
        let number =
            |text: &str| text.parse::<u64>().map_err(|_| format!("the writer said `{line}`"));
        match line.split_once(' ') {
            None if line == "opening" => self.opening = true,
            None => self.kept = number(line)?,
            Some((_, found)) => {
                let found = number(found)?;
                if found < self.floor {
                    return Err(format!(
                        "recovery kept {found} events; {} were shown or acknowledged",
                        self.floor
                    ));
                }
                self.kept = found;
            }
        }
        Ok(())
    }
}

impl Follower {
    fn hear(&mut self, line: Option<&str>) -> Result<(), Failure> {
        let name = &self.name;
        match line {
            None if self.answer.is_some() => {}
            None => {
                self.process.finish()?;
                return Err(format!("{name} ended by itself: {}", self.process.errors()));
            }
            Some("absent") => self.met_nothing = true,
            Some("open") => self.open = true,
            Some(line) => match line.strip_prefix("end ") {
                Some(answer) => self.answer = Some(answer.to_owned()),
                None => {
                    self.seen = line.parse().map_err(|_| format!("{name} said `{line}`"))?;
                    self.ends += 1;
                }
            },
        }
        Ok(())
    }
}

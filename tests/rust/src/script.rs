//! Scripts: a file's commands with the lines that each must print, run and compared.
//!
//! The language is described in `tests/scripts/README.md`.

use crate::commands::Machine;
use crate::scratch::Scratch;
use std::fmt::Write as _;
use std::path::Path;

/// A command with the lines that it must print. Places are line numbers of the file, from 0.
struct Step {
    command: Vec<String>,
    first_line: usize,
    last_line: usize,
    expected: Vec<String>,
}

/// A script file, taken apart.
pub struct Script {
    name: String,
    lines: Vec<String>,
    sections: Vec<Vec<Step>>,
}

impl Script {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Self, String> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| format!("{name}: {e}"))?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut sections = Vec::new();
        let mut section: Vec<Step> = Vec::new();
        let mut headed = false;
        let mut numbered = lines.iter().enumerate();
        while let Some((number, line)) = numbered.next() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            } else if line.starts_with("== ") {
                // What is before the first heading is a section only if it holds a command.
                if headed || !section.is_empty() {
                    sections.push(std::mem::take(&mut section));
                }
                headed = true;
            } else if let Some(expected) = line.strip_prefix("= ") {
                let orphan = || format!("{name}:{}: no command before it", number + 1);
                section.last_mut().ok_or_else(orphan)?.expected.push(expected.to_owned());
            } else {
                let mut command = vec![line.clone()];
                let mut last_line = number;
                if ["batch", "stage"].contains(&line.split(' ').next().unwrap_or_default()) {
                    for (number, item) in numbered.by_ref() {
                        last_line = number;
                        match item.as_str() {
                            "end" => break,
                            passed_over if passed_over.is_empty() || item.starts_with('#') => {}
                            _ => command.push(item.clone()),
                        }
                    }
                }
                section.push(Step { command, first_line: number, last_line, expected: vec![] });
            }
        }
        sections.push(section);
        Ok(Self { name, lines, sections })
    }

    /// Runs all sections in one fresh directory. The error tells the first difference.
    pub fn run(&self) -> Result<(), String> {
        self.run_in_scratch(&mut |step, found| self.compare(step, found))
    }

    /// Runs one section on the store that the sections before it left in `directory`.
    pub fn run_section(&self, directory: &Path, section: usize) -> Result<(), String> {
        let steps = self.sections.get(section).ok_or(format!("no section {section}"))?;
        let mut machine = Machine::new(directory);
        self.run_steps(&mut machine, steps, &mut |step, found| self.compare(step, found))
    }

    /// Runs all sections and gives the file's text with what was found in place of what was
    /// expected.
    pub fn bless(&self) -> Result<String, String> {
        let mut found_after = vec![Vec::new(); self.lines.len()];
        self.run_in_scratch(&mut |step, found| {
            found_after[step.last_line] = found;
            Ok(())
        })?;
        let mut text = String::new();
        for (line, found) in self.lines.iter().zip(found_after) {
            if !line.starts_with("= ") {
                text = text + line + "\n";
            }
            text.extend(found.iter().map(|line| format!("= {line}\n")));
        }
        Ok(text)
    }

    fn run_in_scratch(&self, check: Check<'_>) -> Result<(), String> {
        let scratch = Scratch::new().map_err(|e| format!("no temporary directory: {e}"))?;
        let mut machine = Machine::new(scratch.path());
        self.sections.iter().try_for_each(|steps| self.run_steps(&mut machine, steps, check))
    }

    fn run_steps(
        &self,
        machine: &mut Machine,
        steps: &[Step],
        check: Check<'_>,
    ) -> Result<(), String> {
        for step in steps {
            let found = machine
                .run(&step.command)
                .map_err(|why| self.failure(step, &format!("malformed: {why}\n")))?;
            check(step, found)?;
        }
        machine.close_all();
        Ok(())
    }

    fn compare(&self, step: &Step, found: Vec<String>) -> Result<(), String> {
        if found == step.expected {
            return Ok(());
        }
        let mut difference = String::new();
        for (title, lines) in [("expected", &step.expected), ("found", &found)] {
            let _ = writeln!(difference, "{title}:");
            difference.extend(lines.iter().map(|line| format!("  = {line}\n")));
        }
        Err(self.failure(step, &difference))
    }

    fn failure(&self, step: &Step, text: &str) -> String {
        let command = step.command.join("\n  ");
        format!("FAIL {}:{}\n  {command}\n{text}", self.name, step.first_line + 1)
    }
}

/// What is done with the lines that a step printed.
type Check<'a> = &'a mut dyn FnMut(&Step, Vec<String>) -> Result<(), String>;

//! ioprofiler from C: a program compiled by `cc -O2` against the shared library.
//!
//! The program is a child that stays: it reads a contestant and a number of batches from its
//! standard input, runs them, and answers with the CPU time, so that C takes its turns in the same
//! rounds as Rust. Library and program are built before by the parent ([`build`]), which hands
//! their place down in an environment variable.

use crate::harness::{Contestant, Result};
use crate::page::server::target_folder;
use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;

/// Rows of the table of spans.
pub(crate) const FLOOR: &str = "C: the same floor";
pub(crate) const HANDLE: &str = "C: explicit handle";
pub(crate) const OFF_INLINE: &str = "C: off, the header's inline check";
pub(crate) const OFF_CALL: &str = "C: off, a call of the library";

/// What a row is called in the program.
const ROWS: [(&str, &str); 4] = [
    (FLOOR, "floor"),
    (HANDLE, "handle"),
    (OFF_INLINE, "off_inline"),
    (OFF_CALL, "off_call"),
];

/// Rows of the table of flags.
pub(crate) const FLAG: &str = "C: second read, by number";
pub(crate) const FLAG_NAME: &str = "C: second read, by name";

const FLAG_ROWS: [(&str, &str); 2] = [(FLAG, "flag"), (FLAG_NAME, "flag_name")];

/// Where the children find the program.
pub(crate) const PROGRAM: &str = "IOPROFILER_BENCHES_C";

/// Builds the shared library as it is shipped, and the program against it.
pub(crate) fn build() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = target_folder()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--profile",
            "dist",
            "-p",
            "ioprofiler-c",
            "--target-dir",
        ])
        .arg(&target)
        .current_dir(&root)
        .status()?;
    if !built.success() {
        return Err(format!("building the shared library: {built}").into());
    }
    let library = target.join("dist");
    let program = target.join("ioprofiler-benches-c");
    let compiled = Command::new("cc")
        .args(["-std=gnu99", "-O2", "-Wall", "-Wextra", "-o"])
        .arg(&program)
        .arg(root.join("benches/c/spans.c"))
        .arg(format!("-I{}", root.join("include").display()))
        .arg(format!("-L{}", library.display()))
        .arg(format!("-Wl,-rpath,{}", library.display()))
        .arg("-lioprofiler")
        .status()?;
    if !compiled.success() {
        return Err(format!("compiling benches/c/spans.c: {compiled}").into());
    }
    std::fs::write(flags_file(&program), super::flags::file())?;
    // SAFETY: the parent has one thread.
    unsafe { std::env::set_var(PROGRAM, program) };
    Ok(())
}

/// Where the program finds its flags.
fn flags_file(program: &Path) -> std::path::PathBuf {
    program.with_extension("flags.json")
}

/// The contestants of the table of spans, if the program was built.
pub(crate) fn spans() -> Result<Vec<Contestant>> {
    contestants(&ROWS)
}

/// Those of the table of flags.
pub(crate) fn flags() -> Result<Vec<Contestant>> {
    contestants(&FLAG_ROWS)
}

fn contestants(rows: &'static [(&'static str, &'static str)]) -> Result<Vec<Contestant>> {
    let Some(program) = std::env::var_os(PROGRAM) else {
        return Ok(Vec::new());
    };
    let program = Rc::new(RefCell::new(Program::start(Path::new(&program))?));
    let contestant = |&(row, name): &(&'static str, &'static str)| {
        let program = Rc::clone(&program);
        Contestant::timed(row, super::SPANS as u64, move |batches| {
            program
                .borrow_mut()
                .run(name, batches)
                .expect("the C program answers")
        })
    };
    Ok(rows.iter().map(contestant).collect())
}

/// The running program.
struct Program {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Program {
    fn start(path: &Path) -> Result<Self> {
        let mut child = Command::new(path)
            .arg(flags_file(path))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let questions = child.stdin.take().ok_or("no standard input")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        Ok(Self {
            child,
            questions,
            answers,
        })
    }

    /// CPU nanoseconds of so many batches.
    fn run(&mut self, name: &str, batches: u64) -> Result<u64> {
        writeln!(self.questions, "{name} {batches}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        answer
            .trim()
            .parse()
            .map_err(|_| format!("the C program says {answer:?}").into())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It ends by itself at the end of its input, which closes only after this; so end it here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

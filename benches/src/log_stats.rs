//! How fast logs are read back, beside awk and goaccess, over the same file in the same minute.

use crate::harness::Result;
use crate::page::server::target_folder;
use crate::report::verdict;
use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const FORMAT: &str = r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %{ab_ids}n %{ab_variants}n %{user_id}n %{app_us}n %D"#;
/// The same for goaccess, which has no names for notes.
const GOACCESS: &str = r#"%h %^ %e [%d:%t %^] "%r" %s %b "%R" "%u" %^ %^ %^ %^ %D"#;
/// A gigabyte a minute.
const LEAST_MB_PER_S: f64 = 1_000.0 / 60.0;

/// The table.
pub(crate) fn report(quick: bool) -> Result<String> {
    let command = build(quick)?;
    let log = std::env::temp_dir().join(format!("ioprofiler-benches-{}.log", std::process::id()));
    let megabytes = if quick { 2 } else { 400 };
    write_log(&log, megabytes * 1_000_000)?;
    let text = compare(&command, &log, if quick { 1 } else { 5 });
    std::fs::remove_file(&log)?;
    text
}

fn compare(command: &Path, log: &Path, rounds: usize) -> Result<String> {
    let megabytes = std::fs::metadata(log)?.len() as f64 / 1e6;
    let program = |name: &str, arguments: &[&str]| {
        let mut command = Command::new(name);
        command.args(arguments).arg(log);
        command
    };
    let ours = |more: &[&str]| {
        let mut ours = program(
            &command.to_string_lossy(),
            &["log", "stats", "--format", FORMAT],
        );
        ours.args(more);
        ours
    };
    let awk = "{ n = $NF; sum += n; if (n > most) most = n } END { print NR, sum / NR, most }";
    let mut contestants = [
        ("ioprofiler log stats", ours(&[])),
        (
            "  of two numbers, by minute, status and test",
            ours(&["--of", "D,app_us", "--by", "minute,status,test"]),
        ),
        (
            "awk: mean and most of the last field",
            program("awk", &[awk]),
        ),
        (
            "goaccess",
            program(
                "goaccess",
                &[
                    "--no-global-config",
                    "--log-format",
                    GOACCESS,
                    "--date-format=%d/%b/%Y",
                    "--time-format=%H:%M:%S",
                    "-o",
                    "json",
                    "-f",
                ],
            ),
        ),
    ];
    let mut best = [f64::INFINITY; 4];
    for _ in 0..rounds {
        // Taking turns: what else the machine does meets all of them.
        for ((name, command), best) in contestants.iter_mut().zip(&mut best) {
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let begun = Instant::now();
            let ran = command.status();
            if ran.as_ref().is_ok_and(std::process::ExitStatus::success) {
                *best = best.min(begun.elapsed().as_secs_f64());
            } else if name.starts_with("ioprofiler") {
                return Err(format!("{name}: {ran:?}").into());
            }
        }
    }
    let mut text =
        format!("\nReading a log of {megabytes:.0} MB back: wall time, the best of {rounds}\n");
    let [ours, ..] = best;
    for ((name, _), seconds) in contestants.iter().zip(best) {
        if seconds.is_infinite() {
            writeln!(text, "{name:<58}{:>26}", "not installed")?;
            continue;
        }
        let speed = megabytes / seconds;
        write!(
            text,
            "{name:<58}{speed:>21.0} MB/s{:>22.2} ×",
            seconds / ours
        )?;
        if name.contains("ioprofiler") {
            write!(
                text,
                "  {}",
                verdict("≥ 1 GB a minute", speed >= LEAST_MB_PER_S)
            )?;
        }
        writeln!(text)?;
    }
    Ok(text)
}

/// Lines as a busy site has them: no two alike.
fn write_log(path: &Path, bytes: usize) -> Result<()> {
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    let (mut written, mut number) = (0, 0_u32);
    while written < bytes {
        let noise = number.wrapping_mul(2_654_435_761);
        let (second, variant) = (number / 500, noise >> 31);
        let app_us = 3_000 + (noise >> 8) % 70_000 + variant * 500;
        let line = format!(
            "10.0.{}.{} - - [23/Nov/2026:{:02}:{:02}:{:02} +0000] \"GET /listing/{}?ref=cat HTTP/1.1\" {} {} \
             \"http://www.etsy.example/search?q={}\" \"Mozilla/5.0 (X11; Linux x86_64) \\\"q\\\" AppleWebKit/537.36\" \
             6;12;14 0;{variant};1 {} {app_us} {}\n",
            number % 250,
            number % 199,
            second / 3_600 % 24,
            second / 60 % 60,
            second % 60,
            noise % 100_000,
            if number % 50 == 0 { 404 } else { 200 },
            noise % 60_000,
            number % 1_000,
            noise % 5_000_000,
            app_us + 400,
        );
        file.write_all(line.as_bytes())?;
        written += line.len();
        number += 1;
    }
    file.flush()?;
    Ok(())
}

/// The command, as cargo's `release` profile makes it; to see that it runs, any will do.
fn build(quick: bool) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = target_folder()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let (profile, folder) = if quick {
        ("dev", "debug")
    } else {
        ("release", "release")
    };
    let built = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "-p",
            "ioprofiler-cli",
            "--profile",
            profile,
            "--target-dir",
        ])
        .arg(&target)
        .current_dir(&root)
        .status()?;
    if !built.success() {
        return Err(format!("building the command: {built}").into());
    }
    Ok(target.join(folder).join("ioprofiler"))
}

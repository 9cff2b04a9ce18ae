//! The time from the start of the process to the prompt, on a pseudo-terminal.
//!
//! `cargo bench --bench prompt [-- --runs N] [SOURCE...]` starts `auroratrail repl` 50 times and prints
//! the times until the prompt stands on the screen and keys are taken, beside those of a process that
//! does nothing (`auroratrail --version`), of a whole `auroratrail query "SELECT 1"`, and of other
//! prompts that are there (`sqlite3`, `duckdb`, `psql --version`).

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

const BINARY: &str = env!("CARGO_BIN_EXE_auroratrail");

fn main() {
    let (runs, sources) = arguments();
    println!("{runs} runs each, ms     p50      p95   slowest");
    let mut prompt = vec![BINARY, "repl"];
    prompt.extend(sources.iter().map(String::as_str));
    report("to the prompt", runs, || {
        until(&prompt, Some("auroratrail>"))
    });
    report("query \"SELECT 1\"", runs, || {
        until(&[BINARY, "query", "SELECT 1"], None)
    });
    report("--version", runs, || until(&[BINARY, "--version"], None));
    for (program, prompt) in [("sqlite3", "sqlite>"), ("duckdb", "D ")] {
        if is_there(program) {
            report(program, runs, || until(&[program], Some(prompt)));
        }
    }
}

fn arguments() -> (usize, Vec<String>) {
    let mut runs = 50;
    let mut sources = Vec::new();
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        match word.as_str() {
            "--runs" => {
                runs = words
                    .next()
                    .and_then(|it| it.parse().ok())
                    .expect("--runs N")
            }
            _ => sources.push(word),
        }
    }
    (runs, sources)
}

fn report(name: &str, runs: usize, run: impl Fn() -> Duration) {
    let mut times: Vec<Duration> = (0..runs).map(|_| run()).collect();
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
    println!("{name:20} {:8.1} {:8.1} {:8.1}", at(50), at(95), at(100));
}

/// Returns the time until a process has written `text`, or until it ends.
fn until(command: &[&str], text: Option<&str>) -> Duration {
    let size = PtySize {
        rows: 30,
        cols: 100,
        pixel_width: 0,
        pixel_height: 0,
    };
    let home = tempfile::tempdir().expect("a folder");
    let pair = native_pty_system().openpty(size).expect("a terminal");
    let mut builder = CommandBuilder::new(command[0]);
    builder.args(&command[1..]);
    builder.env("HOME", home.path());
    builder.env("TERM", "xterm-256color");
    let mut output = pair.master.try_clone_reader().expect("the output");
    let mut keys = pair.master.take_writer().expect("the keys");
    let begun = Instant::now();
    let mut child = pair.slave.spawn_command(builder).expect("the process");
    drop(pair.slave);
    let mut shown = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = output.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..read]);
        // The line editor asks where the cursor is.
        if buffer[..read].windows(4).any(|it| it == b"\x1b[6n") {
            keys.write_all(b"\x1b[6;1R").expect("the keys");
        }
        if text.is_some_and(|text| shown.windows(text.len()).any(|it| it == text.as_bytes())) {
            break;
        }
    }
    let time = begun.elapsed();
    let _ = child.kill();
    let _ = child.wait();
    time
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

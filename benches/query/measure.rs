//! Runs a process and says what it took: time on the clock, time on the processors, peak memory.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Units of time in `/proc/PID/stat`; Linux has shown a hundred a second for as long as it has it.
const TICKS_A_SECOND: u64 = 100;

/// How often the peak is looked at. It only ever rises, so all that can be missed is what is
/// allocated in the last moment.
const LOOK: Duration = Duration::from_millis(2);

/// What a process took. Where there is no `/proc`, CPU time and memory are zero.
#[derive(Clone, Debug, Default)]
pub struct Run {
    pub wall: Duration,
    /// User and system time of all threads.
    pub cpu: Duration,
    /// The most it had in memory at a time, bytes.
    pub peak_bytes: u64,
    /// What it wrote to its standard output.
    pub output: String,
}

impl Run {
    /// The better of each, and the memory of the worse.
    pub fn better(self, other: &Self) -> Self {
        Self {
            wall: self.wall.min(other.wall),
            cpu: self.cpu.min(other.cpu),
            peak_bytes: self.peak_bytes.max(other.peak_bytes),
            output: self.output,
        }
    }
}

/// Runs `command` to its end; what it writes to standard error is kept in `complaints`.
pub fn run(command: &mut Command, complaints: &Path) -> Result<Run, String> {
    let failed = |error: std::io::Error| format!("cannot run {command:?}: {error}");
    let errors = File::create(complaints).map_err(failed)?;
    let failed = |error: std::io::Error| format!("cannot run it: {error}");
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .map_err(failed)?;
    let run = watch(&mut child, start);
    let status = child.wait().map_err(failed)?;
    if !status.success() {
        let said = fs::read_to_string(complaints).unwrap_or_default();
        return Err(format!("{status}: {}", said.trim()));
    }
    run.map_err(failed)
}

fn watch(child: &mut Child, start: Instant) -> std::io::Result<Run> {
    let pid = child.id();
    let (peak, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut output = String::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                peak.fetch_max(peak_bytes(pid).unwrap_or(0), Relaxed);
                std::thread::sleep(LOOK);
            }
        });
        // The pipe ends with the process.
        let read = child
            .stdout
            .take()
            .map(|mut out| out.read_to_string(&mut output));
        done.store(true, Relaxed);
        read.transpose()
    })?;
    // Gone, but not yet waited for: the kernel still knows what it took.
    while stat(pid).is_some_and(|(state, _)| state != 'Z') {
        std::thread::yield_now();
    }
    Ok(Run {
        wall: start.elapsed(),
        cpu: stat(pid).map_or(Duration::ZERO, |(_, cpu)| cpu),
        peak_bytes: peak.into_inner(),
        output,
    })
}

fn peak_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The process's state, and its time on processors.
fn stat(pid: u32) -> Option<(char, Duration)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name in brackets, which may hold anything: state, ten numbers, user, system.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let mut ticks = fields.skip(10).map(|field| field.parse::<u64>().ok());
    let ticks = ticks.next()?? + ticks.next()??;
    Some((state, Duration::from_millis(ticks * 1000 / TICKS_A_SECOND)))
}

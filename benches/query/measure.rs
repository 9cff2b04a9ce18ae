//! Runs a process and measures its wall time, CPU time and peak memory.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Units per second of time in `/proc/PID/stat`, constant on Linux.
const TICKS_A_SECOND: u64 = 100;

/// Interval of reading the peak. A peak only rises, so at most the last interval's allocations are
/// missed.
const LOOK: Duration = Duration::from_millis(2);

/// The cost of a process. Without `/proc`, CPU time and memory are zero.
#[derive(Clone, Debug, Default)]
pub struct Run {
    pub wall: Duration,
    /// User and system time of all threads, in seconds.
    pub cpu: Duration,
    /// Peak memory in bytes.
    pub peak_bytes: u64,
    /// Its standard output.
    pub output: String,
}

impl Run {
    /// Returns the lower times and the higher memory of both.
    pub fn better(self, other: &Self) -> Self {
        Self {
            wall: self.wall.min(other.wall),
            cpu: self.cpu.min(other.cpu),
            peak_bytes: self.peak_bytes.max(other.peak_bytes),
            output: self.output,
        }
    }
}

/// Runs `command` to its end, collecting its standard error in `complaints`.
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
        // The pipe closes with the process.
        let read = child
            .stdout
            .take()
            .map(|mut out| out.read_to_string(&mut output));
        done.store(true, Relaxed);
        read.transpose()
    })?;
    // A zombie: the kernel still has its times.
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

/// Reads the process's state and CPU time.
fn stat(pid: u32) -> Option<(char, Duration)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name in brackets, which may hold any character: state, ten numbers, user, system.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let mut ticks = fields.skip(10).map(|field| field.parse::<u64>().ok());
    let ticks = ticks.next()?? + ticks.next()??;
    Some((state, Duration::from_millis(ticks * 1000 / TICKS_A_SECOND)))
}

//! Virtual environments of Python that tests need, installed once into the cache folder.

use std::path::PathBuf;
use std::process::Command;

/// Returns a virtual environment with packages in it, made when it is not there. Tests are processes of their
/// own, side by side: one of them makes it.
pub fn environment(name: &str, packages: &[&str]) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .expect("XDG_CACHE_HOME or HOME is set")
        .join("auroratrail");
    std::fs::create_dir_all(&cache).unwrap();
    let lock = std::fs::File::create(cache.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let venv = cache.join(name);
    let complete = venv.join("complete");
    let wanted = packages.join(" ");
    if std::fs::read_to_string(&complete).is_ok_and(|found| found == wanted) {
        return venv;
    }
    run(
        Command::new("python3").args(["-m", "venv"]).arg(&venv),
        &wanted,
    );
    let mut pip = Command::new(venv.join("bin/pip"));
    run(pip.args(["install", "-q"]).args(packages), &wanted);
    std::fs::write(complete, wanted).unwrap();
    venv
}

fn run(command: &mut Command, packages: &str) {
    let advice = format!("this test needs python3 with venv, and PyPI for {packages}");
    match command.status() {
        Ok(status) => assert!(status.success(), "{command:?} failed: {status}; {advice}"),
        Err(error) => panic!("{command:?} cannot run: {error}; {advice}"),
    }
}

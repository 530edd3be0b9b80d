//! Time, CPU, memory and disk.

use std::path::Path;
use std::time::{Duration, Instant};

pub struct Meter {
    batches: Vec<Duration>,
    started: Instant,
    cpu: Duration,
}

pub fn cpu() -> Duration {
    let mut usage = unsafe { std::mem::zeroed::<libc::rusage>() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// MiB, from the kernel's own high-water mark of this process.
pub fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    let kib: f64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0.0);
    kib / 1024.0
}

/// MiB of blocks in use under a folder.
pub fn disk(dir: &Path) -> f64 {
    use std::os::unix::fs::MetadataExt;
    let mut blocks = 0;
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(data) if data.is_dir() => folders.push(entry.path()),
                Ok(data) => blocks += data.blocks(),
                Err(_) => {}
            }
        }
    }
    blocks as f64 / 2048.0
}

impl Meter {
    pub fn start() -> Self {
        Self { batches: Vec::new(), started: Instant::now(), cpu: cpu() }
    }

    pub fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.batches.push(start.elapsed());
        result
    }

    /// One line; `steps` is the number of steps in a batch.
    pub fn report(mut self, steps: usize, dir: &Path) -> String {
        let (wall, cpu) = (self.started.elapsed(), cpu() - self.cpu);
        let total = (self.batches.len() * steps) as f64;
        self.batches.sort_unstable();
        let at = |share: f64| {
            let n = ((self.batches.len() - 1) as f64 * share) as usize;
            self.batches[n].as_secs_f64() * 1e6
        };
        format!(
            "{:.0} steps/s, p50 {:.0} us, p99 {:.0} us, p99.9 {:.0} us, max {:.1} ms, \
             {:.3} CPU s per 1,000 steps, peak {:.1} MiB, folder {:.0} MiB",
            total / wall.as_secs_f64(),
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0) / 1e3,
            cpu.as_secs_f64() * 1e3 / total,
            peak_memory(),
            disk(dir)
        )
    }
}

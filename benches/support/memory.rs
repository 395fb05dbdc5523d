//! How much memory this process takes.

use std::fs;

/// The most since it was started. There is one for the whole process.
pub struct Peak {
    /// Bytes when it was started.
    pub before: u64,
}

impl Peak {
    /// Begins anew; `None` where the system does not tell.
    pub fn start() -> Option<Peak> {
        // Linux forgets the peak so far: proc_pid_clear_refs(5).
        fs::write("/proc/self/clear_refs", "5").ok()?;
        Some(Peak { before: read("VmRSS:")? })
    }

    /// Bytes at most since then.
    pub fn at_most(&self) -> Option<u64> {
        read("VmHWM:")
    }
}

fn read(field: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(kib.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

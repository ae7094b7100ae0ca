//! CPU time of processes, from /proc.

use std::collections::BTreeMap;
use std::fs;

/// CPU seconds of a process and everything it started, by program name.
pub(crate) fn cpu_seconds(roots: &[u32]) -> BTreeMap<String, f64> {
    let processes = all();
    let mut sums = BTreeMap::new();
    for process in &processes {
        let mut at = process.id;
        // A chain of parents is finite: ids of living processes are distinct.
        for _ in 0..64 {
            if roots.contains(&at) {
                *sums.entry(process.name.clone()).or_insert(0.0) += process.cpu_seconds;
                break;
            }
            match processes.iter().find(|parent| parent.id == at) {
                Some(found) if found.parent != 0 => at = found.parent,
                _ => break,
            }
        }
    }
    sums
}

struct Process {
    id: u32,
    parent: u32,
    name: String,
    cpu_seconds: f64,
}

fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| {
            let id: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            parse(id, &fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
        })
        .collect()
}

/// `pid (name) state ppid … utime stime …`, proc_pid_stat(5); the name may hold spaces.
fn parse(id: u32, stat: &str) -> Option<Process> {
    let (head, rest) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    // USER_HZ is 100 on every Linux this runs on.
    Some(Process {
        id,
        parent: fields.get(1)?.parse().ok()?,
        name,
        cpu_seconds: ticks / 100.0,
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn parse_reads_a_name_with_spaces_and_both_times() {
        let line = "7 (a b) S 3 7 7 0 -1 0 1 2 3 4 150 50 0 0 20 0 1 0 9 9 9";
        let process = parse(7, line).expect("a stat line");
        assert_eq!((process.parent, process.name.as_str()), (3, "a b"));
        assert!((process.cpu_seconds - 2.0).abs() < 1e-9);
    }
}

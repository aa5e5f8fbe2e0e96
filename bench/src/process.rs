//! What processes have used, read from /proc: CPU time and resident memory of goldfin and of everything that it started, and what the
//! machine had left.

use std::collections::HashMap;
use std::fs;

use crate::trouble::Trouble;

/// Linux counts CPU time for user space in hundredths of a second, on every platform that goldfin runs on.
const MICROS_PER_TICK: u64 = 10_000;

/// Whose use is measured.
#[derive(Debug, Clone, Copy)]
pub struct Processes {
    /// The service with whatever it started; absent where the load client itself does the work.
    pub own: Option<u32>,
    /// Its PostgreSQL with all its sessions; it may be a child of the service.
    pub postgres: u32,
}

/// CPU time in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    pub own: u64,
    /// Of all sessions, also those that have ended.
    pub postgres: u64,
    /// Of this process, the load client.
    pub client: u64,
    /// Of all cores: what Linux charges no process for, network and disk for the most, and what the host took.
    pub interrupts: u64,
    /// Of all cores, without work or waiting for the disk.
    pub idle: u64,
}

impl Used {
    pub fn since(self, before: Self) -> Self {
        Self {
            own: self.own.saturating_sub(before.own),
            postgres: self.postgres.saturating_sub(before.postgres),
            client: self.client.saturating_sub(before.client),
            interrupts: self.interrupts.saturating_sub(before.interrupts),
            idle: self.idle.saturating_sub(before.idle),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Stat {
    parent: u32,
    /// It runs no more, and its parent has not asked how it ended.
    ended: bool,
    own: u64,
    /// Of children that ended and were waited for.
    reaped: u64,
}

/// Resident memory in kilobytes of a process and whatever it started; pages that they share count for each.
pub fn resident_with_children(id: u32) -> Result<u64, Trouble> {
    let all = all()?;
    Ok(all.keys().filter(|&&one| is_of(&all, one, id)).filter_map(|&one| resident(one).ok()).sum())
}

/// What they have used so far.
pub fn used(of: Processes) -> Result<Used, Trouble> {
    let (all, this) = (all()?, std::process::id());
    let mut used = of_no_process(&fs::read_to_string("/proc/stat")?)?;
    for (&id, stat) in &all {
        let micros = (stat.own + stat.reaped) * MICROS_PER_TICK;
        if is_of(&all, id, of.postgres) {
            used.postgres += micros;
        } else if of.own.is_some_and(|own| is_of(&all, id, own)) {
            // What it waited for may have been PostgreSQL, of an earlier start.
            used.own += stat.own * MICROS_PER_TICK;
        } else if id == this {
            used.client = stat.own * MICROS_PER_TICK;
        }
    }
    if of.own.is_some_and(|own| !all.contains_key(&own)) {
        return Err(Trouble::new("the measured service is gone"));
    }
    Ok(used)
}

/// What a process started, itself, and has not ended.
pub fn children(of: u32) -> Result<Vec<u32>, Trouble> {
    Ok(all()?.into_iter().filter(|(_, stat)| stat.parent == of && !stat.ended).map(|(id, _)| id).collect())
}

fn all() -> Result<HashMap<u32, Stat>, Trouble> {
    let mut all = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        if let Some(id) = name.to_str().and_then(|name| name.parse::<u32>().ok())
            && let Some(stat) = stat(id)
        {
            all.insert(id, stat);
        }
    }
    Ok(all)
}

/// Resident memory in kilobytes.
pub fn resident(id: u32) -> Result<u64, Trouble> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|text| text.split_whitespace().next()?.parse().ok()).ok_or_else(|| Trouble::new("/proc tells no resident memory"))
}

/// Whether a process is this one or comes from it.
fn is_of(all: &HashMap<u32, Stat>, id: u32, from: u32) -> bool {
    id == from || descends(all, id, from)
}

fn descends(all: &HashMap<u32, Stat>, id: u32, from: u32) -> bool {
    let mut at = id;
    // Bounded, because processes come and go while their list is read.
    for _ in 0..16 {
        match all.get(&at) {
            Some(stat) if stat.parent == from => return true,
            Some(stat) => at = stat.parent,
            None => return false,
        }
    }
    false
}

fn stat(id: u32) -> Option<Stat> {
    read_stat(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
}

/// proc(5), the line of all cores: user, nice, system, idle, iowait, irq, softirq, steal and others, in ticks.
fn of_no_process(text: &str) -> Result<Used, Trouble> {
    let ticks: Vec<u64> = text.lines().next().unwrap_or_default().split_whitespace().skip(1).map_while(|one| one.parse().ok()).collect();
    let [_, _, _, idle, waiting, hard, soft, stolen, ..] = ticks[..] else {
        return Err(Trouble::new("/proc/stat does not tell how the cores spent their time"));
    };
    let micros = |ticks: u64| ticks * MICROS_PER_TICK;
    Ok(Used { interrupts: micros(hard + soft + stolen), idle: micros(idle + waiting), ..Used::default() })
}

/// proc(5). The name of the program is in parentheses and may itself hold some.
fn read_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let ended = matches!(*fields.first()?, "Z" | "X");
    Some(Stat { parent: u32::try_from(number(1)?).ok()?, ended, own: number(11)? + number(12)?, reaped: number(13)? + number(14)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_proc_are_found() {
        let stat = read_stat("42 (a) b) S 7 42 42 0 -1 4194304 100 0 0 0 11 22 33 44 20 0 1 0 9 1 1").expect("stat");
        assert_eq!((stat.parent, stat.ended, stat.own, stat.reaped), (7, false, 33, 77));
        assert!(read_stat("42 (a) Z 7 42 42 0 -1 4194304 100 0 0 0 11 22 33 44 20").expect("stat").ended);
        assert!(read_stat("42 (a) S").is_none());
    }

    #[test]
    fn what_waits_for_the_disk_is_idle_too() {
        let used = of_no_process("cpu  1 2 3 40 5 6 7 8 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n").expect("used");
        assert_eq!((used.idle, used.interrupts), (450_000, 210_000));
        assert!(of_no_process("cpu  1 2 3 4 5").is_err() && of_no_process("").is_err());
    }

    #[test]
    fn a_child_is_one_until_it_ends() {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().expect("cat");
        assert!(children(std::process::id()).expect("children").contains(&child.id()));
        drop(child.stdin.take());
        child.wait().expect("ended");
        assert!(!children(std::process::id()).expect("children").contains(&child.id()));
    }

    #[test]
    fn this_process_has_used_memory() {
        assert!(resident(std::process::id()).expect("status") > 0);
    }
}

//! Brokers that rest: while one is measured, the processes of the others stand still.

use std::collections::HashSet;
use std::time::Duration;

use rustix::process::Signal;

use crate::process::signal;
use crate::stage::Target;

/// How long a broker that stood still gets to be itself again: Kafka's tell their controller every 2 s that they live
/// (`broker.heartbeat.interval.ms`), and serve nobody before.
pub const WAKING: Duration = Duration::from_secs(3);

/// Processes stopped by us (`SIGSTOP`), which go on (`SIGCONT`) when this ends. *Lives on: the thread that compares.*
#[derive(Debug, Default)]
pub struct Resting(HashSet<u32>);

impl Resting {
    /// Stops all of `targets` on this machine but `awake`; whether that one stood still until now.
    pub fn all_but(&mut self, targets: &[Target], awake: &Target) -> bool {
        for pid in targets.iter().filter_map(|target| target.pid).filter(|pid| Some(*pid) != awake.pid) {
            if signal(pid, Signal::STOP).is_ok() {
                self.0.insert(pid);
            }
        }
        awake.pid.is_some_and(|pid| self.0.remove(&pid) && signal(pid, Signal::CONT).is_ok())
    }

    /// Lets all go on.
    pub fn wake_all(&mut self) {
        for pid in self.0.drain() {
            // One that has ended meanwhile needs no waking.
            let _ = signal(pid, Signal::CONT);
        }
    }
}

impl Drop for Resting {
    fn drop(&mut self) {
        self.wake_all();
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};
    use std::time::Instant;

    use super::*;

    fn process() -> (Child, Target) {
        let child = Command::new("sleep").arg("600").spawn().expect("sleep starts");
        let addr = "127.0.0.1:1".parse().expect("an address");
        let (label, bootstrap) = (child.id().to_string(), "127.0.0.1:1".to_owned());
        let target = Target { label, bootstrap, addr, pid: Some(child.id()) };
        (child, target)
    }

    /// The state in `/proc/PID/stat`, once it is `wanted`; what it was last when it never is.
    fn state(target: &Target, wanted: char) -> char {
        let begun = Instant::now();
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", target.label)).expect("it lives");
            let found = stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).unwrap_or('?');
            if found == wanted || begun.elapsed() > Duration::from_secs(30) {
                return found;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn one_is_awake_at_a_time_and_all_are_in_the_end() {
        let (mut a, first) = process();
        let (mut b, second) = process();
        let targets = [first, second];
        let mut resting = Resting::default();
        assert!(!resting.all_but(&targets, &targets[0]), "it has not rested");
        assert_eq!((state(&targets[0], 'S'), state(&targets[1], 'T')), ('S', 'T'));
        assert!(resting.all_but(&targets, &targets[1]), "it has");
        assert_eq!((state(&targets[0], 'T'), state(&targets[1], 'S')), ('T', 'S'));
        drop(resting);
        assert_eq!((state(&targets[0], 'S'), state(&targets[1], 'S')), ('S', 'S'));
        for child in [&mut a, &mut b] {
            child.kill().and_then(|()| child.wait()).expect("ended");
        }
    }
}

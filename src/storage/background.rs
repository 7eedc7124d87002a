//! Owns how the system treats a thread that may wait.
//! It must not be asked for by the loop or a worker: they are what the others give way to.

/// From now on the calling thread never takes a core from a running thread when it wakes up: it waits for a free one, or
/// for its share of time. Where the system knows no such thing, nothing changes.
///
/// On Linux this is `SCHED_BATCH` (sched(7)), which takes no privilege.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    linux::give_way();
}

#[cfg(target_os = "linux")]
mod linux {
    use rustix::process::getpriority_process;
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
        set_thread_priority_and_policy, thread_native_id,
    };

    pub(super) fn give_way() {
        let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
        // The crate sets a niceness as well, from a scale of its own: the one that means what it is already.
        let Ok(niceness) = getpriority_process(None) else { return };
        let scale = (0..=u8::MAX).map_while(|step| ThreadPriorityValue::try_from(step).ok());
        let same = scale
            .map(ThreadPriority::Crossplatform)
            .find(|step| step.to_posix(policy).is_ok_and(|posix| posix == niceness));
        if let Some(same) = same {
            // A system that refuses lets the thread run as it was: it then only interrupts more often.
            set_thread_priority_and_policy(thread_native_id(), same, policy).ok();
        }
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use thread_priority::{NormalThreadSchedulePolicy, ThreadSchedulePolicy, thread_schedule_policy};

    use super::*;

    #[test]
    fn only_the_calling_thread_gives_way_and_it_keeps_its_share() {
        let before = thread_schedule_policy().unwrap();
        // proc_pid_stat(5): the niceness is field 19, the 17th after the name in parentheses.
        let niceness = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            stat.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().to_owned()
        };
        let (policy, nice) = std::thread::spawn(move || {
            give_way();
            (thread_schedule_policy().unwrap(), niceness())
        })
        .join()
        .unwrap();
        assert_eq!(policy, ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch));
        assert_eq!((thread_schedule_policy().unwrap(), niceness()), (before, nice));
    }
}

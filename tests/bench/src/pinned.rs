//! Running on one processor.

use crate::log::Result;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Calls a function on one processor, which holds for the threads that it starts too.
pub fn to_one_cpu<T>(work: impl FnOnce() -> T) -> Result<T> {
    let allowed = sched_getaffinity(None)?;
    let first = (0..CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu));
    let mut one = CpuSet::new();
    one.set(first.ok_or("there is no processor to run on")?);
    sched_setaffinity(None, &one)?;
    let result = work();
    sched_setaffinity(None, &allowed)?;
    Ok(result)
}

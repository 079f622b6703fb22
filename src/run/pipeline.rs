//! Many tasks at once, their results one after the other.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use crate::model::Stop;

/// Tasks begun and not delivered yet, for each worker: one it works on, one that
/// waits for its turn.
const HELD_PER_WORKER: usize = 2;

/// Works on the tasks, as many at a time as there are workers, and delivers the
/// results in the order of the tasks.
///
/// A slow task holds up nobody but those whose turn comes after it: no more than
/// two tasks per worker are begun and not delivered, so that memory is bounded.
/// Once `stop` is asked, no task is begun, and what is at work is not delivered.
///
/// # Errors
///
/// The first one of `deliver`, after which nothing is delivered; it asks `stop`.
pub fn in_order<T: Send, R: Send, E>(
    tasks: impl IntoIterator<Item = T>,
    workers: usize,
    stop: &Stop,
    work: impl Fn(T) -> R + Sync,
    mut deliver: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let mut tasks = tasks.into_iter().enumerate();
    let (give, take) = mpsc::channel();
    let (done, results) = mpsc::channel();
    let take = Mutex::new(take);
    thread::scope(|scope| {
        for _ in 0..workers {
            let (take, work, done) = (&take, &work, done.clone());
            scope.spawn(move || {
                let next = || take.lock().unwrap_or_else(PoisonError::into_inner).recv();
                while let Ok((at, task)) = next() {
                    let result = (!stop.is_asked()).then(|| work(task));
                    // What ended because it was asked to is no result.
                    let Some(result) = result.filter(|_| !stop.is_asked()) else { break };
                    if done.send((at, result)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(done);
        let mut give = Some(give);
        let mut begin = || match (tasks.next(), &give) {
            // Workers are gone only when all is to end.
            (Some(task), Some(open)) => _ = open.send(task),
            _ => give = None,
        };
        (0..workers.saturating_mul(HELD_PER_WORKER)).for_each(|_| begin());
        let (mut waiting, mut turn) = (BTreeMap::new(), 0_usize);
        for (at, result) in results {
            waiting.insert(at, result);
            while let Some(result) = waiting.remove(&turn) {
                if let Err(error) = deliver(result) {
                    stop.ask();
                    return Err(error);
                }
                turn = turn.saturating_add(1);
                begin();
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Condvar, Mutex};

    use super::*;

    /// The delivered results of tasks that are their own results.
    fn delivered(tasks: usize, workers: usize) -> Vec<usize> {
        let mut out = Vec::new();
        let each = |n| {
            out.push(n);
            Ok::<(), ()>(())
        };
        in_order(0..tasks, workers, &Stop::default(), |n| n, each).unwrap();
        out
    }

    #[test]
    fn results_come_in_the_order_of_the_tasks() {
        for (tasks, workers) in [(0, 1), (1, 4), (3, 1), (100, 3), (5, 8)] {
            assert_eq!(delivered(tasks, workers), (0..tasks).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_slow_task_holds_up_a_bounded_number() {
        const WORKERS: usize = 3;
        let (others, changed) = (Mutex::new(0), Condvar::new());
        let begun = AtomicUsize::new(0);
        let work = |n: usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            let mut finished = others.lock().unwrap();
            if n == 0 {
                // The first ends only when all others that may be held are finished.
                while *finished < WORKERS * HELD_PER_WORKER - 1 {
                    finished = changed.wait(finished).unwrap();
                }
                assert_eq!(begun.load(Ordering::Relaxed), WORKERS * HELD_PER_WORKER);
            } else {
                *finished += 1;
                changed.notify_all();
            }
            n
        };
        let mut out = Vec::new();
        let each = |n| {
            out.push(n);
            Ok::<(), ()>(())
        };
        in_order(0..50, WORKERS, &Stop::default(), work, each).unwrap();
        assert_eq!(out, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn an_error_of_delivery_ends_it() {
        let stop = Stop::default();
        let mut out = Vec::new();
        let each = |n| {
            out.push(n);
            if n == 4 { Err("full") } else { Ok(()) }
        };
        assert_eq!(in_order(0..1000, 2, &stop, |n| n, each), Err("full"));
        assert_eq!(out, [0, 1, 2, 3, 4]);
        assert!(stop.is_asked());
    }

    #[test]
    fn a_stop_begins_nothing_more() {
        let stop = Stop::default();
        let mut out = Vec::new();
        let each = |n| {
            out.push(n);
            stop.ask();
            Ok::<(), ()>(())
        };
        in_order(0..1000, 1, &stop, |n| n, each).unwrap();
        assert!(out.len() <= 3, "{out:?}");
    }
}

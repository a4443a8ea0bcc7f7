//! A lock where some may wait and others may not.
//!
//! A packet that misses takes the registry's lock for a microsecond; revalidation takes it again and again, for some microseconds
//! each. With a plain lock a miss that finds it taken is put to sleep, and by the time that it runs again revalidation has it
//! once more. Here those who can wait stand back while somebody in a hurry does not have it yet, and those in a hurry sleep only
//! if it stays taken for long, as when its owner lost its CPU.

use parking_lot::{Mutex, MutexGuard};
use std::hint::spin_loop;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Looks at a lock before sleeping: about 50 microseconds.
const LOOKS: usize = 2000;

/// Looks of those who can wait. Whoever is in a hurry is done before; if not, it lost its CPU.
const PATIENCE: usize = 300;

#[derive(Debug, Default)]
pub(crate) struct Courteous<T> {
    lock: Mutex<T>,
    /// How many in a hurry do not have it yet.
    hurried: AtomicUsize,
}

impl<T> Courteous<T> {
    pub(crate) fn new(value: T) -> Courteous<T> {
        Courteous { lock: Mutex::new(value), hurried: AtomicUsize::new(0) }
    }

    /// For those who can wait.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.stand_back();
        self.lock.lock()
    }

    /// Until it is free and nobody is in a hurry. Who would sleep while it is taken has to be woken by its owner, who
    /// may be in a hurry.
    fn stand_back(&self) {
        let mut looks = 0;
        while (self.hurried.load(Ordering::Relaxed) != 0 || self.lock.is_locked()) && looks < PATIENCE {
            spin_loop();
            looks += 1;
        }
    }

    /// Let those in a hurry have it for a moment: for who keeps it long.
    pub(crate) fn give_way(&self, guard: &mut MutexGuard<'_, T>) {
        if self.hurried.load(Ordering::Relaxed) != 0 {
            MutexGuard::unlocked_fair(guard, || self.stand_back());
        }
    }

    /// For those who cannot: packets wait.
    pub(crate) fn lock_now(&self) -> MutexGuard<'_, T> {
        match self.lock.try_lock() {
            Some(guard) => guard,
            None => self.hurry(),
        }
    }

    #[cold]
    fn hurry(&self) -> MutexGuard<'_, T> {
        self.hurried.fetch_add(1, Ordering::Relaxed);
        let mut looks = 0;
        let guard = loop {
            spin_loop();
            looks += 1;
            if looks == LOOKS {
                break self.lock.lock();
            }
            if !self.lock.is_locked()
                && let Some(guard) = self.lock.try_lock()
            {
                break guard;
            }
        };
        self.hurried.fetch_sub(1, Ordering::Relaxed);
        guard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_it_and_nobody_is_left_in_a_hurry() {
        let counter = Courteous::new(0u64);
        std::thread::scope(|scope| {
            for n in 0..4 {
                let counter = &counter;
                scope.spawn(move || {
                    for _ in 0..20_000 {
                        let mut guard = if n % 2 == 0 { counter.lock() } else { counter.lock_now() };
                        // Two steps, so that another between them would be noticed.
                        let seen = *guard;
                        spin_loop();
                        *guard = seen + 1;
                    }
                });
            }
        });
        assert_eq!(*counter.lock(), 80_000);
        assert_eq!(counter.hurried.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn those_in_a_hurry_get_it_from_one_who_keeps_it() {
        let value = Courteous::new(0u64);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| (0..1000).for_each(|_| *value.lock_now() += 1));
            let mut guard = value.lock();
            while !waiter.is_finished() {
                value.give_way(&mut guard);
            }
        });
        assert_eq!((*value.lock(), value.hurried.load(Ordering::Relaxed)), (1000, 0));
    }

    #[test]
    fn those_in_a_hurry_get_it_from_one_who_sleeps_with_it() {
        let value = Courteous::new(7);
        let guard = value.lock();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| *value.lock_now());
            // Longer than it looks.
            std::thread::sleep(std::time::Duration::from_millis(20));
            drop(guard);
            assert_eq!(waiter.join().ok(), Some(7));
        });
        assert_eq!(value.hurried.load(Ordering::Relaxed), 0);
    }
}

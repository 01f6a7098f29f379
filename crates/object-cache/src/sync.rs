//! The locks and counters of the cache: the standard library's, or shuttle's where schedules are searched.
//!
//! # Contract
//! * **One set of names.** The rest of the crate takes locks and atomics from here only.
//! * **A panic does not spread.** What callers pass in is called before anything is changed, so a lock whose
//!   holder panicked guards a state that holds together, and is taken as it is.

use std::sync::PoisonError;

#[cfg(feature = "shuttle")]
use shuttle::sync::{Mutex as InnerMutex, RwLock as InnerRwLock};
#[cfg(feature = "shuttle")]
pub(crate) use shuttle::sync::{
    MutexGuard, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
};
#[cfg(not(feature = "shuttle"))]
use std::sync::{Mutex as InnerMutex, RwLock as InnerRwLock};
#[cfg(not(feature = "shuttle"))]
pub(crate) use std::sync::{
    MutexGuard, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
};

/// How many shards an index has, half of them for names and half for ids: few under shuttle, where each lock is
/// a step of the schedule.
pub(crate) const SHARDS: usize = if cfg!(feature = "shuttle") { 2 } else { 128 };

/// A mutual exclusion.
pub(crate) struct Mutex<T>(InnerMutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Mutex(InnerMutex::new(value))
    }

    /// Waits for the lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Many readers or one writer.
pub(crate) struct RwLock<T>(InnerRwLock<T>);

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        RwLock(InnerRwLock::new(value))
    }

    /// Waits until nobody writes.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody reads or writes.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

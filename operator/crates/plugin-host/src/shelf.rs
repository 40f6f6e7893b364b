//! The plugins whose machine code is mapped now: a bounded number of bytes, so that many plugins need no more memory than
//! those that are called in turn. One that is called and not here is mapped again, which takes less than a tick does.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tollkeeper_core::identity::Digest;

/// Bytes of machine code on the shelf: some sixteen meters in Rust (0.5 MB each), or two in Python.
pub(crate) const ROOM: u64 = 8 << 20;

/// The most that one plugin counts for. Machine code is mapped, not read, and a call touches little of what a whole language
/// brings with it (40 MB for Python); at its full length each would drive out all others.
const MOST_EACH: u64 = 4 << 20;

/// What is mapped, the latest used last.
pub(crate) struct Shelf<T> {
    room: u64,
    places: Mutex<VecDeque<Place<T>>>,
}

struct Place<T> {
    digest: Digest,
    bytes: u64,
    item: Arc<T>,
}

impl<T> Shelf<T> {
    pub(crate) fn new(room: u64) -> Self {
        Self { room, places: Mutex::default() }
    }

    /// What is there for a digest.
    pub(crate) fn find(&self, digest: &Digest) -> Option<Arc<T>> {
        let mut places = self.places();
        // From the end: mostly the same plugin is called again.
        let at = places.iter().rposition(|place| place.digest == *digest)?;
        let place = places.remove(at)?;
        let item = Arc::clone(&place.item);
        places.push_back(place);
        Some(item)
    }

    /// Puts something there, and takes away what was not used for longest until it fits. A call that runs keeps its own.
    pub(crate) fn put(&self, digest: &Digest, bytes: u64, item: Arc<T>) {
        let mut places = self.places();
        places.retain(|place| place.digest != *digest);
        places.push_back(Place { digest: digest.clone(), bytes: bytes.min(MOST_EACH), item });
        let mut taken = places.iter().map(|place| place.bytes).sum::<u64>();
        while taken > self.room && places.len() > 1 {
            taken -= places.pop_front().map_or(0, |place| place.bytes);
        }
    }

    /// Takes away what nobody will ask for any more.
    pub(crate) fn clear(&self, digest: &Digest) {
        self.places().retain(|place| place.digest != *digest);
    }

    fn places(&self) -> MutexGuard<'_, VecDeque<Place<T>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(name: u8) -> Digest {
        Digest::of(&[name])
    }

    fn there(shelf: &Shelf<u8>) -> Vec<u8> {
        shelf.places().iter().map(|place| *place.item).collect()
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let shelf = Shelf::new(300);
        for name in [1, 2, 3] {
            shelf.put(&digest(name), 100, Arc::new(name));
        }
        assert_eq!(shelf.find(&digest(1)).as_deref(), Some(&1));
        shelf.put(&digest(4), 150, Arc::new(4));
        assert_eq!(there(&shelf), [1, 4]);
        assert!(shelf.find(&digest(2)).is_none());
        shelf.put(&digest(1), 100, Arc::new(9));
        assert_eq!(there(&shelf), [4, 9]);
        shelf.clear(&digest(4));
        assert_eq!(there(&shelf), [9]);
    }

    #[test]
    fn what_has_no_room_has_it_alone_and_a_large_one_counts_for_what_it_touches() {
        let shelf = Shelf::new(2 * MOST_EACH);
        for name in [1, 2, 3] {
            shelf.put(&digest(name), 10 * MOST_EACH, Arc::new(name));
        }
        assert_eq!(there(&shelf), [2, 3]);
        let small = Shelf::new(1);
        for name in [1, 2] {
            small.put(&digest(name), 100, Arc::new(name));
        }
        assert_eq!(there(&small), [2]);
    }
}

//! Records on one thread; `models` has them on several.

use crate::arena::{Arena, Hot, NEAR};
use crate::flows::MAX_FLOWS;
use flow::clock::Time;
use flow::dp::Hits;

#[test]
fn a_record_is_two_lines_with_the_near_words_in_the_first() {
    assert_eq!((size_of::<Hot>(), align_of::<Hot>()), (128, 128));
    assert_eq!(std::mem::offset_of!(Hot, words) + 8 * NEAR, 64);
}

#[test]
fn the_end_of_an_old_flow_does_not_end_the_next_one() {
    let arena = Arena::new();
    let (old, new) = (5, 1 << 18 | 5);
    let hits = Hits { packets: 3, bytes: 180, used: Time(7) };
    arena.begin(old, &hits);
    assert_eq!((arena.get(5).unwrap().mark(), arena.hits(old)), (old, hits));
    arena.end(old);
    assert_eq!((arena.get(5).unwrap().mark(), arena.hits(old)), (0, hits));
    arena.begin(new, &Hits::default());
    arena.end(old);
    assert_eq!((arena.get(5).unwrap().mark(), arena.hits(new)), (new, Hits::default()));
    assert!(arena.get(MAX_FLOWS + 5000).is_none());
}

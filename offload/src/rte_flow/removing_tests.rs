//! The order of calls in which rules go, and what is left when a device resists.

use super::tests::{Bench, LAST};
use crate::backend::{Counters, DeviceErrorKind, Done, Op, RuleKey};
use rte_flow_rs::Errno;
use std::sync::Arc;

const NO_SHARED: (&str, Errno) = ("action_create", Errno::ENOTSUP);

/// With a rule in it that counts by itself.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.api.refuse(&[NO_SHARED]);
    assert_eq!(bench.insert(), Ok(Done::Inserted));
    bench.api.calls();
    bench
}

const fn gone(last: Option<Counters>, exact: bool) -> Result<Done, DeviceErrorKind> {
    Ok(Done::Removed { last, exact })
}

#[test]
fn a_counter_that_ends_with_its_rule_stands_still_when_it_is_read() {
    let mut bench = bench();
    assert_eq!(bench.remove(), gone(LAST, true));
    assert_eq!(bench.api.calls(), ["create above", "query_count", "destroy", "destroy above"]);
    assert_eq!(bench.insert(), Ok(Done::Inserted));
    assert_eq!(bench.api.calls(), ["create"], "neither proxy nor shared counter is asked for again");
}

#[test]
fn a_device_without_room_for_it_or_without_such_rules_may_lose_some() {
    let mut bench = bench();
    bench.api.refuse(&[("create above", Errno::ENOSPC)]);
    assert_eq!(bench.remove(), gone(LAST, false));
    assert_eq!(bench.api.calls(), ["create above", "query_count", "destroy"]);
    bench.insert().unwrap();
    bench.api.refuse(&[("create above", Errno::ENOTSUP)]);
    assert_eq!(bench.remove(), gone(LAST, false));
    bench.api.refuse(&[]);
    bench.insert().unwrap();
    bench.api.calls();
    assert_eq!(bench.remove(), gone(LAST, false));
    assert_eq!(bench.api.calls(), ["query_count", "destroy"], "it is not asked again for what it cannot do");
}

#[test]
fn where_a_rule_of_the_same_packets_is_above_it_none_is_needed() {
    let mut bench = bench();
    bench.api.refuse(&[("create above", Errno::EEXIST)]);
    assert_eq!(bench.remove(), gone(LAST, true));
    assert_eq!(bench.api.calls(), ["create above", "query_count", "destroy"]);
}

#[test]
fn what_is_busy_is_waited_for_and_packets_go_by_the_rule_meanwhile() {
    for (busy, calls) in [
        ("create above", &["create above"][..]),
        ("query_count", &["create above", "query_count", "destroy above"]),
        ("destroy", &["create above", "query_count", "destroy", "destroy above"]),
    ] {
        let mut bench = bench();
        bench.api.refuse(&[(busy, Errno::EAGAIN)]);
        assert_eq!(bench.remove(), Err(DeviceErrorKind::Busy));
        assert_eq!(bench.api.calls(), calls);
        bench.api.refuse(&[]);
        assert_eq!(bench.remove(), gone(LAST, true));
    }
    // A reading that never comes keeps no rule in.
    let mut bench = bench();
    bench.api.refuse(&[("query_count", Errno::ENOTSUP)]);
    assert_eq!(bench.remove(), gone(None, false));
}

#[test]
fn a_rule_above_that_stays_is_taken_out_with_the_next_operation() {
    let mut bench = bench();
    bench.api.refuse(&[("destroy above", Errno::EBUSY)]);
    assert_eq!(bench.remove(), gone(LAST, true));
    bench.api.calls();
    bench.insert().unwrap();
    assert_eq!(bench.api.calls(), ["destroy above", "create"]);
    bench.api.refuse(&[]);
    bench.remove().unwrap();
    assert_eq!(bench.api.calls(), ["destroy above", "create above", "query_count", "destroy", "destroy above"]);
    bench.insert().unwrap();
    assert_eq!(bench.api.calls(), ["create"]);
}

#[test]
fn an_update_whose_old_rule_stays_leaves_no_new_one() {
    let mut bench = Bench::new();
    bench.insert().unwrap();
    bench.api.refuse(&[("destroy", Errno::EBUSY)]);
    let update = |id| Op::Update { id, old: RuleKey(1), new: RuleKey(2), rule: Arc::clone(&Bench::rule()) };
    bench.api.calls();
    assert_eq!(bench.run(update), Err(DeviceErrorKind::Busy));
    assert_eq!(bench.api.calls(), ["action_create", "create", "destroy", "destroy", "action_destroy"]);
    assert_eq!(bench.run(|id| Op::Query { id, key: RuleKey(2) }), Err(DeviceErrorKind::NotFound));
    bench.api.refuse(&[]);
    bench.api.calls();
    assert_eq!(bench.remove(), gone(LAST, true));
    assert_eq!(bench.api.calls(), ["destroy", "destroy", "action_query_count", "action_destroy"]);
}

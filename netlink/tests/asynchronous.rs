//! Workers and listeners: order, waiting, ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use netlink::{Error, Listener, Worker};

#[tokio::test(flavor = "current_thread")]
async fn jobs_run_in_order_and_do_not_hold_the_runtime() {
    let worker = Worker::spawn("test-worker", Vec::new()).unwrap();
    let slow = {
        let worker = worker.clone();
        async move {
            let job = |log: &mut Vec<u8>| {
                std::thread::sleep(Duration::from_millis(100));
                log.push(1);
                Ok(())
            };
            worker.run("slow", job).await
        }
    };
    let quick = worker.run("quick", |log| {
        log.push(2);
        Ok(log.clone())
    });
    let (mut ticks, began) = (0, Instant::now());
    let ticker = async {
        while began.elapsed() < Duration::from_millis(80) {
            tokio::time::sleep(Duration::from_millis(5)).await;
            ticks += 1;
        }
    };
    let (slow, quick, ()) = tokio::join!(slow, quick, ticker);
    slow.unwrap();
    assert_eq!(quick.unwrap(), [1, 2]);
    assert!(ticks >= 2, "the runtime was held: {ticks} ticks");
}

#[tokio::test(flavor = "current_thread")]
async fn a_worker_that_panicked_says_closed() {
    let worker = Worker::spawn("test-worker", ()).unwrap();
    let job = |(): &mut ()| -> netlink::Result<()> { panic!("for the test") };
    assert!(matches!(worker.run("boom", job).await, Err(Error::Closed { what }) if what == "boom"));
    assert!(matches!(worker.run("after", |()| Ok(())).await, Err(Error::Closed { .. })));
}

#[tokio::test(flavor = "current_thread")]
async fn events_arrive_in_order_and_an_error_is_the_last() {
    let mut n = 0;
    let mut listener = Listener::spawn("test-listener", move |_| {
        n += 1;
        match n {
            1..=5000 => Ok(Some(n)),
            5001 => Ok(None),
            _ => Err(Error::NotSent { what: "end".into() }),
        }
    })
    .unwrap();
    for want in 1..=5000 {
        assert_eq!(listener.next().await.unwrap().unwrap(), want);
    }
    assert!(listener.next().await.unwrap().is_err());
    assert!(listener.next().await.is_none());
}

#[test]
fn a_listener_that_nobody_reads_ends_and_does_not_spin() {
    let (ended, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let (flag, count) = (Flag(Arc::clone(&ended)), Arc::clone(&calls));
    let listener = Listener::<()>::spawn("test-listener", move |_| {
        let _flag = &flag;
        count.fetch_add(1, Ordering::SeqCst);
        Ok(None)
    })
    .unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert!(calls.load(Ordering::SeqCst) <= 20);
    drop(listener);
    let deadline = Instant::now() + Duration::from_secs(5);
    while !ended.load(Ordering::SeqCst) {
        assert!(Instant::now() < deadline, "the thread did not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

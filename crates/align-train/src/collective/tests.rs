use std::thread;

use super::*;
use crate::Error;

/// What each of so many ranks gets out of `work`.
fn on<T: Send>(count: usize, work: impl Fn(Ranks) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let handles: Vec<_> = threads(count).into_iter().map(|ranks| scope.spawn(|| work(ranks))).collect();
        handles.into_iter().map(|handle| handle.join().expect("a rank that panics fails the test")).collect()
    })
}

fn values(rank: usize, count: usize) -> Vec<f32> {
    (0..count).map(|i| ((rank * 31 + i * 7) as f32).sin() * 10f32.powi((i % 9) as i32 - 4)).collect()
}

#[test]
fn sums_are_added_in_the_order_of_ranks_to_the_bit() {
    for (ranks, count) in [(1, 3), (2, 0), (2, 1), (3, 1000), (5, 17), (8, 64)] {
        let expected: Vec<f32> = (0..count)
            .map(|i| (1..ranks).fold(values(0, count)[i], |sum, r| sum + values(r, count)[i]))
            .collect();
        for _ in 0..3 {
            let sums = on(ranks, |it| {
                let mut own = values(it.rank(), count);
                it.sum(&mut own).unwrap();
                own
            });
            for sum in sums {
                let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&sum), bits(&expected), "{ranks} ranks, {count} values");
            }
        }
    }
}

#[test]
fn all_get_what_each_brought_however_large_and_however_often() {
    let heard = on(4, |it| {
        (0..50).map(|round| it.each(vec![round as u8; it.rank() * 100]).unwrap()).collect::<Vec<_>>()
    });
    for of_rank in heard {
        for (round, all) in of_rank.into_iter().enumerate() {
            assert_eq!(all, (0..4).map(|rank| vec![round as u8; rank * 100]).collect::<Vec<_>>());
        }
    }
}

#[test]
fn numbers_arrive_as_they_were() {
    let sent = [0.1 + 0.2, -0.0, f64::MIN_POSITIVE, 1.0 / 3.0, 1e300];
    for all in on(2, |it| it.each(sent.to_vec()).unwrap()) {
        assert!(all.iter().all(|it| it.iter().zip(sent).all(|(a, b)| a.to_bits() == b.to_bits())));
    }
}

#[test]
fn the_failure_of_one_ends_the_call_on_all_and_is_said_once() {
    let ends = on(3, |it| {
        it.each(1).unwrap();
        let own = if it.rank() == 1 { Err(Error::stage("no space")) } else { Ok(7) };
        let end = it.agree(own).unwrap_err().to_string();
        // Nobody waits for anybody any more.
        it.fails(&"again");
        it.end().unwrap();
        end
    });
    assert_eq!(ends, ["rank 1: no space", "no space", "rank 1: no space"]);
}

#[test]
fn a_failure_reaches_those_who_are_at_another_point() {
    let ends = on(2, |it| match it.rank() {
        0 => it.each(vec![1.5f64]).map(drop).unwrap_err().to_string(),
        _ => {
            it.fails(&"its file is gone");
            String::new()
        }
    });
    assert_eq!(ends[0], "rank 1: its file is gone");
}

#[test]
fn whoever_is_gone_is_named() {
    let ends = on(3, |it| if it.rank() == 2 { None } else { it.each(()).err().map(|e| e.to_string()) });
    assert_eq!(ends[0].as_deref(), Some("rank 2: is gone"));
    assert_eq!(ends[1].as_deref(), Some("rank 2: is gone"));
}

#[test]
fn pieces_are_dealt_and_all_have_all_in_their_order() {
    for pieces in 0..9 {
        let work = |piece: usize| Ok::<_, Error>(piece * piece);
        let all = on(3, |it| {
            let mut own = Vec::new();
            let all = it.dealt(pieces, |piece| work(piece).inspect(|_| own.push(piece))).unwrap();
            assert_eq!(own, (0..pieces).filter(|piece| it.has(*piece)).collect::<Vec<_>>());
            all
        });
        assert!(all.iter().all(|all| *all == (0..pieces).map(|piece| piece * piece).collect::<Vec<_>>()));
    }
    let failed = on(2, |it| {
        let work = |piece| if piece == 3 { Err(Error::stage("row 3")) } else { Ok(piece) };
        it.dealt(6, work).unwrap_err().to_string()
    });
    assert_eq!(failed, ["rank 1: row 3", "row 3"]);
}

#[test]
fn the_first_decides_and_works_before_the_others() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let done = AtomicUsize::new(0);
    let got = on(4, |it| {
        let decided = it.from_first(|| Ok::<_, Error>(it.rank() + 40)).unwrap();
        let order = it.after_first(|| Ok::<_, Error>(done.fetch_add(1, Ordering::SeqCst))).unwrap();
        (decided, order)
    });
    assert!(got.iter().all(|(decided, _)| *decided == 40));
    assert_eq!(got[0].1, 0);
    let failed = on(2, |it| it.from_first(|| Err::<u8, _>(Error::stage("full"))).unwrap_err().to_string());
    assert_eq!(failed, ["full", "rank 0: full"]);
    let failed = on(2, |it| it.after_first(|| Err::<u8, _>(Error::stage("full"))).unwrap_err().to_string());
    assert_eq!(failed, ["full", "rank 0: full"]);
}

//! Queues of both kinds, made; the database holds a removed job in free space, too.

use super::*;
use crate::parse::testing::{expect, parse, sample, torment};

#[test]
fn jobs_of_both_kinds_of_queue() {
    for name in ["qmgr0.dat", "qmgr.db"] {
        let kept = parse(&BitsQueue, &sample(&format!("bits_queue/{name}"))).unwrap();
        expect(&format!("bits_queue/{name}"), &kept.shown());
        assert!(kept.damage.is_empty(), "{:?}", kept.damage);
    }
}

#[test]
fn damaged_and_foreign() {
    let good = sample("bits_queue/qmgr0.dat");
    assert!(parse(&BitsQueue, b"").is_err());
    assert!(parse(&BitsQueue, &[0xff; 200]).is_err());
    let cut = good.len() * 2 / 3;
    assert!(!parse(&BitsQueue, &good[..cut]).unwrap().records.is_empty());
    torment(&BitsQueue, &good, 300);
    torment(&BitsQueue, &sample("bits_queue/qmgr.db"), 100);
}

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn id(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn plain(names: &[&str]) -> Ring {
    let members = names.iter().enumerate().map(|(i, name)| (MemberIndex(i as u16), id(name), Placed::default()));
    Ring::new(1024, 2, members).unwrap()
}

fn walk(ring: &Ring, key: &str) -> Vec<u16> {
    ring.walk(Token::of_key(key.as_bytes())).map(|m| m.0).collect()
}

#[test]
fn the_walks_are_those_of_the_contract() {
    let ring = plain(&["redis-0", "redis-1", "redis-2", "redis-3"]);
    assert_eq!(Token::of_key(b"user:1"), Token(167021740));
    assert_eq!(walk(&ring, "user:1"), [1, 3, 0, 2]);
    assert_eq!(Token::of_key(b"user:2"), Token(1495571331));
    assert_eq!(walk(&ring, "user:2"), [3, 2, 1, 0]);
}

#[test]
fn ids_with_equal_crc32_are_refused() {
    // The best-known collision of CRC32.
    let members = ["plumless", "buckeroo"].map(|name| (MemberIndex(0), id(name), Placed::default()));
    let error = Ring::new(16, 2, members).unwrap_err();
    assert!(error.to_string().contains("\"buckeroo\" and \"plumless\" have the same CRC32"), "{error}");
}

#[test]
fn a_ring_without_points_has_no_owners() {
    let none = Ring::new(1024, 2, []).unwrap();
    assert_eq!(none.owners(Token(7)), []);
    assert_eq!(none.ranges(), []);
    assert_eq!(none.walk(Token(7)).count(), 0);
    let idle = Ring::new(1024, 2, [(MemberIndex(0), id("a"), Placed { weight: Weight(0), zone: None })]).unwrap();
    assert_eq!((idle.copies(), idle.points()), (0, 0));
    assert_eq!(idle.shares(), [(MemberIndex(0), Share::default())]);
}

#[test]
fn points_follow_the_weight() {
    let points = |w| Weight(w).points(1024);
    assert_eq!([points(0), points(1), points(50), points(100), points(250)], [0, 10, 512, 1024, 2560]);
    assert_eq!(Weight(1).points(1), 1);
}

#[test]
fn limits_are_errors() {
    assert_eq!(Ring::new(1024, 0, []).unwrap_err(), PlacementError::Copies(0));
    let heavy = (MemberIndex(0), id("a"), Placed { weight: Weight(u32::MAX), zone: None });
    assert!(matches!(Ring::new(u32::MAX, 2, [heavy]), Err(PlacementError::TooManyPoints(_))));
}

#[test]
fn shares_stay_within_the_stated_balance() {
    // The contract states worst/mean 1.065 at 10 members and 1.09 at 100 for its own naming.
    for (members, bound) in [(10, 1.065), (100, 1.09)] {
        let names: Vec<String> = (0..members).map(|i| format!("redis-{i}")).collect();
        let ring = plain(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let worst = ring.shares().iter().map(|(_, s)| s.primary).fold(0.0, f64::max) * f64::from(members);
        assert!(worst <= bound + 0.005, "{members} members: {worst}");
        let total: f64 = ring.shares().iter().map(|(_, s)| s.all).sum();
        assert!((total - 2.0).abs() < 1e-6, "{total}");
    }
}

/// The contract's text, word for word and slow: walk clockwise, and take for each further copy the next member
/// whose zone differs from all owners so far, where one exists, otherwise simply the next.
fn owners_by_the_book(members: &BTreeMap<NodeId, Placed>, vnodes: u32, copies: usize, token: Token) -> Vec<NodeId> {
    let mut points: Vec<(u32, &NodeId)> = Vec::new();
    for (id, placed) in members {
        let crc = crc32(id.as_str().as_bytes());
        points.extend((0..placed.weight.points(vnodes)).map(|i| (point(crc, i as u32).0, id)));
    }
    points.sort();
    let first = points.iter().position(|(t, _)| *t >= token.0).unwrap_or(0);
    points.rotate_left(first);
    let mut walk: Vec<&NodeId> = Vec::new();
    for (_, id) in points {
        if !walk.contains(&id) {
            walk.push(id);
        }
    }
    let mut owners: Vec<&NodeId> = Vec::new();
    while owners.len() < copies.min(walk.len()) {
        let free = |id: &&&NodeId| !owners.contains(*id);
        let elsewhere = |id: &&&NodeId| {
            let zone = &members[**id].zone;
            zone.is_none() || owners.iter().all(|o| members[*o].zone != *zone)
        };
        let next = walk.iter().filter(free).find(elsewhere).or_else(|| walk.iter().find(free)).unwrap();
        owners.push(next);
    }
    owners.into_iter().cloned().collect()
}

fn members() -> impl Strategy<Value = BTreeMap<NodeId, Placed>> {
    let weight = prop_oneof![Just(0), Just(100), 1..300_u32];
    let zone = prop_oneof![Just(None), (0..4_u8).prop_map(|z| Some(Zone::new(&format!("z{z}")).unwrap()))];
    let name = "[a-z]{1,3}-[0-9]{1,3}".prop_map(|s| id(&s));
    prop::collection::btree_map(name, (weight, zone), 1..9)
        .prop_map(|m| m.into_iter().map(|(id, (weight, zone))| (id, Placed { weight: Weight(weight), zone })).collect())
}

/// Builds a ring whose member indices are the ranks in `names`, which outlive additions and removals.
fn build(members: &BTreeMap<NodeId, Placed>, names: &[NodeId], vnodes: u32, copies: u32) -> Ring {
    let index = |id: &NodeId| MemberIndex(names.iter().position(|n| n == id).unwrap() as u16);
    Ring::new(vnodes, copies, members.iter().map(|(id, p)| (index(id), id.clone(), p.clone()))).unwrap()
}

proptest! {
    #[test]
    fn owners_are_those_of_the_book(m in members(), vnodes in 1..40_u32, copies in 1..5_u32,
            tokens in prop::collection::vec(any::<u32>(), 1..40)) {
        let names: Vec<NodeId> = m.keys().cloned().collect();
        let ring = build(&m, &names, vnodes, copies);
        // The edges are where a table of top bits goes wrong.
        let edges = ring.tokens.iter().flat_map(|t| [t.wrapping_sub(1), *t, t.wrapping_add(1)]).chain([0, u32::MAX]);
        for token in tokens.into_iter().chain(edges).map(Token) {
            let got: Vec<NodeId> = ring.owners(token).iter().map(|o| names[o.get()].clone()).collect();
            prop_assert_eq!(&got, &owners_by_the_book(&m, vnodes, copies as usize, token));
            let distinct: std::collections::BTreeSet<_> = got.iter().collect();
            prop_assert_eq!(distinct.len(), got.len());
            let zones = |id: &NodeId| m[id].zone.clone();
            let placed = |id: &&NodeId| m[*id].weight.points(vnodes) > 0;
            if got.len() > 1 && zones(&got[0]).is_some() && zones(&got[0]) == zones(&got[1]) {
                prop_assert!(m.keys().filter(placed).all(|id| zones(id) == zones(&got[0])), "a free zone was not used");
            }
        }
    }

    #[test]
    fn a_change_moves_keys_only_to_or_from_the_member_changed(m in members(), who in any::<prop::sample::Index>(),
            tokens in prop::collection::vec(any::<u32>(), 1..60)) {
        // Without zones: a zone rule may well choose another replica when a zone appears.
        let large: BTreeMap<_, _> = m.into_iter().map(|(id, p)| (id, Placed { zone: None, ..p })).collect();
        let names: Vec<NodeId> = large.keys().cloned().collect();
        let changed = who.get(&names).clone();
        let mut small = large.clone();
        small.remove(&changed);
        let (with, without) = (build(&large, &names, 64, 2), build(&small, &names, 64, 2));
        let index = MemberIndex(names.iter().position(|n| *n == changed).unwrap() as u16);
        for token in tokens.into_iter().map(Token) {
            let (with, without) = (with.owners(token), without.owners(token));
            for owner in with {
                prop_assert!(without.contains(owner) || *owner == index);
            }
            if !with.contains(&index) {
                prop_assert_eq!(with, without);
            }
        }
    }

    #[test]
    fn ranges_cover_every_token_once_with_its_owners(m in members(), vnodes in 1..20_u32) {
        let names: Vec<NodeId> = m.keys().cloned().collect();
        let ring = build(&m, &names, vnodes, 2);
        let ranges = ring.ranges();
        prop_assert_eq!(ranges.is_empty(), ring.copies() == 0);
        let mut next = 0_u64;
        for range in &ranges {
            prop_assert_eq!(u64::from(range.first.0), next);
            prop_assert_eq!(range.owners, ring.owners(range.first));
            prop_assert_eq!(range.owners, ring.owners(range.last));
            next = u64::from(range.last.0) + 1;
        }
        prop_assert!(ranges.is_empty() || next == 1 << 32);
    }
}

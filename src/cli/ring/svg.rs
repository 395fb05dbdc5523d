//! The ring as a drawing.

use std::f64::consts::TAU;
use std::fmt::Write as _;

use crate::cli::human::percent;
use crate::placement::{MemberIndex, State, Token, Topology};

const SIZE: f64 = 760.0;
const CENTRE: f64 = SIZE / 2.0;
/// The band of the primaries; each further copy has one inside it.
const OUTER: f64 = 340.0;
const BAND: f64 = 56.0;
const GAP: f64 = 6.0;
const LEGEND: f64 = 400.0;
const ROW: f64 = 30.0;
/// Beyond this many arcs a band is finer than any screen: then it is sampled, or the file would have no bounds.
const MOST_ARCS: usize = 16_384;
/// How much is left of the colour of a member that is not up.
const PALE: f64 = 0.2;
/// Bands that are drawn; the ring may keep more copies.
const MOST_BANDS: usize = 4;

/// Tokens go clockwise from the top. The outer band is who is the primary of a token, the bands inside it are who has
/// the further copies. A member that is not up is drawn pale, and hatched in the legend.
pub(in crate::cli) fn draw(topology: &Topology, url: &str) -> String {
    let members = topology.members();
    let ring = topology.serving();
    let bands = ring.copies().min(MOST_BANDS);
    let height = SIZE.max(150.0 + ROW * ring.members().len() as f64);
    let width = SIZE + LEGEND;
    let mut svg = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="system-ui, 'Helvetica Neue', Arial, sans-serif">
<title>{title}</title>
<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="3" height="6" fill="#fff" fill-opacity="0.75"/></pattern></defs>
<rect width="100%" height="100%" fill="#fff"/>
"##,
        title = escaped(url),
    );
    for band in 0..bands {
        let outer = OUTER - band as f64 * (BAND + GAP);
        let paths = arcs(topology, band, outer, outer - BAND);
        for (index, path) in paths.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
            let member = &members[index];
            let fill = colour(index, members.len());
            // Pale, not hatched: at this scale a pattern is noise.
            let opacity = if member.state == State::Up { 1.0 } else { PALE };
            let _ = writeln!(
                svg,
                r#"<path fill="{fill}" fill-opacity="{opacity}" shape-rendering="crispEdges" d="{path}"><title>{}</title></path>"#,
                member.id
            );
        }
    }
    ticks(&mut svg);
    centre(&mut svg, topology);
    legend(&mut svg, topology, url, bands);
    svg.push_str("</svg>\n");
    svg
}

/// One path for each member: all its arcs of one band.
fn arcs(topology: &Topology, band: usize, outer: f64, inner: f64) -> Vec<String> {
    let mut paths = vec![String::new(); topology.members().len()];
    let mut add = |owner: Option<&MemberIndex>, from: f64, to: f64| {
        if let Some(path) = owner.and_then(|owner| paths.get_mut(owner.get())) {
            arc(path, from, to, outer, inner);
        }
    };
    let ring = topology.serving();
    let ranges = ring.ranges();
    // Neighbours may differ only in the other copies.
    let mut joined: Vec<(f64, f64, Option<&MemberIndex>)> = Vec::new();
    if ranges.len() <= MOST_ARCS {
        for range in &ranges {
            let (from, to) =
                (f64::from(range.first.0) / 2_f64.powi(32), (f64::from(range.last.0) + 1.0) / 2_f64.powi(32));
            match joined.last_mut() {
                Some(last) if last.2 == range.owners.get(band) => last.1 = to,
                _ => joined.push((from, to, range.owners.get(band))),
            }
        }
    } else {
        for at in 0..MOST_ARCS {
            let (from, to) = (at as f64 / MOST_ARCS as f64, (at + 1) as f64 / MOST_ARCS as f64);
            let token = Token(((from + to) / 2.0 * 2_f64.powi(32)) as u32);
            let owner = ring.owners(token).get(band);
            match joined.last_mut() {
                Some(last) if last.2 == owner => last.1 = to,
                _ => joined.push((from, to, owner)),
            }
        }
    }
    for (from, to, owner) in joined {
        // An arc whose ends coincide would not be drawn: a band of one member is two halves.
        if to - from > 0.5 {
            let middle = (from + to) / 2.0;
            add(owner, from, middle);
            add(owner, middle, to);
        } else {
            add(owner, from, to);
        }
    }
    paths
}

/// A piece of a band; both ends are parts of the whole turn.
fn arc(path: &mut String, from: f64, to: f64, outer: f64, inner: f64) {
    let at = |turn: f64, radius: f64| {
        let (sin, cos) = (turn * TAU).sin_cos();
        (CENTRE + radius * sin, CENTRE - radius * cos)
    };
    let large = i32::from(to - from > 0.5);
    let ((ax, ay), (bx, by)) = (at(from, outer), at(to, outer));
    let ((cx, cy), (dx, dy)) = (at(to, inner), at(from, inner));
    let _ = write!(
        path,
        "M{ax:.2} {ay:.2}A{outer} {outer} 0 {large} 1 {bx:.2} {by:.2}L{cx:.2} {cy:.2}A{inner} {inner} 0 {large} 0 {dx:.2} {dy:.2}Z"
    );
}

/// Where the tokens 0, 2^30, 2^31 and 3·2^30 are.
fn ticks(svg: &mut String) {
    for (turn, label, anchor) in
        [(0.0, "0", "middle"), (0.25, "2³⁰", "start"), (0.5, "2³¹", "middle"), (0.75, "3·2³⁰", "end")]
    {
        let (sin, cos) = (turn * TAU).sin_cos();
        let (x, y) = (CENTRE + OUTER * sin, CENTRE - OUTER * cos);
        let (x2, y2) = (CENTRE + (OUTER + 8.0) * sin, CENTRE - (OUTER + 8.0) * cos);
        let (tx, ty) = match label {
            "0" => (x2, y2 - 4.0),
            "2³¹" => (x2, y2 + 15.0),
            _ => (x2, y2 - 4.0),
        };
        let _ = writeln!(
            svg,
            r##"<path d="M{x:.1} {y:.1}L{x2:.1} {y2:.1}" stroke="#888"/><text x="{tx:.1}" y="{ty:.1}" text-anchor="{anchor}" font-size="12" fill="#666">{label}</text>"##
        );
    }
}

fn centre(svg: &mut String, topology: &Topology) {
    let ring = topology.serving();
    let up = ring.members().filter(|(index, _, _)| topology.member(*index).state == State::Up).count();
    let lines = [
        (28, format!("{} of {} up", up, ring.members().len())),
        (15, format!("{} points · {} copies", ring.points(), ring.copies())),
        (15, format!("step {} · epoch {} · {}", topology.step(), topology.epoch(), topology.phase())),
        (13, topology.fingerprint().to_string()),
    ];
    let mut y = CENTRE - 30.0;
    for (size, text) in lines {
        let fill = if size > 20 { "#222" } else { "#666" };
        let _ = writeln!(
            svg,
            r#"<text x="{CENTRE}" y="{y}" text-anchor="middle" font-size="{size}" fill="{fill}">{}</text>"#,
            escaped(&text)
        );
        y += 26.0;
    }
}

fn legend(svg: &mut String, topology: &Topology, url: &str, bands: usize) {
    let ring = topology.serving();
    let members = topology.members();
    let shares = topology.shares();
    let x = SIZE + 10.0;
    let sampled = if ring.points() > MOST_ARCS { "; sampled" } else { "" };
    let below = match bands {
        0 | 1 => format!("the band is the primary of each token{sampled}"),
        _ => format!("outer band: primary; inside it: the further copies{sampled}"),
    };
    let _ = writeln!(
        svg,
        r##"<text x="{x}" y="46" font-size="15" font-weight="600" fill="#222">{}</text>
<text x="{x}" y="68" font-size="12" fill="#666">{}</text>
<text x="{bar}" y="98" font-size="11" fill="#888">share as primary</text>"##,
        escaped(&shortened(url)),
        escaped(&below),
        bar = x + 170.0,
    );
    let largest = ring.members().map(|(index, _, _)| shares[index.get()].primary).fold(f64::EPSILON, f64::max);
    for (row, (index, id, placed)) in ring.members().enumerate() {
        let y = 110.0 + row as f64 * ROW;
        let member = topology.member(index);
        let share = shares[index.get()];
        let fill = colour(index.get(), members.len());
        let bar = 130.0 * share.primary / largest;
        let zone = placed.zone.as_ref().map(|zone| format!("zone {zone}"));
        let state = (member.state != State::Up).then(|| member.state.to_string());
        let detail: Vec<String> = state.into_iter().chain(zone).collect();
        let _ = write!(
            svg,
            r##"<rect x="{x}" y="{y}" width="16" height="16" rx="3" fill="{fill}"/><text x="{tx}" y="{ty}" font-size="14" fill="#222">{id} <tspan font-size="11" fill="#888">{detail}</tspan></text><rect x="{bx}" y="{by}" width="{bar:.1}" height="10" rx="2" fill="{fill}"/><text x="{px:.1}" y="{ty}" font-size="12" fill="#444">{percent}</text>"##,
            tx = x + 24.0,
            ty = y + 13.0,
            id = escaped(&shortened_to(id.as_str(), 14)),
            detail = escaped(&detail.join(", ")),
            bx = x + 170.0,
            by = y + 3.0,
            px = x + 170.0 + bar + 6.0,
            percent = percent(share.primary),
        );
        if member.state != State::Up {
            let _ = write!(
                svg,
                r##"<rect x="{x}" y="{y}" width="16" height="16" rx="3" fill="url(#hatch)"/><rect x="{bx}" y="{by}" width="{bar:.1}" height="10" fill="url(#hatch)"/>"##,
                bx = x + 170.0,
                by = y + 3.0,
            );
        }
        svg.push('\n');
    }
}

/// Colours that are told apart side by side (Tableau 10), red last, since it reads as trouble. Beyond them hues evenly apart, every other one darker.
const PALETTE: [&str; 10] =
    ["#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#76b7b2", "#edc948", "#9c755f", "#ff9da7", "#bab0ac", "#e15759"];

fn colour(index: usize, members: usize) -> String {
    if members <= PALETTE.len() {
        return PALETTE[index % PALETTE.len()].to_owned();
    }
    let hue = 360.0 * index as f64 / members as f64;
    let light: f64 = if index % 2 == 1 { 0.40 } else { 0.56 };
    // Written as hexadecimal, since not every program that shows SVG knows hsl(). The formula is CSS Color 4's.
    let channel = |n: f64| {
        let k = (n + hue / 30.0) % 12.0;
        let value = light - 0.58 * light.min(1.0 - light) * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0);
        (value * 255.0).round() as u8
    };
    format!("#{:02x}{:02x}{:02x}", channel(0.0), channel(8.0), channel(4.0))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn shortened(url: &str) -> String {
    shortened_to(url, 44)
}

fn shortened_to(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most - 1).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::placement::{Config, Epoch, NodeId, Parts, Phase, Placed, Step};

    fn topology(members: usize) -> Topology {
        let ids: Vec<NodeId> = (0..members).map(|n| NodeId::new(&format!("redis-{n}")).unwrap()).collect();
        Topology::new(Parts {
            config: Config::default(),
            epoch: Epoch(0),
            step: Step(1),
            phase: Phase::Still,
            serving: ids.into_iter().map(|id| (id, Placed::default())).collect(),
            next: BTreeMap::new(),
            old: BTreeMap::new(),
            copies_next: None,
            copies_old: None,
            members: BTreeMap::new(),
        })
        .unwrap()
    }

    #[test]
    fn a_drawing_has_a_path_for_each_member_and_copy_and_is_well_formed_enough() {
        let svg = draw(&topology(3), "zk://h:1/<ring>");
        for member in 0..3 {
            assert_eq!(svg.matches(&format!("<title>redis-{member}</title>")).count(), 2);
        }
        assert!(svg.contains("zk://h:1/&lt;ring&gt;"));
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }

    #[test]
    fn a_huge_ring_is_sampled_so_that_its_file_has_bounds() {
        assert!(draw(&topology(60), "x").len() < 4 << 20);
        assert!(draw(&topology(60), "x").contains("sampled"));
    }

    #[test]
    fn a_ring_of_one_is_a_whole_circle() {
        let svg = draw(&topology(1), "x");
        assert_eq!(svg.matches("<title>redis-0</title>").count(), 1);
        let path = svg.lines().find(|line| line.contains("<title>redis-0")).unwrap();
        assert_eq!(path.matches('Z').count(), 2, "two halves");
    }
}

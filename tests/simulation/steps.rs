//! What happens, step by step: drawn from a seed beforehand, so that a step can be left out.

use fastrand::Rng;

use super::tree::{Breakage, Edit};
use super::truth::{Change, NAMES, Place};
use super::weather::{Answer, Blow, Moment, Weather};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Change(usize, Change),
    Edit(Edit),
    /// The clock goes on, or back, by minutes.
    Clock(i64),
    Turn(usize, Weather),
    /// Everybody has a turn at the same time, one customer in this weather.
    Round(usize, Weather),
    /// Turns while nothing changes: the last of them writes nothing.
    Again(usize),
    /// Somebody approves what is held.
    Approve(usize),
    /// Deliveries, to destinations that answer so; something may happen to the register.
    Deliver(Mood, Option<(u32, Blow)>),
    Restart,
    /// The operator allows so many removals within an hour.
    Operator(u64),
}

/// How destinations answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Takes,
    Refuses,
    /// Takes it, and the answer is lost.
    SaysNothing,
    Panics,
    /// Every other one fails.
    Wavers,
}

/// Draws the steps of a seed.
pub(super) fn steps(seed: u64) -> Vec<Step> {
    let mut random = Rng::with_seed(seed);
    // Mostly everybody begins well; else the very first turn may fail as well.
    let mut steps = if chance(&mut random, 80) { vec![Step::Round(0, Weather::FINE)] } else { Vec::new() };
    let count = random.usize(60..90);
    while steps.len() < count {
        step(&mut random, &mut steps);
    }
    steps
}

fn step(random: &mut Rng, steps: &mut Vec<Step>) {
    let customer = random.usize(..NAMES.len());
    match random.u32(..100) {
        0..34 => steps.push(Step::Turn(customer, weather(random))),
        // Somebody changes, and a turn sees it: most of what can go wrong needs both.
        34..60 => {
            let change = change(random);
            steps.extend([Step::Change(customer, change), Step::Turn(customer, weather(random))]);
        }
        60..66 => steps.push(Step::Round(customer, weather(random))),
        66..73 => steps.push(Step::Edit(edit(random))),
        73..78 => steps.push(Step::Clock(clock(random))),
        78..82 => steps.push(Step::Again(customer)),
        82..86 => {
            let confirming = if chance(random, 40) { failing(random) } else { Answer::Truth };
            let next = Step::Turn(customer, Weather { confirming, ..Weather::FINE });
            steps.extend([Step::Turn(customer, Weather::FINE), Step::Approve(customer), next]);
        }
        86..93 => steps.push(Step::Deliver(mood(random), chance(random, 30).then(|| blow(random, 6)))),
        93..96 => steps.push(Step::Restart),
        96 => steps.push(Step::Operator([3, 6, 6, 50][random.usize(..4)])),
        97 => leaving(random, customer, steps),
        98 => hiding(random, steps),
        _ => match random.bool() {
            true => protecting(random, customer, steps),
            false => going_twice(random, customer, steps),
        },
    }
}

/// Somebody is hired and at once looked for at a server that has not heard of them, and the like: what
/// chance alone finds too seldom.
fn leaving(random: &mut Rng, customer: usize, steps: &mut Vec<Step>) {
    let fine = |second_server| Weather { second_server, ..Weather::FINE };
    let stale = Weather { directory: Answer::Stale, ..Weather::FINE };
    let first = Weather { blow: chance(random, 60).then(|| blow_at_writing(random)), ..fine(true) };
    steps.extend([
        Step::Turn(customer, fine(false)),
        Step::Change(customer, Change::Hire),
        Step::Turn(customer, first),
        Step::Turn(customer, stale),
        Step::Turn(customer, fine(random.bool())),
    ]);
}

/// Somebody is protected, perhaps has another name from then on, and leaves.
fn protecting(random: &mut Rng, customer: usize, steps: &mut Vec<Step>) {
    let who = random.u32(..9);
    let index = u32::try_from(customer).unwrap_or_default();
    steps.extend([Step::Edit(Edit::Protect(index, who, random.bool())), Step::Turn(customer, Weather::FINE)]);
    if random.bool() {
        steps.extend([Step::Change(customer, Change::Rename(who)), Step::Turn(customer, Weather::FINE)]);
    }
    let leaves = [Change::Unlicence(who), Change::BlockUser(who)][random.usize(..2)];
    steps.extend([
        Step::Change(customer, leaves),
        Step::Turn(customer, weather(random)),
        Step::Again(customer),
    ]);
}

/// Somebody leaves the selected group while it hides its members.
fn hiding(random: &mut Rng, steps: &mut Vec<Step>) {
    let customer = [1, 3][random.usize(..2)];
    steps.extend([
        Step::Change(customer, Change::HideGroup),
        Step::Change(customer, Change::Leave(random.u32(..24))),
        Step::Turn(customer, Weather::FINE),
        Step::Change(customer, Change::ShowGroup),
        Step::Turn(customer, weather(random)),
    ]);
}

/// People leave, with an approval, come back, and leave again while its line still stands in the file.
fn going_twice(random: &mut Rng, customer: usize, steps: &mut Vec<Step>) {
    let turn = Step::Turn(customer, Weather::FINE);
    let exodus = Step::Change(customer, Change::Exodus(random.u32(4..8)));
    // Long enough for nobody to be said to come and go.
    let later = Step::Clock(random.i64(6_000..9_000));
    let back = Step::Change(customer, Change::ComeBack);
    steps.extend([turn, exodus, turn, Step::Approve(customer), turn, back, turn, later, exodus, turn]);
}

fn chance(random: &mut Rng, percent: u32) -> bool {
    random.u32(..100) < percent
}

fn clock(random: &mut Rng) -> i64 {
    match random.u32(..10) {
        0 => -random.i64(1..600),
        1 => -random.i64(600..3_000),
        2 | 3 => random.i64(1_440..6_000),
        4 => random.i64(6_000..50_000),
        _ => random.i64(10..1_500),
    }
}

fn mood(random: &mut Rng) -> Mood {
    [Mood::Takes, Mood::Refuses, Mood::SaysNothing, Mood::Panics, Mood::Wavers][random.usize(..5)]
}

fn blow(random: &mut Rng, calls: u32) -> (u32, Blow) {
    let blow = [Blow::Before, Blow::After, Blow::DiesBefore, Blow::DiesAfter][random.usize(..4)];
    (random.u32(..calls), blow)
}

/// The first call of a turn asks for the register, the next one mostly writes.
fn blow_at_writing(random: &mut Rng) -> (u32, Blow) {
    let (number, blow) = blow(random, 8);
    (if chance(random, 50) { 1 } else { number }, blow)
}

fn answer(random: &mut Rng) -> Answer {
    match random.u32(..12) {
        0 => Answer::Unavailable,
        1 => Answer::Unauthorised,
        2 => Answer::Throttled,
        3 | 4 => Answer::Incomplete,
        5 => Answer::Panic,
        6 if chance(random, 20) => Answer::Hang,
        7..=9 => Answer::Short(random.u32(..3)),
        _ => Answer::Stale,
    }
}

fn weather(random: &mut Rng) -> Weather {
    let mut weather = Weather { second_server: chance(random, 30), ..Weather::FINE };
    if chance(random, 45) {
        return weather;
    }
    for _ in 0..random.u32(1..3) {
        match random.u32(..20) {
            0..4 => weather.directory = answer(random),
            4..8 => weather.tenant = answer(random),
            8 => weather.groups = answer(random),
            9 | 10 => weather.confirming = failing(random),
            11 | 12 => weather.meanwhile = Some((moment(random), change(random))),
            13..16 => weather.blow = Some(blow_at_writing(random)),
            16 | 17 => weather.rival = true,
            18 => weather.old_tree = true,
            _ => weather.stopped = true,
        }
    }
    weather
}

/// Single people are not asked for in ways that lie: what is confirmed counts.
fn failing(random: &mut Rng) -> Answer {
    let answer = answer(random);
    if answer.fails() { answer } else { Answer::Unavailable }
}

fn moment(random: &mut Rng) -> Moment {
    [Moment::AfterDirectory, Moment::AfterTenant, Moment::AtConfirming][random.usize(..3)]
}

fn change(random: &mut Rng) -> Change {
    let who = random.u32(..24);
    match random.u32(..56) {
        0..3 => Change::Hire,
        3..9 => Change::Move(who, Place::ALL[random.usize(..5)]),
        9..11 => Change::Disable(who),
        11..13 => Change::Enable(who),
        13..16 => Change::Rename(who),
        16 => Change::Mail(who),
        17..19 => Change::Join(who),
        19..22 => Change::Leave(who),
        22 => Change::OptOut(who),
        23 => Change::OptIn(who),
        24 => Change::Promote(who),
        25 => Change::Demote(who),
        26..29 => Change::Licence(who),
        29..33 => Change::Unlicence(who),
        33 => Change::BlockUser(who),
        34 => Change::UnblockUser(who),
        35 => Change::Guest(who),
        36..38 => Change::DeleteUser(who),
        38..41 => Change::RemakeUser(who),
        41..43 => Change::Delete(who),
        43..45 => Change::Undelete(who),
        45..47 => Change::Remake(who),
        47 => Change::Twin(who),
        48 => Change::Untwin(who),
        49 | 50 => Change::Exodus(random.u32(3..12)),
        51 | 52 => Change::ComeBack,
        53 => Change::RenameGroup,
        54 => [Change::HideGroup, Change::ShowGroup][random.usize(..2)],
        _ => [Change::DeleteGroup, Change::RestoreGroup][random.usize(..2)],
    }
}

fn edit(random: &mut Rng) -> Edit {
    let which = random.u32(..6);
    let how = [Breakage::Word, Breakage::Syntax][random.usize(..2)];
    match random.u32(..30) {
        0 => Edit::RemovePolicy(which),
        1..3 => Edit::RestorePolicy(which),
        3 => Edit::BreakPolicy(which, how),
        4..6 => Edit::MendPolicy(which),
        6 => Edit::Narrow(which),
        7..9 => Edit::Widen(which),
        9 => Edit::Typo(which),
        10..12 => Edit::MendTypo(which),
        12..14 => Edit::Loosen(which),
        14 => Edit::Tighten(which),
        15..17 => Edit::Grace(which, random.bool()),
        17 => Edit::AllowEmpty(which, random.bool()),
        18 => Edit::RemoveCustomer(which),
        19..21 => Edit::RestoreCustomer(which),
        21 => Edit::BreakCustomer(which, how),
        22..24 => Edit::MendCustomer(which),
        24 => Edit::Suspend(which),
        25 => Edit::Resume(which),
        26..29 => Edit::Protect(which, random.u32(..24), random.bool()),
        _ => Edit::Unprotect(which),
    }
}

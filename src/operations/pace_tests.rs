//! Turns by a clock that is stepped from one thing that happens to the next.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::*;

/// Questions of one account, all of them due at once.
struct Crowd {
    turns: Turns,
    gap: u64,
    at_once: u64,
    /// How long the provider takes for an answer.
    answer: u64,
    now: u64,
    due: BinaryHeap<Reverse<(u64, usize, Due)>>,
    queue: VecDeque<(usize, Waiter)>,
    questions: Vec<Question>,
    ended: Vec<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Comes,
    GivesUp { came: u64 },
    IsAnswered,
}

struct Question {
    calls_left: u32,
    came: u64,
    place: Option<OwnedSemaphorePermit>,
}

impl Crowd {
    fn of(questions: usize, calls: u32, limits: Limits, answer: u64) -> Crowd {
        Crowd {
            turns: Turns::new(limits.calls_at_once),
            gap: u64::from(limits.call_gap_ms),
            at_once: u64::from(limits.calls_at_once),
            answer,
            now: 0,
            due: (0..questions).map(|who| Reverse((0, who, Due::Comes))).collect(),
            queue: VecDeque::new(),
            questions: (0..questions).map(|_| Question { calls_left: calls, came: 0, place: None }).collect(),
            ended: Vec::new(),
        }
    }

    /// When the last of them ends, unless that takes longer than a time.
    fn end(mut self, longest: u64) -> Option<u64> {
        while let Some(Reverse((now, who, due))) = self.due.pop() {
            self.now = now;
            if now > longest {
                return None;
            }
            match due {
                Due::Comes => self.comes(who),
                Due::GivesUp { came } => self.gives_up(who, came),
                Due::IsAnswered => self.is_answered(who),
            }
            self.let_in();
        }
        assert_eq!(self.ended.len(), self.questions.len());
        self.ended.into_iter().max()
    }

    fn comes(&mut self, who: usize) {
        match self.turns.come(self.now, self.gap) {
            Ok(waiter) => {
                self.queue.push_back((who, waiter));
                self.questions[who].came = self.now;
                let until = self.now + patience(self.gap);
                self.due.push(Reverse((until, who, Due::GivesUp { came: self.now })));
            }
            Err(again) => self.due.push(Reverse((self.now + again, who, Due::Comes))),
        }
    }

    fn gives_up(&mut self, who: usize, came: u64) {
        let question = &self.questions[who];
        if question.came != came || question.place.is_some() || question.calls_left == 0 {
            return;
        }
        self.queue.retain(|(other, _)| *other != who);
        let again = self.turns.send_away(self.now + patience(self.gap), self.now, self.gap);
        self.due.push(Reverse((self.now + again, who, Due::Comes)));
    }

    fn let_in(&mut self) {
        while let Ok(place) = Arc::clone(&self.turns.places).try_acquire_owned() {
            let Some((who, _)) = self.queue.pop_front() else { return };
            self.questions[who].place = Some(place);
            self.calls(who);
        }
    }

    fn calls(&mut self, who: usize) {
        let wait = self.turns.take(self.now, self.gap);
        assert!(wait <= self.gap * self.at_once, "once it is in, no call waits for long: {wait}");
        self.due.push(Reverse((self.now + wait + self.answer, who, Due::IsAnswered)));
    }

    fn is_answered(&mut self, who: usize) {
        let question = &mut self.questions[who];
        question.calls_left -= 1;
        if question.calls_left > 0 {
            return self.calls(who);
        }
        question.place = None;
        self.ended.push(self.now);
    }
}

fn limits(call_gap_ms: u32, calls_at_once: u32) -> Limits {
    Limits { call_gap_ms, calls_at_once, period_days: 0 }
}

#[test]
fn questions_that_are_due_at_once_end_as_fast_as_their_provider_allows() {
    for (gap, at_once) in [(1_000, 1), (5_000, 1), (500, 2), (200, 5)] {
        for calls in [1, 2, 3, 10] {
            for questions in [1, 2, 8, 200] {
                let crowd = Crowd::of(questions, calls, limits(gap, at_once), 150);
                let ideal = u64::from(gap) * u64::from(calls) * questions as u64;
                // Those at the end come again up to their patience after the one before them has ended.
                let longest = ideal + 4 * patience(u64::from(gap)) + ideal / 10;
                let case = format!("{questions} questions of {calls} calls, {gap} ms apart");
                let ended = crowd.end(100 * longest).unwrap_or_else(|| panic!("{case} never end"));
                assert!(ended <= longest, "{case} end after {ended} ms instead of {ideal}");
            }
        }
    }
}

#[test]
fn a_provider_that_is_slower_than_it_allows_is_asked_as_fast_as_it_answers() {
    const ANSWER: u64 = 4_000;
    let crowd = Crowd::of(30, 2, limits(1_000, 1), ANSWER);
    let ideal = 30 * 2 * ANSWER;
    let ended = crowd.end(100 * ideal).unwrap();
    assert!(ended <= ideal + ideal / 2, "{ended} ms instead of {ideal}");
}

#[test]
fn turns_are_apart_and_none_waits_for_long() {
    let mut turns = Turns::new(1);
    assert_eq!((turns.take(1_000, 1_000), turns.take(1_000, 1_000)), (0, 1_000));
    let mut come = |now| turns.come(now, 1_000);
    let waiting = [come(2_000), come(2_000)].map(Result::unwrap);
    let away = [come(2_000), come(2_000), come(2_000)].map(|sent| sent.err());
    assert_eq!(away, [Some(3_000), Some(4_000), Some(5_000)], "each comes again at a time of its own");
    drop(waiting);
    assert!(come(5_000).is_ok(), "who comes again when it was told is let in");
    assert_eq!(turns.take(60_000, 1_000), 0, "time that passed is not saved up");
    assert_eq!(turns.take(60_000, 1_000), 1_000);
}

#[test]
fn the_calls_of_a_question_are_apart() {
    let mut turns = Turns::new(1);
    assert_eq!([0, 300, 5_300].map(|now| turns.take(now, 5_000)), [0, 4_700, 4_700]);
    assert_eq!(turns.come(5_400, 5_000).err(), Some(9_600));
}

fn account(login: &str) -> Account {
    let credentials = [("login".to_owned(), kassir_providers::Secret::new(login))].into();
    Account { credentials, ..Account::default() }
}

#[tokio::test]
async fn each_account_has_its_own_turns() {
    let (pace, uniteller) = (Pace::new(), kassir_providers::by_slug("uniteller").unwrap());
    let limits = uniteller.about().limits;
    assert_eq!((limits.call_gap_ms, limits.calls_at_once), (5_000, 1));
    let mut place = None;
    pace.turn(&mut place, uniteller, &account("a")).await.unwrap();
    let key = key(uniteller, &account("a"));
    let waiter = pace.with(&key, limits, |turns, now| turns.come(now, 5_000)).unwrap();
    assert_eq!(waiter.places.available_permits(), 0);
    assert!(pace.turn(&mut None, uniteller, &account("a")).await.unwrap_err() > 5_000);
    pace.turn(&mut None, uniteller, &account("b")).await.unwrap();
    drop(place);
    assert_eq!(waiter.places.available_permits(), 1);
}

#[tokio::test]
async fn a_question_that_was_let_in_has_its_turns_whoever_waits() {
    let (pace, yookassa) = (Pace::new(), kassir_providers::by_slug("yookassa").unwrap());
    let limits = yookassa.about().limits;
    let gap = u64::from(limits.call_gap_ms);
    let mut place = None;
    pace.turn(&mut place, yookassa, &account("a")).await.unwrap();
    let key = key(yookassa, &account("a"));
    let come = || pace.with(&key, limits, |turns, now| turns.come(now, gap));
    let waiting: Vec<_> = std::iter::from_fn(|| come().ok()).take(100).collect();
    assert!((5..20).contains(&waiting.len()), "{}", waiting.len());
    pace.turn(&mut place, yookassa, &account("a")).await.unwrap();
}

/// A job is cut off when its lease ends: the calls of a question must not be far apart.
#[test]
fn no_call_waits_for_long() {
    for provider in kassir_providers::ALL {
        let about = provider.about();
        let longest = u64::from(about.limits.call_gap_ms) * u64::from(about.limits.calls_at_once);
        assert!(longest <= 5_000, "{}", about.slug);
    }
}

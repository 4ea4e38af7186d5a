//! Requests against an [`Authenticator`], with time as an argument.

use super::*;

/// bcrypt of cost 4, `$apr1$` and `{PLAIN}`, of `correct horse`, by htpasswd and openssl.
const BCRYPT: &str = "$2y$04$wuOo379YdpXF/JymI/Bl7.ld1qyzrz1fahzGlnq5ZI86g.UzJutjC";
const APR1: &str = "$apr1$S4Cq3Egq$qt6xLOQnl0fRqwhFFxaFw1";
const PLAIN: &str = "{PLAIN}correct horse";

fn users(users: &[(&str, &str)]) -> Vec<(String, Hash)> {
    users.iter().map(|(user, hash)| ((*user).to_owned(), Hash::parse(hash).unwrap())).collect()
}

fn authenticator() -> Authenticator {
    Authenticator::new(users(&[("prom", BCRYPT), ("old", APR1)]))
}

/// An authenticator as the server uses it, with one client at a time.
struct Door {
    authenticator: Authenticator,
    now: Instant,
}

impl Door {
    fn new(authenticator: Authenticator) -> Self {
        Self { authenticator, now: Instant::now() }
    }

    fn knock_at(&self, peer: &str, user: &str, password: &str) -> Result<Arc<str>, Reason> {
        let header = Credentials::new(user, password).as_http_header();
        let peer = (!peer.is_empty()).then(|| peer.parse().unwrap());
        match self.authenticator.check(Some(header.as_bytes()), peer, self.now) {
            Check::Allowed(user) => Ok(user),
            Check::Refused(reason) => Err(reason),
            Check::Verify(job) => self.authenticator.settle(job.run(), self.now),
        }
    }

    fn knock(&self, user: &str, password: &str) -> Result<Arc<str>, Reason> {
        self.knock_at("192.0.2.1", user, password)
    }

    fn hashes(&self) -> u64 {
        self.authenticator.counts.hashes.load(Ordering::Relaxed)
    }
}

fn wrong(user: &str) -> Result<Arc<str>, Reason> {
    Err(Reason::WrongPassword(user.into()))
}

fn right(user: &str) -> Result<Arc<str>, Reason> {
    Ok(user.into())
}

#[test]
fn right_and_wrong_cost_one_hash_each() {
    let door = Door::new(authenticator());
    for _ in 0..150 {
        assert_eq!(door.knock("prom", "correct horse"), right("prom"));
        assert_eq!(door.knock("prom", "wrong"), wrong("prom"));
        assert_eq!(door.knock("old", "correct horse"), right("old"));
        assert_eq!(door.knock("nobody", "correct horse"), Err(Reason::UnknownUser));
        assert_eq!(door.knock("Prom", "correct horse"), Err(Reason::UnknownUser));
    }
    assert_eq!(door.hashes(), 5);
    let counts = &door.authenticator.counts;
    assert_eq!(counts.successes.load(Ordering::Relaxed), 300);
    assert_eq!(
        counts.failures(),
        [
            ("busy", 0),
            ("malformed", 0),
            ("missing", 0),
            ("penalized", 0),
            ("unknown_user", 300),
            ("wrong_password", 150),
        ]
    );
}

/// An unknown user's password is held against the decoy: that it fits must not matter, cold or remembered.
#[test]
fn the_decoys_password_opens_nothing() {
    let door = Door::new(authenticator());
    for _ in 0..3 {
        assert_eq!(door.knock("nobody", "correct horse"), Err(Reason::UnknownUser));
        assert_eq!(door.knock("nobody", "fakepassword"), Err(Reason::UnknownUser));
        assert_eq!(door.knock("", ""), Err(Reason::UnknownUser));
    }
}

#[test]
fn user_and_password_are_kept_apart() {
    let door = Door::new(Authenticator::new(users(&[("a", "{PLAIN}bc"), ("ab", "{PLAIN}x")])));
    assert_eq!(door.knock("a", "bc"), right("a"));
    assert_eq!(door.knock("ab", "c"), wrong("ab"));
    assert_eq!(door.knock("a", "bc:"), wrong("a"));
    assert_eq!(door.knock("a:", "bc"), wrong("a"), "the first colon ends the user");
}

#[test]
fn headers() {
    let authenticator = authenticator();
    let check = |header: &[u8]| match authenticator.check(Some(header), None, Instant::now()) {
        Check::Verify(job) => authenticator.settle(job.run(), Instant::now()),
        Check::Allowed(user) => Ok(user),
        Check::Refused(reason) => Err(reason),
    };
    for header in ["Basic cHJvbTpjb3JyZWN0IGhvcnNl", "bAsIc cHJvbTpjb3JyZWN0IGhvcnNl"] {
        assert_eq!(check(header.as_bytes()), right("prom"), "{header}");
    }
    for header in [
        &b""[..],
        b"Basic",
        b"Basic ",
        b"Basic  cHJvbTpjb3JyZWN0IGhvcnNl",
        b"Basic cHJvbTpjb3JyZWN0IGhvcnNl ",
        b"Bearer cHJvbTpjb3JyZWN0IGhvcnNl",
        b"cHJvbTpjb3JyZWN0IGhvcnNl",
        b"Basic prom:correct",
        b"Basic cHJvbQ==",
        b"Basic cHJvbTr/",
        b"Basic \xff",
    ] {
        assert_eq!(check(header), Err(Reason::Malformed), "{}", header.escape_ascii());
    }
    let missing = authenticator.check(None, None, Instant::now());
    assert!(matches!(missing, Check::Refused(Reason::Missing)));
}

#[test]
fn without_users_nobody_comes_in() {
    let door = Door::new(Authenticator::new([]));
    assert_eq!(door.knock("prom", "correct horse"), Err(Reason::UnknownUser));
    assert_eq!(door.knock("", ""), Err(Reason::UnknownUser));
    assert_eq!(door.hashes(), 0);
    door.authenticator.reload(users(&[("prom", PLAIN)]));
    assert_eq!(door.knock("prom", "correct horse"), right("prom"));
}

#[test]
fn the_first_of_a_name_counts() {
    let door = Door::new(Authenticator::new(users(&[("prom", "{PLAIN}one"), ("prom", PLAIN)])));
    assert_eq!(door.knock("prom", "one"), right("prom"));
    assert_eq!(door.knock("prom", "correct horse"), wrong("prom"));
}

#[test]
fn a_reload_forgets_what_it_changes() {
    let door = Door::new(authenticator());
    let new = "{PLAIN}new";
    assert_eq!(door.knock("prom", "correct horse"), right("prom"));
    assert_eq!(door.knock("prom", "new"), wrong("prom"));
    door.authenticator.reload(users(&[("old", APR1), ("prom", BCRYPT)]));
    assert_eq!(door.authenticator.sizes().remembered_right, 1, "the same users, in other order");
    door.authenticator.reload(users(&[("prom", new), ("old", APR1)]));
    assert_eq!(door.authenticator.sizes().remembered_right, 0);
    assert_eq!(door.authenticator.sizes().remembered_wrong, 0);
    assert_eq!(door.knock("prom", "correct horse"), wrong("prom"));
    assert_eq!(door.knock("prom", "new"), right("prom"));
    door.authenticator.reload(users(&[("old", APR1)]));
    assert_eq!(door.knock("prom", "new"), Err(Reason::UnknownUser));
}

#[test]
fn a_reload_while_the_hash_is_computed() {
    let authenticator = authenticator();
    let now = Instant::now();
    let job = |password: &str| {
        let header = Credentials::new("prom", password).as_http_header();
        match authenticator.check(Some(header.as_bytes()), None, now) {
            Check::Verify(job) => job,
            other => panic!("{other:?}"),
        }
    };
    let (gone, stays) = (job("correct horse").run(), job("{PLAIN}"));
    authenticator.reload(users(&[("prom", "{PLAIN}new")]));
    assert_eq!(authenticator.settle(gone, now), wrong("prom"));
    assert_eq!(authenticator.settle(stays.run(), now), wrong("prom"));
    let sizes = authenticator.sizes();
    assert_eq!((sizes.remembered_right, sizes.remembered_wrong), (0, 0));

    let door = Door::new(Authenticator::new(users(&[("other", PLAIN)])));
    let header = Credentials::new("prom", "correct horse").as_http_header();
    let Check::Verify(early) = door.authenticator.check(Some(header.as_bytes()), None, now) else {
        panic!()
    };
    door.authenticator.reload(users(&[("prom", PLAIN)]));
    assert_eq!(door.authenticator.settle(early.run(), now), Err(Reason::UnknownUser));
    assert_eq!(door.knock("prom", "correct horse"), right("prom"), "a user who is new since");

    let unchanged = job("new").run();
    authenticator.reload(users(&[("prom", "{PLAIN}new"), ("other", PLAIN)]));
    assert_eq!(authenticator.settle(unchanged, now), right("prom"));
}

#[test]
fn many_requests_wait_for_one_hash() {
    let authenticator = authenticator();
    let now = Instant::now();
    let jobs = |password: &str| -> Vec<Job> {
        let header = Credentials::new("prom", password).as_http_header();
        let check = |_| match authenticator.check(
            Some(header.as_bytes()),
            Some([192, 0, 2, 1].into()),
            now,
        ) {
            Check::Verify(job) => job,
            other => panic!("{other:?}"),
        };
        (0..150).map(check).collect()
    };
    let (good, bad) = (jobs("correct horse"), jobs("wrong"));
    assert_eq!(authenticator.sizes().waiting, 2);
    for (jobs, expected) in [(good, right("prom")), (bad, wrong("prom"))] {
        for job in jobs {
            let result = match authenticator.again(job) {
                Check::Verify(job) => authenticator.settle(job.run(), now),
                Check::Allowed(user) => Ok(user),
                Check::Refused(reason) => Err(reason),
            };
            assert_eq!(result, expected);
        }
    }
    assert_eq!(authenticator.counts.hashes.load(Ordering::Relaxed), 2);
    assert_eq!(authenticator.sizes().waiting, 0);
}

#[test]
fn a_crowd_of_unknown_credentials_is_not_let_in_line() {
    let authenticator = authenticator();
    let now = Instant::now();
    let check = |n: usize, peer: u8| {
        let header = Credentials::new("prom", &n.to_string()).as_http_header();
        authenticator.check(Some(header.as_bytes()), Some([192, 0, 2, peer].into()), now)
    };
    let mut held = Vec::new();
    for n in 0..6 {
        match check(n, 1) {
            Check::Verify(job) => held.push(job),
            Check::Refused(reason) => assert_eq!(reason, Reason::Busy),
            Check::Allowed(_) => panic!(),
        }
    }
    assert_eq!(held.len(), 4);
    assert!(matches!(check(7, 2), Check::Verify(_)), "another source has places");
    held.clear();
    assert!(matches!(check(8, 1), Check::Verify(_)), "clients that leave free their places");
    assert_eq!(authenticator.sizes().waiting, 0);
}

#[test]
fn penalties() {
    let mut door = Door::new(authenticator());
    assert_eq!(door.knock("prom", "correct horse"), right("prom"));
    for n in 0..10 {
        assert_eq!(door.knock("prom", &format!("guess {n}")), wrong("prom"));
    }
    let hashes = door.hashes();
    let five = Duration::from_secs(5);
    assert_eq!(door.knock("prom", "guess 10"), Err(Reason::Penalized(five)));
    assert_eq!(door.knock("nobody", "x"), Err(Reason::Penalized(five)));
    assert_eq!(door.knock("old", "correct horse"), Err(Reason::Penalized(five)));
    assert_eq!(door.hashes(), hashes, "nothing was computed");
    assert_eq!(door.knock("prom", "guess 0"), wrong("prom"), "what is known is answered");
    assert_eq!(door.knock("prom", "correct horse"), right("prom"), "known credentials always pass");
    assert_eq!(door.knock_at("192.0.2.2", "old", "correct horse"), right("old"));
    assert_eq!(
        door.knock_at("", "nobody", "y"),
        Err(Reason::UnknownUser),
        "no address, no penalty"
    );

    door.now += five;
    assert_eq!(door.knock("nobody", "z"), Err(Reason::UnknownUser));
    assert_eq!(door.knock("prom", "guess 11"), Err(Reason::Penalized(2 * five)));
    door.now += 2 * five;
    door.authenticator.reload(users(&[("prom", BCRYPT)]));
    assert_eq!(door.knock("prom", "correct horse"), right("prom"));
    assert_eq!(door.authenticator.sizes().sources, 0, "who comes in is forgiven");
}

/// A client with an outdated password asks every few seconds, perhaps from where others come as well.
#[test]
fn one_wrong_password_again_and_again_brings_no_penalty() {
    let door = Door::new(authenticator());
    for _ in 0..1000 {
        assert_eq!(door.knock("prom", "outdated"), wrong("prom"));
    }
    assert_eq!(door.knock("prom", "correct horse"), right("prom"));
    assert_eq!(door.hashes(), 2);
}

#[test]
fn memory_is_bounded_and_wrong_ones_drive_out_no_right_ones() {
    let door = Door::new(Authenticator::new(users(&[("prom", PLAIN)])));
    assert_eq!(door.knock_at("", "prom", "correct horse"), right("prom"));
    for n in 0..2 * REMEMBERED_MAX {
        assert_eq!(door.knock_at("", "prom", &n.to_string()), wrong("prom"));
        let sizes = door.authenticator.sizes();
        assert_eq!(sizes.remembered_wrong, (n + 1).min(REMEMBERED_MAX));
        assert_eq!(sizes.remembered_right, 1);
    }
    let hashes = door.hashes();
    assert_eq!(door.knock_at("", "prom", "correct horse"), right("prom"));
    assert_eq!(door.hashes(), hashes);
}

/// Time cannot be tested without a clock, but what takes it can: an `$apr1$` user's wrong password is also held against the decoy.
#[test]
fn the_decoy_is_the_costliest() {
    let authenticator = authenticator();
    let state = authenticator.state();
    assert_eq!(state.decoy.as_deref(), Some(&Hash::parse(BCRYPT).unwrap()));
}

#[test]
fn the_log_is_limited() {
    let log = FailureLog::default();
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let notes: Vec<_> = (0..8).map(|_| log.note(&Reason::UnknownUser, at(0))).collect();
    assert_eq!(notes, [Some(0), Some(0), Some(0), Some(0), Some(0), None, None, None]);
    assert_eq!(log.note(&Reason::Missing, at(60)), None);
    assert_eq!(log.note(&Reason::Malformed, at(60)), Some(3));
    assert_eq!(log.note(&Reason::Malformed, at(60)), Some(0));
}

#[test]
fn nothing_secret_is_shown() {
    let authenticator = authenticator();
    let header = Credentials::new("prom", "s3cret").as_http_header();
    let check = authenticator.check(Some(header.as_bytes()), None, Instant::now());
    let Check::Verify(job) = &check else { panic!("{check:?}") };
    let shown = format!("{authenticator:?} {check:?} {job:?}");
    assert!(!shown.contains("s3cret") && !shown.contains('$'), "{shown}");
    assert_eq!(Reason::UnknownUser.to_string(), "unknown user");
    assert_eq!(
        Reason::WrongPassword("a\nb".into()).to_string(),
        "wrong password for user \"a\\nb\""
    );
}
